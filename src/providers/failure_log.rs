//! Log lines about a failure that comes back with every session of a provider.
//! Invariant: the line is written when the failure begins, when it becomes another one, and once more after an hour; not
//! for every session.

use std::fmt::Display;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::lock::lock;
use crate::telemetry::log_throttle::LogThrottle;

/// The failure of one kind of request.
#[derive(Debug, Default)]
pub(super) struct FailureLog {
    last: Mutex<Option<(String, Instant)>>,
    /// For a failure of some users only, which ends and begins with each of them.
    throttle: LogThrottle,
}

impl FailureLog {
    /// Whether this failure, with this effect, is to be logged now.
    pub(super) fn is_news(&self, error: &impl Display, effect: &str) -> bool {
        let (failure, now) = (format!("{error}: {effect}"), Instant::now());
        let mut last = lock(&self.last);
        let is_known = last
            .as_ref()
            .is_some_and(|(known, at)| *known == failure && now.duration_since(*at) < REPEATED);
        let is_news = !is_known && self.throttle.allow();
        if is_news {
            *last = Some((failure, now));
        }
        is_news
    }

    /// Reports a success: the next failure is a new one.
    pub(super) fn works(&self) {
        *lock(&self.last) = None;
    }
}

/// A failure that stays is logged again after this time.
const REPEATED: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failure_is_logged_once_until_it_changes_or_ends() {
        let log = FailureLog::default();
        let pause = || advance(Duration::from_secs(10));
        let is_news = |error: &'static str| log.is_news(&error, "no groups");
        assert_eq!([(); 3].map(|()| is_news("status 403")), [true, false, false]);
        pause().await;
        assert!(!is_news("status 403"), "it is the same");
        assert!(is_news("status 500"));
        pause().await;
        log.works();
        assert!(is_news("status 500"), "it had ended");
        advance(REPEATED).await;
        assert!(is_news("status 500"), "it is still there");
    }

    #[tokio::test(start_paused = true)]
    async fn failure_of_every_second_user_is_logged_at_most_each_ten_seconds() {
        let log = FailureLog::default();
        let mut lines = 0;
        for _ in 0..300 {
            lines += u32::from(log.is_news(&"status 403", "no groups"));
            log.works();
            advance(Duration::from_millis(100)).await;
        }
        assert_eq!(lines, 3, "in 30 s");
    }
}
