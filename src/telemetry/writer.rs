//! Writing of log lines to standard error, on a separate thread.
//! Invariants: adding a line neither waits nor makes a system call. Lines that cannot be written, or not fast
//! enough, are counted and dropped, audit lines last. Every line is written completely.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use crate::lock::{lock, unpoisoned};
use crate::telemetry::metrics::LogLine;
use crate::telemetry::queue::{Lost, Queue};
use crate::telemetry::target;

/// Accepts lines for the writing thread.
#[derive(Clone, Debug)]
pub struct Lines(Arc<Shared>);

/// Writes the remaining lines when dropped, unless standard error does not accept them.
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
    /// All lines are written, and the thread ends.
    ended: bool,
}

/// Starts the thread that writes to `out`. It calls `report_lost` once lines can be written again.
pub(super) fn start(
    out: impl Write + Send + 'static,
    report_lost: impl Fn(Lost) + Send + 'static,
) -> io::Result<(Lines, Flush)> {
    let shared = Arc::new(Shared::default());
    let writer = Arc::clone(&shared);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || writer.write_to(out, report_lost))?;
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

    fn write_to(&self, mut out: impl Write, report_lost: impl Fn(Lost)) {
        let (mut lines, mut reported, mut torn) = (Queue::default(), Lost::default(), false);
        loop {
            let (lost, ending) = self.next(&mut lines);
            let outcome = write(&mut out, &mut lines, &mut torn);
            match outcome {
                Ok(()) if lost != reported => {
                    report_lost(lost.since(reported));
                    reported = lost;
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

    /// Waits for lines or for the end, and takes the lines. Returns all lost lines so far, and whether it ends.
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

    /// Counts lines that could not be written, and waits before the next attempt. If the disk is full, keeps the
    /// audit lines for later. If a non-blocking pipe is full, keeps all lines.
    fn failed(&self, error: ErrorKind, mut lines: Queue) {
        let mut waiting = self.lock();
        if error == ErrorKind::WouldBlock {
            let lost = waiting.lines.put_back(lines);
            waiting.lost.add(lost);
            drop(self.changed.wait_timeout_while(waiting, LINGER, |_| true));
            return;
        }
        let may_recover = matches!(error, ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
        let keeps_audit = may_recover && !waiting.ending;
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

/// Writes lines and removes the written ones. `torn` says whether the last line was written in part.
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
    /// Adds a line; never waits.
    pub(super) fn add(&self, kind: LogLine, line: &str) {
        self.0.add(kind, line.as_bytes());
    }

    /// The lines lost so far.
    pub(super) fn lost(&self) -> Lost {
        self.0.lock().lost
    }
}

/// Writes the lines of one event.
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
        // The reader of standard error may have stopped. The process ends nevertheless.
        let left = |waiting: &mut Waiting| !waiting.ended;
        drop(self.0.changed.wait_timeout_while(self.0.lock(), FLUSH_TIMEOUT, left));
    }
}

/// Limit for writing the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes that are written at once.
const BATCH: usize = 64 * 1024;
/// Pause after a failed write.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a line waits for others.
const LINGER: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;
    use crate::telemetry::queue::most_bytes;

    /// A writer that waits for the test at every write.
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
    fn lines_are_written_completely_and_in_order() {
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
    fn lines_over_limit_are_dropped_and_counted() {
        let (sender, written) = sync_channel(0);
        let reported = Arc::new(Mutex::new(Lost::default()));
        let noted = Arc::clone(&reported);
        let report_lost = move |lost| noted.lock().unwrap().add(lost);
        let (lines, flush) = start(Gated(sender), report_lost).unwrap();
        let line = "x".repeat(BATCH);
        // The thread may hold as many bytes as the queue.
        let most = most_bytes(LogLine::Access);
        let count = 2 * most / BATCH + 10;
        for _ in 0..count {
            lines.add(LogLine::Access, &line);
        }
        let reader = thread::spawn(move || written.into_iter().flatten().count());
        drop(flush);
        let lost = lines.lost();
        drop(lines);
        let kept = reader.join().unwrap();
        assert!(kept <= 2 * most, "{kept}");
        assert_eq!(lost.of(LogLine::Access), (count - kept / BATCH) as u64);
        assert_eq!(*reported.lock().unwrap(), lost);
    }

    /// A writer that accepts some bytes and then fails, for each of these errors; then it accepts everything.
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

    /// The text that is written of one line of each kind if the first write fails, and the lost lines.
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
    fn full_disk_loses_all_lines_except_audit_lines() {
        assert_eq!(failing(0, ErrorKind::StorageFull), ("Audit\n".to_owned(), [1, 1, 0]));
        assert_eq!(failing(9, ErrorKind::StorageFull).1, [0, 1, 0]);
    }

    #[test]
    fn line_written_in_part_is_written_again_on_a_new_line() {
        let whole = "Access\nAu\nAudit\nLog\n".to_owned();
        assert_eq!(failing(9, ErrorKind::WouldBlock), (whole, [0, 0, 0]));
    }

    #[test]
    fn closed_standard_error_loses_all_lines_and_counts_them() {
        assert_eq!(failing(0, ErrorKind::BrokenPipe), (String::new(), [1, 1, 1]));
        assert_eq!(failing(7, ErrorKind::BrokenPipe), ("Access\n".to_owned(), [0, 1, 1]));
    }

    #[test]
    fn reader_that_stopped_does_not_block_the_end() {
        let (lines, flush, written) = gated();
        lines.add(LogLine::Log, "last line\n");
        drop(flush);
        drop(written);
    }

    #[test]
    fn remaining_lines_are_written_at_the_end() {
        let (lines, flush, written) = gated();
        let reader = thread::spawn(move || written.into_iter().flatten().collect::<Vec<u8>>());
        lines.add(LogLine::Log, "last line\n");
        drop(lines);
        drop(flush);
        assert_eq!(reader.join().unwrap(), b"last line\n");
    }
}
