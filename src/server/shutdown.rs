//! How the process ends: the order to stop, and the tasks that still have work.
//! Invariant: a server returns only when every task it knows has ended, and no task outlives the deadline.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

use crate::server::settings::ServerTimeouts;

/// The order to stop, given once for all who listen.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    begun: CancellationToken,
    forced: CancellationToken,
}

impl Shutdown {
    /// No order yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Orders to stop: readiness goes, listeners close after `drain_delay`, open requests may finish.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Orders to stop without waiting for anything.
    pub fn force(&self) {
        self.forced.cancel();
        self.begun.cancel();
    }

    /// Whether the order to stop has been given.
    pub fn is_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Waits for the order to stop.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Awaits something, unless there is no time for anything.
    pub async fn unless_forced<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.forced.cancelled() => None,
            done = wait => Some(done),
        }
    }
}

/// The tasks of one server. Whoever starts one for a request starts it here, so that the end waits for it.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tracker: TaskTracker,
    /// A [`DrainStage`], readable without a lock.
    stage: AtomicU8,
    draining: CancellationToken,
    ending: CancellationToken,
    cut: CancellationToken,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DrainStage {
    /// Not at all.
    Open,
    /// Listeners are closed; connections end after their open requests.
    Draining,
    /// The time is up.
    Ending,
}

/// What a tunnel has to say good-bye after [`Tasks::ending`].
const LAST_WORD: Duration = Duration::from_secs(1);

impl Tasks {
    /// Runs a task that may last longer than its request, such as an upgraded connection.
    /// It is dropped a second after [`Self::ending`].
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cut = self.0.cut.clone();
        self.0.tracker.spawn(async move {
            tokio::select! {
                biased;
                () = cut.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Waits until the listeners have closed and connections should end.
    pub async fn draining(&self) {
        self.0.draining.cancelled().await;
    }

    /// Waits until the time to drain is over.
    pub async fn ending(&self) {
        self.0.ending.cancelled().await;
    }

    /// The futures behind [`Self::draining`] and [`Self::ending`].
    pub(super) fn notices(&self) -> (WaitForCancellationFuture<'_>, WaitForCancellationFuture<'_>) {
        (self.0.draining.cancelled(), self.0.ending.cancelled())
    }

    /// Runs a task that minds the end itself.
    pub(super) fn track(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.0.tracker.spawn(task).abort_handle()
    }

    pub(super) fn stage(&self) -> DrainStage {
        match self.0.stage.load(Ordering::Acquire) {
            0 => DrainStage::Open,
            1 => DrainStage::Draining,
            _ => DrainStage::Ending,
        }
    }

    /// Ends the tasks, once the order to stop is given.
    pub(super) async fn drain(&self, shutdown: &Shutdown, timeouts: &ServerTimeouts) {
        shutdown.unless_forced(sleep(timeouts.drain_delay)).await;
        self.0.stage.store(DrainStage::Draining as u8, Ordering::Release);
        self.0.draining.cancel();
        self.0.tracker.close();
        shutdown.unless_forced(timeout(timeouts.drain, self.0.tracker.wait())).await;
        if !self.0.tracker.is_empty() {
            tracing::warn!(tasks = self.0.tracker.len(), "cutting what did not finish in time");
        }
        self.0.stage.store(DrainStage::Ending as u8, Ordering::Release);
        self.0.ending.cancel();
        shutdown.unless_forced(timeout(LAST_WORD, self.0.tracker.wait())).await;
        self.0.cut.cancel();
        self.0.tracker.wait().await;
    }
}

/// Wakes a connection's task when the stage changes.
/// Asking a token takes its lock, and a connection is polled several times per request, so it asks only once:
/// afterwards the stage is one atomic load.
pub(super) struct StageWatch<'p, 't> {
    tasks: &'t Tasks,
    draining: Pin<&'p mut WaitForCancellationFuture<'t>>,
    ending: Pin<&'p mut WaitForCancellationFuture<'t>>,
    registered: Option<Waker>,
}

impl<'p, 't> StageWatch<'p, 't> {
    /// Takes the two of [`Tasks::notices`], pinned.
    pub(super) fn new(
        tasks: &'t Tasks,
        draining: Pin<&'p mut WaitForCancellationFuture<'t>>,
        ending: Pin<&'p mut WaitForCancellationFuture<'t>>,
    ) -> Self {
        Self { tasks, draining, ending, registered: None }
    }

    /// The stage; the task is woken when it changes.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> DrainStage {
        if !self.registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.registered = Some(cx.waker().clone());
            // Both only register the waker: what they have to say is in the stage.
            for notice in [&mut self.draining, &mut self.ending] {
                let (Poll::Ready(()) | Poll::Pending) = notice.as_mut().poll(cx);
            }
        }
        self.tasks.stage()
    }
}
