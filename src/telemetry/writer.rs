//! Log lines on their way to standard error.
//! Invariants: whoever logs neither waits nor makes a system call; what comes faster than it can be
//! written is counted and dropped, never kept without bound; every line is written whole.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

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
    lines: Vec<u8>,
    dropped: u64,
    ending: bool,
    /// Everything is written, and the thread ends.
    ended: bool,
}

/// Starts the thread that writes to `out`. How many lines had to be dropped is told by a line, too.
pub fn start(
    out: impl Write + Send + 'static,
    tell_dropped: impl Fn(u64) + Send + 'static,
) -> io::Result<(Lines, Flush)> {
    let shared = Arc::new(Shared::default());
    let writer = Arc::clone(&shared);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || writer.write_to(out, tell_dropped))?;
    Ok((Lines(Arc::clone(&shared)), Flush(shared)))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8]) {
        let mut waiting = self.lock();
        let before = waiting.lines.len();
        if before + line.len() > MOST_BYTES {
            waiting.dropped += 1;
            return;
        }
        waiting.lines.extend_from_slice(line);
        // The thread is woken once for many lines: a wake-up is a system call.
        if before == 0 || (before < BATCH && waiting.lines.len() >= BATCH) {
            self.changed.notify_one();
        }
    }

    fn write_to(&self, mut out: impl Write, tell_dropped: impl Fn(u64)) {
        let mut lines = Vec::new();
        loop {
            let idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.ending;
            let filling = |waiting: &mut Waiting| waiting.lines.len() < BATCH && !waiting.ending;
            let waiting = self.changed.wait_while(self.lock(), idle);
            let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
            let waiting = self.changed.wait_timeout_while(waiting, LINGER, filling);
            let (mut waiting, _) = waiting.unwrap_or_else(PoisonError::into_inner);
            mem::swap(&mut lines, &mut waiting.lines);
            let (dropped, ending) = (mem::take(&mut waiting.dropped), waiting.ending);
            drop(waiting);
            if dropped > 0 {
                tell_dropped(dropped);
            }
            // There is nobody to tell that standard error is gone.
            drop(out.write_all(&lines).and_then(|()| out.flush()));
            lines.clear();
            if ending && dropped == 0 {
                self.lock().ended = true;
                return self.changed.notify_all();
            }
        }
    }
}

impl Lines {
    /// Takes a line; never waits.
    pub fn add(&self, line: &str) {
        self.0.add(line.as_bytes());
    }
}

impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        self.0.lock().ending = true;
        self.0.changed.notify_one();
        // Whoever reads standard error may have stopped to: the process ends all the same.
        let left = |waiting: &mut Waiting| !waiting.ended;
        drop(self.0.changed.wait_timeout_while(self.0.lock(), LAST_WORDS, left));
    }
}

/// How long the last lines may take.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// As many bytes as are written at once.
const BATCH: usize = 64 * 1024;
/// As many as may wait.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// How long a line waits for others.
const LINGER: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

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
            (&lines).write_all(line.as_bytes()).unwrap();
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
        let dropped = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&dropped);
        let tell_dropped = move |count| *counted.lock().unwrap() += count;
        let (lines, flush) = start(Gated(sender), tell_dropped).unwrap();
        let line = vec![b'x'; BATCH];
        // The thread may hold as much as may wait while it waits itself.
        let given = 2 * MOST_BYTES / BATCH + 10;
        for _ in 0..given {
            (&lines).write_all(&line).unwrap();
        }
        let reader = thread::spawn(move || written.into_iter().flatten().count());
        drop(lines);
        drop(flush);
        let kept = reader.join().unwrap();
        assert!(kept <= 2 * MOST_BYTES, "{kept}");
        assert_eq!(*dropped.lock().unwrap(), (given - kept / BATCH) as u64);
    }

    #[test]
    fn a_reader_who_stopped_to_read_does_not_keep_the_process() {
        let (lines, flush, written) = gated();
        (&lines).write_all(b"last words\n").unwrap();
        drop(flush);
        drop(written);
    }

    #[test]
    fn what_is_left_is_written_at_the_end() {
        let (lines, flush, written) = gated();
        let reader = thread::spawn(move || written.into_iter().flatten().collect::<Vec<u8>>());
        (&lines).write_all(b"last words\n").unwrap();
        drop(lines);
        drop(flush);
        assert_eq!(reader.join().unwrap(), b"last words\n");
    }
}
