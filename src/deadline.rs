//! Deadlines that are often extended and rarely reached.
//! Invariant: extending a deadline does not reset its timer. The timer is reset when it fires early, so that a
//! request, a chunk or a wait costs no entry in the timer wheel.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline and its timer.
#[derive(Debug)]
pub struct Deadline {
    due: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    /// A deadline that has passed, until it is set.
    pub fn new() -> Self {
        let due = Instant::now();
        Self { due, timer: Box::pin(sleep_until(due)) }
    }

    /// A deadline `limit` after `start`.
    pub fn after(start: Instant, limit: Duration) -> Self {
        let due = sum(start, limit);
        Self { due, timer: Box::pin(sleep_until(due)) }
    }

    /// Moves the deadline to `limit` after `start`.
    pub fn set(&mut self, start: Instant, limit: Duration) {
        self.due = sum(start, limit);
    }

    /// Ready once the deadline has passed.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        poll_due(self.timer.as_mut(), self.due, cx)
    }
}

impl Default for Deadline {
    fn default() -> Self {
        Self::new()
    }
}

/// Ready once `due` has passed. The caller holds `timer`, for example on the stack of its task.
pub fn poll_due(mut timer: Pin<&mut Sleep>, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
    if timer.deadline() > due {
        timer.as_mut().reset(due);
    }
    loop {
        ready!(timer.as_mut().poll(cx));
        if timer.deadline() >= due {
            return Poll::Ready(());
        }
        timer.as_mut().reset(due);
    }
}

fn sum(start: Instant, limit: Duration) -> Instant {
    start.checked_add(limit.min(FOREVER)).unwrap_or(start)
}

/// Longer than any process runs, and short enough to add to any instant.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn deadline_is_kept_when_extended_and_when_shortened() {
        let mut deadline = Deadline::new();
        let start = Instant::now();
        for limit in [60_000, 20, 300_000, 40] {
            deadline.set(start, Duration::from_millis(limit));
            if limit < 1000 {
                poll_fn(|cx| deadline.poll(cx)).await;
                assert!(start.elapsed() >= Duration::from_millis(limit), "{limit}");
            } else {
                let pending = poll_fn(|cx| Poll::Ready(deadline.poll(cx).is_pending())).await;
                assert!(pending, "{limit}");
            }
        }
        deadline.set(start, Duration::MAX);
        assert!(poll_fn(|cx| Poll::Ready(deadline.poll(cx).is_pending())).await);
    }

    #[tokio::test]
    async fn timer_is_not_reset_while_deadline_is_extended() {
        let start = Instant::now();
        let due = |seconds| start + Duration::from_secs(seconds);
        let mut timer = Box::pin(sleep_until(due(3600)));
        for seconds in [3600, 7200, 9000] {
            let poll = poll_fn(|cx| Poll::Ready(poll_due(timer.as_mut(), due(seconds), cx))).await;
            assert!(poll.is_pending());
            assert_eq!(timer.deadline(), due(3600), "{seconds}");
        }
    }

    #[tokio::test]
    async fn timer_that_fires_early_waits_until_deadline() {
        let start = Instant::now();
        let due = start + Duration::from_millis(40);
        let mut timer = Box::pin(sleep_until(start + Duration::from_millis(5)));
        poll_fn(|cx| poll_due(timer.as_mut(), due, cx)).await;
        assert!(start.elapsed() >= Duration::from_millis(40));
        assert_eq!(timer.deadline(), due);
    }
}
