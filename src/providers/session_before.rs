//! What a refresh knows of its session.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::identity::Identity;
use crate::identity::refresh_baseline::RefreshBaseline;

/// What a session knows before its refresh.
#[derive(Clone, Copy, Debug)]
pub struct SessionBefore<'a> {
    /// Its user.
    pub identity: &'a Identity,
    /// The baseline of the sign-in, or of the last refresh.
    pub baseline: &'a RefreshBaseline,
    /// `session.outage_grace`: how long claims and groups stay that the provider does not return for now.
    pub outage_grace: Duration,
}

impl SessionBefore<'_> {
    /// Since when claims or groups cannot be fetched, if they cannot be now.
    pub(super) fn stale_since(&self, now: UnixTime) -> UnixTime {
        self.baseline.stale_since.unwrap_or(now)
    }

    /// Whether claims and groups may stay while they cannot be fetched for now.
    pub(super) fn is_within_grace(&self, now: UnixTime) -> bool {
        let grace = i64::try_from(self.outage_grace.as_secs()).unwrap_or(i64::MAX);
        now.0.saturating_sub(self.stale_since(now).0) < grace
    }
}
