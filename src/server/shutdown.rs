//! The shutdown of a server: the order to stop, the drain, and the tasks that it waits for.
//! Invariant: a server returns only when all of its tasks have ended, and no task runs longer than
//! `drain_delay`, `drain` and one second together.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

use crate::lock::lock;
use crate::random;
use crate::server::settings::ServerTimeouts;

/// The order to stop. All clones share it.
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

    /// Starts the drain: `/readyz` fails, listeners close after `drain_delay`, open requests may finish.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Stops without waiting for open requests.
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

    /// Waits for a future. Returns `None` as soon as [`Self::force`] is called.
    pub async fn unless_forced<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.forced.cancelled() => None,
            done = wait => Some(done),
        }
    }
}

/// The tasks of one server. Tasks of requests are started here, so that the drain waits for them.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tracker: TaskTracker,
    /// A [`DrainStage`], which can be read without a lock.
    stage: AtomicU8,
    draining: CancellationToken,
    ending: CancellationToken,
    cut: CancellationToken,
    groups: Mutex<Vec<Weak<Self>>>,
}

/// The progress of the shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DrainStage {
    /// The server is running.
    Open,
    /// The order to stop has been given, and new connections are still accepted.
    Stopping,
    /// Listeners are closed; connections end after their open requests.
    Draining,
    /// The time to drain is over.
    Ending,
}

/// Open-ended streams end at a random moment within this time. A WebSocket needs up to one more second for its close
/// message. So a process without other work stops within two seconds.
const LEAVING: Duration = Duration::from_millis(900);

/// The time of a tunnel to send its close message after the time to drain.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

impl Tasks {
    /// Runs a task that may last longer than its request, such as an upgraded connection.
    /// It is dropped a second after the time to drain.
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

    /// Waits until an open-ended stream has to end: at a random moment in the first second of the
    /// drain, so that a thousand clients do not connect to the next process at once.
    pub async fn leaving(&self) {
        self.draining().await;
        let share = f64::from(u16::from_ne_bytes(random::bytes())) / f64::from(u16::MAX);
        tokio::select! {
            () = sleep(LEAVING.mul_f64(share)) => {}
            () = self.0.ending.cancelled() => {}
        }
    }

    /// Waits until all streams without an end of their own should have ended.
    pub async fn left(&self) {
        self.draining().await;
        tokio::select! {
            () = sleep(LEAVING) => {}
            () = self.0.ending.cancelled() => {}
        }
    }

    /// Whether the order to stop has been given.
    pub fn is_stopping(&self) -> bool {
        self.stage() > DrainStage::Open
    }

    /// The futures that end when the drain begins, and when its time is over.
    pub(super) fn notices(&self) -> (WaitForCancellationFuture<'_>, WaitForCancellationFuture<'_>) {
        (self.0.draining.cancelled(), self.0.ending.cancelled())
    }

    /// A group of these tasks, which can leave alone.
    pub(super) fn group(&self) -> Self {
        // Before the stage is read: a stage that begins meanwhile waits for the lock, and reaches the group.
        let mut groups = lock(&self.0.groups);
        let group = Arc::new(Inner {
            tracker: self.0.tracker.clone(),
            stage: AtomicU8::new(self.0.stage.load(Ordering::Acquire)),
            draining: self.0.draining.child_token(),
            ending: self.0.ending.child_token(),
            cut: self.0.cut.child_token(),
            groups: Mutex::default(),
        });
        groups.retain(|group| group.strong_count() > 0);
        groups.push(Arc::downgrade(&group));
        Self(group)
    }

    /// Ends the tasks of a group as a drain does, while the server goes on.
    pub(super) async fn leave(&self, timeouts: &ServerTimeouts) {
        self.enter(DrainStage::Draining);
        self.0.draining.cancel();
        sleep(timeouts.drain).await;
        self.enter(DrainStage::Ending);
        self.0.ending.cancel();
        sleep(CLOSE_GRACE).await;
        self.0.cut.cancel();
    }

    /// Begins a stage, for groups too. No stage begins again.
    fn enter(&self, stage: DrainStage) {
        self.0.stage.fetch_max(stage as u8, Ordering::AcqRel);
        for group in lock(&self.0.groups).iter().filter_map(Weak::upgrade) {
            group.stage.fetch_max(stage as u8, Ordering::AcqRel);
        }
    }

    /// Runs a task that observes the drain itself.
    pub(super) fn track(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.0.tracker.spawn(task).abort_handle()
    }

    pub(super) fn stage(&self) -> DrainStage {
        match self.0.stage.load(Ordering::Acquire) {
            0 => DrainStage::Open,
            1 => DrainStage::Stopping,
            2 => DrainStage::Draining,
            _ => DrainStage::Ending,
        }
    }

    /// Drains: waits for the tasks, then cuts them.
    pub(super) async fn drain(&self, shutdown: &Shutdown, timeouts: &ServerTimeouts) {
        self.enter(DrainStage::Stopping);
        shutdown.unless_forced(sleep(timeouts.drain_delay)).await;
        self.enter(DrainStage::Draining);
        self.0.draining.cancel();
        self.0.tracker.close();
        shutdown.unless_forced(timeout(timeouts.drain, self.0.tracker.wait())).await;
        if !self.0.tracker.is_empty() {
            tracing::warn!(
                tasks = self.0.tracker.len(),
                "drain timed out, closing remaining requests"
            );
        }
        self.enter(DrainStage::Ending);
        self.0.ending.cancel();
        shutdown.unless_forced(timeout(CLOSE_GRACE, self.0.tracker.wait())).await;
        self.0.cut.cancel();
        self.0.tracker.wait().await;
    }
}

/// Wakes a connection's task when the stage changes. Polling a token takes its lock, and a connection is polled
/// several times per request. So tokens are polled only to register a waker, and the stage is read by one atomic
/// load.
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
            // Both only register the waker; the result is in the stage.
            for notice in [&mut self.draining, &mut self.ending] {
                let (Poll::Ready(()) | Poll::Pending) = notice.as_mut().poll(cx);
            }
        }
        self.tasks.stage()
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn streams_end_spread_over_the_first_second_of_the_drain() {
        let (tasks, began) = (Tasks::default(), Instant::now());
        let mut streams = JoinSet::new();
        for _ in 0..400 {
            let tasks = tasks.clone();
            streams.spawn(async move {
                tasks.leaving().await;
                began.elapsed()
            });
        }
        tasks.0.draining.cancel();
        let ends = streams.join_all().await;
        assert!(ends.iter().all(|end| *end <= Duration::from_secs(1)));
        // Of each tenth there are 44 on average.
        let tenth = Duration::from_millis(100);
        for begin in (0..9).map(|number| tenth * number) {
            let count = ends.iter().filter(|end| (begin..begin + tenth).contains(*end)).count();
            assert!(
                (10..100).contains(&count),
                "{count} end in the tenth that begins at {begin:?}"
            );
        }
    }
}
