//! Lines that say the same again and again.
//! Invariant: whoever floods us does not flood the log.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::lock::lock;

/// When something was last in the log.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<Option<Instant>>);

impl LogThrottle {
    /// Whether it may be there again: at most once in ten seconds. Counts as told from now on.
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
    fn what_was_just_told_is_not_told_again() {
        let seldom = LogThrottle::default();
        assert_eq!([(); 3].map(|()| seldom.allow()), [true, false, false]);
        *seldom.0.lock().unwrap() = Instant::now().checked_sub(QUIET);
        assert_eq!([(); 2].map(|()| seldom.allow()), [true, false]);
    }
}
