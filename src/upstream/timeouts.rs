//! Deadlines of one forwarded request.
//! Invariant: one timer per connection serves them all. It is left where it stands while a deadline
//! moves ahead, and pushed on only when it fires, so that a request costs no entry in the timer wheel.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline that is cheap to move ahead.
#[derive(Debug)]
pub(super) struct Deadline {
    due: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    /// A deadline that is due at once, until it is set.
    pub(super) fn new() -> Self {
        let due = Instant::now();
        Self { due, timer: Box::pin(sleep_until(due)) }
    }

    /// Due `limit` after `start`.
    pub(super) fn set(&mut self, start: Instant, limit: Duration) {
        self.due = start.checked_add(limit.min(FOREVER)).unwrap_or(start);
    }

    /// Ready once the deadline has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.deadline() > self.due {
            self.timer.as_mut().reset(self.due);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.timer.deadline() >= self.due {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.due);
        }
    }
}

/// Longer than any process lives, and short enough to be added to any instant.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_deadline_is_kept_when_it_moves_ahead_and_when_it_moves_back() {
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
}
