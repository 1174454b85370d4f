//! Log lines on their way to standard error.
//! Invariants: whoever logs neither waits nor makes a system call; what cannot be written, or comes faster
//! than it can be, is counted and dropped, audit lines last; every line is written whole.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::metrics::LogLine;
use super::queue::{Lost, Queue};
use super::target;

use crate::lock::{lock, unpoisoned};

/// Takes lines, for a thread of its own to write.
#[derive(Clone, Debug)]
pub struct Lines(Arc<Shared>);

/// Writes what is left, when dropped, unless nobody takes it.
#[derive(Debug)]
pub struct Flush(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Queue,
    lost: Lost,
    ending: bool,
    /// Everything is written, and the thread ends.
    ended: bool,
}

/// Starts the thread that writes to `out`. What was lost is told by a line, too, once lines are written again.
pub(super) fn start(
    out: impl Write + Send + 'static,
    tell_lost: impl Fn(Lost) + Send + 'static,
) -> io::Result<(Lines, Flush)> {
    let shared = Arc::new(Shared::default());
    let writer = Arc::clone(&shared);
    thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(out, tell_lost))?;
    Ok((Lines(Arc::clone(&shared)), Flush(shared)))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }

    fn add(&self, kind: LogLine, line: &[u8]) {
        let mut waiting = self.lock();
        let before = waiting.lines.text().len();
        let lost = waiting.lines.push(kind, line);
        waiting.lost.add(lost);
        // The thread is woken once for many lines: a wake-up is a system call.
        if before == 0 || (before < BATCH && waiting.lines.text().len() >= BATCH) {
            self.changed.notify_one();
        }
    }

    fn write_to(&self, mut out: impl Write, tell_lost: impl Fn(Lost)) {
        let (mut lines, mut told, mut torn) = (Queue::default(), Lost::default(), false);
        loop {
            let (lost, ending) = self.next(&mut lines);
            let outcome = write(&mut out, &mut lines, &mut torn);
            match outcome {
                Ok(()) if lost != told => {
                    tell_lost(lost.since(told));
                    told = lost;
                }
                Ok(()) if ending => return self.end(),
                Ok(()) => {}
                Err(error) => {
                    self.failed(error.kind(), mem::take(&mut lines));
                    if ending && error.kind() != ErrorKind::WouldBlock {
                        return self.end();
                    }
                }
            }
        }
    }

    /// Waits for lines, or for the end, and takes the lines. Returns what was lost so far, and whether it ends.
    fn next(&self, lines: &mut Queue) -> (Lost, bool) {
        let idle = |waiting: &mut Waiting| waiting.lines.text().is_empty() && !waiting.ending;
        let filling = |waiting: &mut Waiting| waiting.lines.text().len() < BATCH && !waiting.ending;
        let waiting = self.changed.wait_while(self.lock(), idle);
        let waiting = unpoisoned(waiting);
        let waiting = self.changed.wait_timeout_while(waiting, LINGER, filling);
        let (mut waiting, _) = unpoisoned(waiting);
        mem::swap(lines, &mut waiting.lines);
        (waiting.lost, waiting.ending)
    }

    /// Counts lines that could not be written, and waits before the next attempt. A disk may have room again,
    /// for which audit lines are kept; a pipe that does not block will have, for which all are.
    fn failed(&self, error: ErrorKind, mut lines: Queue) {
        let mut waiting = self.lock();
        if error == ErrorKind::WouldBlock {
            let lost = waiting.lines.put_back(lines);
            waiting.lost.add(lost);
            drop(self.changed.wait_timeout_while(waiting, LINGER, |_| true));
            return;
        }
        let may_pass = matches!(error, ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        let keeps_audit = may_pass && !waiting.ending;
        waiting.lost.add(lines.retain(|kind| keeps_audit && kind == LogLine::Audit));
        let lost = waiting.lines.put_back(lines);
        waiting.lost.add(lost);
        let pausing = |waiting: &mut Waiting| !waiting.ending;
        drop(self.changed.wait_timeout_while(waiting, PAUSE, pausing));
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }
}

/// Writes lines; what is left of them afterwards is not written. `torn`: the last line was written in part.
fn write(out: &mut impl Write, lines: &mut Queue, torn: &mut bool) -> io::Result<()> {
    if *torn && !lines.text().is_empty() {
        out.write_all(b"\n")?;
        *torn = false;
    }
    let mut written = 0;
    let outcome = loop {
        match lines.text().get(written..) {
            None | Some([]) => break out.flush(),
            Some(rest) => match out.write(rest) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            },
        }
    };
    match outcome {
        Ok(()) => lines.clear(),
        Err(_) => *torn = lines.written(written),
    }
    outcome
}

impl Lines {
    /// Takes a line; never waits.
    pub(super) fn add(&self, kind: LogLine, line: &str) {
        self.0.add(kind, line.as_bytes());
    }

    /// How many lines were lost so far.
    pub(super) fn lost(&self) -> Lost {
        self.0.lock().lost
    }
}

/// Takes the lines of one event.
#[derive(Clone, Copy, Debug)]
pub struct OfKind<'l> {
    lines: &'l Lines,
    kind: LogLine,
}

impl Write for OfKind<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.0.add(self.kind, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = OfKind<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        OfKind { lines: self, kind: LogLine::Log }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self::Writer {
        OfKind { lines: self, kind: target::kind_of(event.target()) }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        self.0.lock().ending = true;
        self.0.changed.notify_all();
        // Whoever reads standard error may have stopped to: the process ends all the same.
        let left = |waiting: &mut Waiting| !waiting.ended;
        drop(self.0.changed.wait_timeout_while(self.0.lock(), LAST_WORDS, left));
    }
}

/// How long the last lines may take.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// As many bytes as are written at once.
const BATCH: usize = 64 * 1024;
/// How long a failed write is not tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a line waits for others.
const LINGER: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;
    use crate::telemetry::queue::most_bytes;

    /// Takes what is written, and waits with it for the test.
    struct Gated(SyncSender<Vec<u8>>);

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Lines, Flush, Receiver<Vec<u8>>) {
        let (sender, receiver) = sync_channel(0);
        let (lines, flush) = start(Gated(sender), |_| {}).unwrap();
        (lines, flush, receiver)
    }

    #[test]
    fn lines_arrive_whole_and_in_order() {
        let (lines, _flush, written) = gated();
        for line in ["one\n", "two\n", "three\n"] {
            lines.add(LogLine::Log, line);
        }
        let mut all = Vec::new();
        while all.len() < 14 {
            all.extend(written.recv().unwrap());
        }
        assert_eq!(all, b"one\ntwo\nthree\n");
        drop(written);
    }

    #[test]
    fn what_cannot_be_written_is_dropped_and_counted() {
        let (sender, written) = sync_channel(0);
        let told = Arc::new(Mutex::new(Lost::default()));
        let noted = Arc::clone(&told);
        let tell_lost = move |lost| noted.lock().unwrap().add(lost);
        let (lines, flush) = start(Gated(sender), tell_lost).unwrap();
        let line = "x".repeat(BATCH);
        // The thread may hold as much as may wait while it waits itself.
        let most = most_bytes(LogLine::Access);
        let given = 2 * most / BATCH + 10;
        for _ in 0..given {
            lines.add(LogLine::Access, &line);
        }
        let reader = thread::spawn(move || written.into_iter().flatten().count());
        drop(flush);
        let lost = lines.lost();
        drop(lines);
        let kept = reader.join().unwrap();
        assert!(kept <= 2 * most, "{kept}");
        assert_eq!(lost.of(LogLine::Access), (given - kept / BATCH) as u64);
        assert_eq!(*told.lock().unwrap(), lost);
    }

    /// Fails with these errors, one after another, after it took some bytes; then takes everything.
    struct Failing(Vec<(usize, ErrorKind)>, SyncSender<Vec<u8>>);

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.first_mut() {
                Some((0, kind)) => {
                    let kind = *kind;
                    self.0.remove(0);
                    Err(kind.into())
                }
                Some((takes, _)) => {
                    let taken = mem::take(takes).min(bytes.len());
                    self.1.send(bytes[..taken].to_vec()).map_err(io::Error::other)?;
                    Ok(taken)
                }
                None => {
                    self.1.send(bytes.to_vec()).map_err(io::Error::other)?;
                    Ok(bytes.len())
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of one line of each kind where the first write fails so, and what is lost.
    fn failing(takes: usize, kind: ErrorKind) -> (String, [u64; 3]) {
        let (sender, written) = sync_channel(100);
        let (lines, flush) = start(Failing(vec![(takes, kind)], sender), |_| {}).unwrap();
        {
            // All in one batch.
            let mut waiting = lines.0.lock();
            for kind in [LogLine::Access, LogLine::Audit, LogLine::Log] {
                waiting.lines.push(kind, format!("{kind:?}\n").as_bytes());
            }
        }
        lines.0.changed.notify_one();
        while kind != ErrorKind::WouldBlock && lines.lost() == Lost::default() {
            thread::yield_now();
        }
        drop(flush);
        let lost =
            [LogLine::Access, LogLine::Log, LogLine::Audit].map(|kind| lines.lost().of(kind));
        (String::from_utf8(written.try_iter().flatten().collect()).unwrap(), lost)
    }

    #[test]
    fn full_disk_loses_all_lines_but_those_of_the_audit() {
        assert_eq!(failing(0, ErrorKind::StorageFull), ("Audit\n".to_owned(), [1, 1, 0]));
        assert_eq!(failing(9, ErrorKind::StorageFull).1, [0, 1, 0]);
    }

    #[test]
    fn line_that_was_written_in_part_is_written_again_on_a_line_of_its_own() {
        let whole = "Access\nAu\nAudit\nLog\n".to_owned();
        assert_eq!(failing(9, ErrorKind::WouldBlock), (whole, [0, 0, 0]));
    }

    #[test]
    fn closed_standard_error_loses_all_lines_and_counts_them() {
        assert_eq!(failing(0, ErrorKind::BrokenPipe), (String::new(), [1, 1, 1]));
        assert_eq!(failing(7, ErrorKind::BrokenPipe), ("Access\n".to_owned(), [0, 1, 1]));
    }

    #[test]
    fn a_reader_who_stopped_to_read_does_not_keep_the_process() {
        let (lines, flush, written) = gated();
        lines.add(LogLine::Log, "last words\n");
        drop(flush);
        drop(written);
    }

    #[test]
    fn what_is_left_is_written_at_the_end() {
        let (lines, flush, written) = gated();
        let reader = thread::spawn(move || written.into_iter().flatten().collect::<Vec<u8>>());
        lines.add(LogLine::Log, "last words\n");
        drop(lines);
        drop(flush);
        assert_eq!(reader.join().unwrap(), b"last words\n");
    }
}
