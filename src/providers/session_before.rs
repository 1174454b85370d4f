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
    /// `session.outage_grace`: how long groups stay that the provider's API does not return for now.
    pub outage_grace: Duration,
}

impl SessionBefore<'_> {
    /// Whether the groups were fetched so lately that they may stay while the API fails.
    pub(super) fn has_fresh_groups(&self, now: UnixTime) -> bool {
        let grace = i64::try_from(self.outage_grace.as_secs()).unwrap_or(i64::MAX);
        self.baseline.groups_at.is_some_and(|at| now.0.saturating_sub(at.0) <= grace)
    }
}
