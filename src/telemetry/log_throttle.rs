//! Rate limit of repeated log lines.
//! Invariant: a flood of requests does not flood the log.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::lock::lock;

/// When a line was last written, and how long it is not repeated.
#[derive(Debug)]
pub struct LogThrottle {
    last: Mutex<Option<Instant>>,
    quiet: Duration,
}

impl LogThrottle {
    /// A line that is written at most once in this time.
    pub const fn every(quiet: Duration) -> Self {
        Self { last: Mutex::new(None), quiet }
    }

    /// Whether the line can be written now. If so, counts it as written.
    pub fn allow(&self) -> bool {
        let now = Instant::now();
        let mut last = lock(&self.last);
        let due = last.is_none_or(|last| now.duration_since(last) >= self.quiet);
        *last = if due { Some(now) } else { *last };
        due
    }
}

/// At most once in ten seconds.
impl Default for LogThrottle {
    fn default() -> Self {
        Self::every(QUIET)
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
        *throttle.last.lock().unwrap() = Instant::now().checked_sub(QUIET);
        assert_eq!([(); 2].map(|()| throttle.allow()), [true, false]);
    }
}
