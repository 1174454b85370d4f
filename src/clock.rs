//! The one source of time.
//! Invariant: a `Moment` is monotonic and measures lifetimes; a `UnixTime` is wall-clock time and is compared with the
//! times in tokens. So a step of the wall clock neither ends nor revives a session.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use cookie::time::OffsetDateTime;

/// A clock. A clone is cheap and has the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    origin: Instant,
    /// The time since 1970 of a test's clock that does not advance by itself; `None` for a real clock.
    manual: Option<Duration>,
    /// Milliseconds by which a test advanced this clock; always zero in production.
    ahead: Arc<AtomicU64>,
}

/// A point on the monotonic clock: milliseconds since `PAST` before the clock was made, or of a manual one since it
/// was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

/// Seconds since 1970-01-01T00:00:00Z, as in RFC 7519 `NumericDate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub i64);

impl Clock {
    /// The system's clock.
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the time")]
    pub fn system() -> Self {
        Self { origin: Instant::now(), manual: None, ahead: Arc::default() }
    }

    /// A clock that advances only by [`advance`](Self::advance): for tests, which must not depend on their speed.
    pub fn manual() -> Self {
        let clock = Self::system();
        Self { manual: Some(clock.since_epoch()), ..clock }
    }

    /// The monotonic time.
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the time")]
    pub fn moment(&self) -> Moment {
        let since = match self.manual {
            None => Instant::now().duration_since(self.origin).saturating_add(PAST),
            Some(_) => Duration::ZERO,
        };
        Moment(millis(since).saturating_add(self.ahead.load(Ordering::Relaxed)))
    }

    /// The wall-clock time, since 1970-01-01T00:00:00Z.
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the time")]
    #[expect(clippy::disallowed_types, reason = "the only place that reads the time")]
    pub fn since_epoch(&self) -> Duration {
        let since = match self.manual {
            None => std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            Some(since) => since,
        };
        since.saturating_add(Duration::from_millis(self.ahead.load(Ordering::Relaxed)))
    }

    /// The wall-clock time in whole seconds.
    pub fn unix(&self) -> UnixTime {
        UnixTime(i64::try_from(self.since_epoch().as_secs()).unwrap_or(i64::MAX))
    }

    /// Advances this clock and all its clones: for tests, which must not wait.
    pub fn advance(&self, by: Duration) {
        self.ahead.fetch_add(millis(by), Ordering::Relaxed);
    }
}

/// RFC 3339 in UTC; the number where no calendar has it.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(time) = OffsetDateTime::from_unix_timestamp(self.0) else {
            return write!(f, "{}", self.0);
        };
        let (date, (hour, minute, second)) = (time.date(), time.to_hms());
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl Moment {
    /// This moment, `by` later; saturates.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }

    /// This moment, `by` earlier; saturates.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(millis(by)))
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Milliseconds, for an atomic.
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// The reverse of [`Self::as_millis`].
    pub fn from_millis(millis: u64) -> Self {
        Self(millis)
    }
}

/// Moments before the process began: a session that an earlier process stored is older. More than a session can last.
const PAST: Duration = Duration::from_secs(1000 * 24 * 3600);

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_advance_together() {
        let clock = Clock::system();
        let (clone, before) = (clock.clone(), clock.moment());
        clock.advance(Duration::from_secs(60));
        assert!(clone.moment().since(before) >= Duration::from_secs(60));
    }

    #[test]
    fn manual_clock_advances_only_by_steps() {
        let clock = Clock::manual();
        let (moment, unix) = (clock.moment(), clock.unix());
        std::thread::yield_now();
        assert_eq!((clock.moment(), clock.unix()), (moment, unix));
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.moment().since(moment), Duration::from_secs(2));
        assert_eq!(clock.unix(), UnixTime(unix.0 + 2));
    }

    #[test]
    fn unix_time_is_printed_as_a_date() {
        assert_eq!(UnixTime(1_800_000_000).to_string(), "2027-01-15T08:00:00Z");
        assert_eq!(UnixTime(-1).to_string(), "1969-12-31T23:59:59Z");
        assert_eq!(UnixTime(i64::MAX).to_string(), i64::MAX.to_string());
    }

    #[test]
    fn moments_saturate() {
        let start = Moment::from_millis(5);
        assert_eq!(start.since(start.after(Duration::MAX)), Duration::ZERO);
    }
}
