//! HTTP/2 streams, each a task of its own that minds whether its client takes the answer.
//! Invariant: a stream that waits for its client's window ends in time, whatever the connection's other
//! streams do. hyper waits for a window without asking the body for more, so that none of the body's own
//! deadlines would run.

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
    /// How long a client may take nothing of an answer.
    pub(super) write_timeout: Duration,
}

/// What hyper holds of one stream's answer, told by the answer's body.
#[derive(Debug)]
pub(super) struct SendStall {
    began: Instant,
    write_timeout: Duration,
    /// Since when hyper has a frame and has not asked for the next one.
    since: AtomicTime,
    task: OnceLock<AbortHandle>,
}

tokio::task_local! {
    /// The stream that runs: hyper makes the task, and the body within it has to find its watch.
    static RUNNING: Arc<SendStall>;
}

impl SendStall {
    /// That of the stream whose task this is; none on HTTP/1.
    pub(super) fn current() -> Option<Arc<Self>> {
        RUNNING.try_with(Arc::clone).ok()
    }

    /// hyper asks for a frame.
    pub(super) fn asked(&self) {
        self.since.clear();
    }

    /// hyper has a frame.
    pub(super) fn handed(&self) {
        self.since.set(self.began.elapsed());
    }

    /// Ends the stream; it is reset.
    pub(super) fn cut(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    /// When the stream has to end, as things stand.
    fn due(&self) -> Option<Instant> {
        self.since.get().map(|since| self.began + since + self.write_timeout)
    }

    /// Whether the stream has to end.
    pub(super) fn is_overdue(&self) -> bool {
        self.due().is_some_and(|due| Instant::now() >= due)
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for H2Executor {
    fn execute(&self, stream: F) {
        let (began, write_timeout) = (Instant::now(), self.write_timeout);
        let (since, task) = (AtomicTime::default(), OnceLock::new());
        let handover = Arc::new(SendStall { began, write_timeout, since, task });
        let task = self.tasks.track(watch(stream, Arc::clone(&handover)));
        // Set once: the stream was started here.
        let (Ok(()) | Err(_)) = handover.task.set(task);
    }
}

/// Runs a stream to its end.
// SECURITY: a client with a window of zero would hold its streams, and what they hold, for ever
// (CVE-2019-9511, CVE-2019-9517). Dropped, a stream is reset.
async fn watch(stream: impl Future<Output = ()>, handover: Arc<SendStall>) {
    let mut stream = pin!(RUNNING.scope(Arc::clone(&handover), stream));
    // Set when the stream first waits.
    let mut timer = pin!(None);
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while let Some(due) = handover.due() {
            match timer.as_mut().as_pin_mut() {
                None => timer.set(Some(sleep_until(due))),
                Some(timer) => {
                    ready!(poll_due(timer, due, cx));
                    // The connection's task may have ended the wait meanwhile.
                    if handover.is_overdue() {
                        return Poll::Ready(());
                    }
                }
            }
        }
        Poll::Pending
    })
    .await;
}
