//! Queue of log lines that wait to be written.
//! Invariant: its size is bounded. When it is full, access lines are dropped first and audit lines last. The other
//! lines keep their order, and each dropped line is counted.

use std::mem;

use crate::telemetry::metrics::{Label as _, LogLine};

/// Lines in their order of arrival.
#[derive(Debug, Default)]
pub(super) struct Queue {
    text: Vec<u8>,
    /// Kind and length of each line.
    lines: Vec<(LogLine, usize)>,
}

/// Numbers of lost lines, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost(pub(super) [u64; LogLine::ALL.len()]);

impl Queue {
    /// The text of all lines.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Adds a line. If the queue is full, drops lines of less important kinds. Returns the lost lines.
    pub(super) fn push(&mut self, kind: LogLine, line: &[u8]) -> Lost {
        let mut lost = Lost::default();
        let needed = |queue: &Self| queue.text.len() + line.len() > most_bytes(kind);
        for other in LogLine::ALL.iter().take(kind.place()) {
            if needed(self) && self.lines.iter().any(|(held, _)| held == other) {
                lost.add(self.retain(|held| held != *other));
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

    /// Keeps the lines of some kinds. Returns the lost lines.
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

    /// Removes the lines within the first `written` bytes. Returns whether the next line was written in part.
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

    /// Puts earlier lines in front of all others, within the same limits. Returns the lost lines.
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

    /// Removes all lines and keeps the memory.
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

    /// The number of lost lines of this kind.
    pub(super) fn of(&self, kind: LogLine) -> u64 {
        self.0.get(kind.place()).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, more: Self) {
        for (count, more) in self.0.iter_mut().zip(more.0) {
            *count += more;
        }
    }

    /// The lines lost since `before`.
    pub(super) fn since(mut self, before: Self) -> Self {
        for (count, before) in self.0.iter_mut().zip(before.0) {
            *count = count.saturating_sub(before);
        }
        self
    }
}

/// Limit of the queue, in bytes, for a new line of this kind. Each kind has room that less important kinds cannot
/// use.
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
    fn kept_lines_keep_their_order() {
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
    fn written_lines_are_removed_and_line_written_in_part_stays() {
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
    fn lines_put_back_stay_within_limit() {
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
