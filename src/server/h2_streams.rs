//! HTTP/2 streams: each is a task with its own write timeout.
//! Invariant: a stream that waits for its client's window ends at its deadline, independent of the other streams
//! of the connection. hyper does not poll the body while it waits for a window, so no deadline of the body would
//! end it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, ready};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::deadline::poll_due;
use crate::server::deadlines::AtomicTime;
use crate::server::shutdown::Tasks;

/// Runs the streams of connections.
#[derive(Clone, Debug)]
pub(super) struct H2Executor {
    pub(super) tasks: Tasks,
    /// Longest time in which a client takes no byte of a response.
    pub(super) write_timeout: Duration,
}

/// Watches one HTTP/2 stream: since when hyper holds a frame of its response that the client does not take. The
/// response's body reports it.
#[derive(Debug)]
pub(super) struct SendStall {
    began: Instant,
    write_timeout: Duration,
    /// Since when hyper holds a frame and has not polled for the next one.
    since: AtomicTime,
    task: OnceLock<AbortHandle>,
}

tokio::task_local! {
    /// The running stream. hyper creates the task, and the body within it has to find its [`SendStall`].
    static RUNNING: Arc<SendStall>;
}

impl SendStall {
    /// The watch of the current task; `None` on HTTP/1.
    pub(super) fn current() -> Option<Arc<Self>> {
        RUNNING.try_with(Arc::clone).ok()
    }

    /// Records that hyper polls for a frame.
    pub(super) fn polled(&self) {
        self.since.clear();
    }

    /// Records that hyper has a frame.
    pub(super) fn delivered(&self) {
        self.since.set(self.began.elapsed());
    }

    /// Resets the stream.
    pub(super) fn cut(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    /// The stream's deadline, if one applies now.
    fn due(&self) -> Option<Instant> {
        self.since.get().map(|since| self.began + since + self.write_timeout)
    }

    /// Whether the stream is past its deadline.
    pub(super) fn is_overdue(&self) -> bool {
        self.due().is_some_and(|due| Instant::now() >= due)
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for H2Executor {
    fn execute(&self, stream: F) {
        let (began, write_timeout) = (Instant::now(), self.write_timeout);
        let (since, task) = (AtomicTime::default(), OnceLock::new());
        let stall = Arc::new(SendStall { began, write_timeout, since, task });
        let task = self.tasks.track(watch(stream, Arc::clone(&stall)));
        // Set once: the stream was started here.
        let (Ok(()) | Err(_)) = stall.task.set(task);
    }
}

/// Runs a stream to its end.
// SECURITY: a client with a window of zero would hold its streams, and their memory, forever (CVE-2019-9511,
// CVE-2019-9517). A stream that is dropped is reset.
async fn watch(stream: impl Future<Output = ()>, stall: Arc<SendStall>) {
    let mut stream = pin!(RUNNING.scope(Arc::clone(&stall), stream));
    // Set when the stream first waits.
    let mut timer = pin!(None);
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while let Some(due) = stall.due() {
            match timer.as_mut().as_pin_mut() {
                None => timer.set(Some(sleep_until(due))),
                Some(timer) => {
                    ready!(poll_due(timer, due, cx));
                    // The connection's task may have ended the wait meanwhile.
                    if stall.is_overdue() {
                        return Poll::Ready(());
                    }
                }
            }
        }
        Poll::Pending
    })
    .await;
}
