//! Log lines that wait to be written.
//! Invariant: bounded. Where there is no room, access lines leave first and audit lines last; the lines that
//! stay keep their order, and each line that leaves is counted.

use std::mem;

use super::metrics::{Label as _, LogLine};

/// Lines in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Queue {
    text: Vec<u8>,
    /// The kind and the length of each.
    lines: Vec<(LogLine, usize)>,
}

/// How many lines of each kind were lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost(pub(super) [u64; LogLine::ALL.len()]);

impl Queue {
    /// All that waits, lines of text.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Takes a line, and makes room for it at the cost of lesser ones. Returns what was lost.
    pub(super) fn push(&mut self, kind: LogLine, line: &[u8]) -> Lost {
        let mut lost = Lost::default();
        let needed = |queue: &Self| queue.text.len() + line.len() > most_bytes(kind);
        for lesser in LogLine::ALL.iter().take(kind.place()) {
            if needed(self) && self.lines.iter().any(|(held, _)| held == lesser) {
                lost.add(self.retain(|held| held != *lesser));
            }
        }
        if needed(self) {
            lost.add(Lost::one(kind));
        } else {
            self.text.extend_from_slice(line);
            self.lines.push((kind, line.len()));
        }
        lost
    }

    /// Keeps the lines of some kinds. Returns the others.
    pub(super) fn retain(&mut self, wanted: impl Fn(LogLine) -> bool) -> Lost {
        let (text, mut lost) = (mem::take(&mut self.text), Lost::default());
        let mut rest = &*text;
        for (kind, length) in mem::take(&mut self.lines) {
            let Some((line, behind)) = rest.split_at_checked(length) else { break };
            rest = behind;
            if wanted(kind) {
                self.text.extend_from_slice(line);
                self.lines.push((kind, length));
            } else {
                lost.add(Lost::one(kind));
            }
        }
        lost
    }

    /// Drops the lines that are within the first `written` bytes. Returns whether the next one was begun.
    pub(super) fn written(&mut self, mut written: usize) -> bool {
        let whole = self.lines.iter().take_while(|(_, length)| {
            let left = written.checked_sub(*length);
            written = left.unwrap_or(written);
            left.is_some()
        });
        let count = whole.count();
        let bytes: usize = self.lines.drain(..count).map(|(_, length)| length).sum();
        self.text.drain(..bytes);
        written > 0
    }

    /// Puts lines before all others, within the same bounds. Returns what had to leave.
    pub(super) fn put_back(&mut self, earlier: Self) -> Lost {
        let later = mem::replace(self, earlier);
        let (mut rest, mut lost) = (&*later.text, Lost::default());
        for (kind, length) in later.lines {
            let Some((line, behind)) = rest.split_at_checked(length) else { break };
            rest = behind;
            lost.add(self.push(kind, line));
        }
        lost
    }

    /// Drops everything, and keeps the memory for what comes.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
    }
}

impl Lost {
    fn one(kind: LogLine) -> Self {
        let mut lost = Self::default();
        if let Some(count) = lost.0.get_mut(kind.place()) {
            *count = 1;
        }
        lost
    }

    /// How many of this kind.
    pub(super) fn of(&self, kind: LogLine) -> u64 {
        self.0.get(kind.place()).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, more: Self) {
        for (count, more) in self.0.iter_mut().zip(more.0) {
            *count += more;
        }
    }

    /// What was lost since it was this.
    pub(super) fn since(mut self, before: Self) -> Self {
        for (count, before) in self.0.iter_mut().zip(before.0) {
            *count = count.saturating_sub(before);
        }
        self
    }
}

/// How many bytes may wait when a line of this kind comes: each kind has room that lesser ones cannot take.
pub(super) const fn most_bytes(kind: LogLine) -> usize {
    match kind {
        LogLine::Access => 4 * MIB,
        LogLine::Log => 5 * MIB,
        LogLine::Audit => 6 * MIB,
    }
}

const MIB: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: [u8; 1024] = [b'x'; 1024];

    fn counts(lost: Lost) -> [u64; 3] {
        [LogLine::Access, LogLine::Log, LogLine::Audit].map(|kind| lost.of(kind))
    }

    fn push(queue: &mut Queue, kind: LogLine, times: usize) -> [u64; 3] {
        let mut lost = Lost::default();
        for _ in 0..times {
            lost.add(queue.push(kind, &KIB));
        }
        counts(lost)
    }

    #[test]
    fn full_queue_loses_access_lines_before_log_lines_before_audit_lines() {
        let mut queue = Queue::default();
        assert_eq!(push(&mut queue, LogLine::Access, 4096 + 1), [1, 0, 0]);
        assert_eq!(push(&mut queue, LogLine::Log, 1024), [0, 0, 0]);
        assert_eq!(push(&mut queue, LogLine::Audit, 1024), [0, 0, 0]);
        assert_eq!(push(&mut queue, LogLine::Log, 1), [4096, 0, 0]);
        assert_eq!(push(&mut queue, LogLine::Audit, 4096), [0, 1025, 0]);
        assert_eq!(push(&mut queue, LogLine::Audit, 1024 + 1), [0, 0, 1]);
        assert_eq!(push(&mut queue, LogLine::Access, 1), [1, 0, 0]);
        assert_eq!(queue.text().len(), most_bytes(LogLine::Audit));
    }

    #[test]
    fn lines_that_stay_keep_their_order() {
        let mut queue = Queue::default();
        let lines = [
            (LogLine::Access, "a\n"),
            (LogLine::Audit, "bb\n"),
            (LogLine::Log, "c\n"),
            (LogLine::Audit, "d\n"),
        ];
        for (kind, line) in lines {
            queue.push(kind, line.as_bytes());
        }
        assert_eq!(counts(queue.retain(|kind| kind == LogLine::Audit)), [1, 1, 0]);
        assert_eq!(queue.text(), b"bb\nd\n");
        let mut later = Queue::default();
        later.push(LogLine::Log, b"e\n");
        assert_eq!(later.put_back(queue), Lost::default());
        assert_eq!(later.text(), b"bb\nd\ne\n");
    }

    #[test]
    fn written_lines_leave_and_a_line_that_was_begun_stays() {
        for (written, left, begun) in [
            (0, "aa\nb\n", false),
            (2, "aa\nb\n", true),
            (3, "b\n", false),
            (4, "b\n", true),
            (5, "", false),
        ] {
            let mut queue = Queue::default();
            queue.push(LogLine::Audit, b"aa\n");
            queue.push(LogLine::Log, b"b\n");
            assert_eq!(queue.written(written), begun, "{written}");
            assert_eq!(queue.text(), left.as_bytes(), "{written}");
        }
    }

    #[test]
    fn lines_that_are_put_back_leave_room_for_no_more_than_the_bound() {
        let line = vec![b'x'; MIB];
        let (mut earlier, mut later) = (Queue::default(), Queue::default());
        for queue in [&mut earlier, &mut later] {
            for _ in 0..4 {
                assert_eq!(queue.push(LogLine::Access, &line), Lost::default());
            }
        }
        assert_eq!(later.put_back(earlier).of(LogLine::Access), 4);
        assert_eq!(later.text().len(), most_bytes(LogLine::Access));
    }
}
