//! Rate limit of repeated log lines.
//! Invariant: a flood of requests does not flood the log.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::lock::lock;

/// When a line was last written.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<Option<Instant>>);

impl LogThrottle {
    /// Whether the line can be written now: at most once in ten seconds. If so, counts it as written.
    pub fn allow(&self) -> bool {
        let now = Instant::now();
        let mut last = lock(&self.0);
        let due = last.is_none_or(|last| now.duration_since(last) >= QUIET);
        *last = if due { Some(now) } else { *last };
        due
    }
}

const QUIET: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_line_within_ten_seconds_is_not_allowed() {
        let throttle = LogThrottle::default();
        assert_eq!([(); 3].map(|()| throttle.allow()), [true, false, false]);
        *throttle.0.lock().unwrap() = Instant::now().checked_sub(QUIET);
        assert_eq!([(); 2].map(|()| throttle.allow()), [true, false]);
    }
}
