//! A signed-in browser; knows no provider.

use std::time::Duration;

use crate::secret::Secret;

/// What `session:` says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The absolute end, from sign-in.
    pub lifetime: Duration,
    /// The end after this long without a request.
    pub idle_timeout: Option<Duration>,
    /// Refresh when the access token has less than this left, or half of its life if that is shorter.
    pub refresh_before: Duration,
    /// How long past its token's expiry a session goes on while the token endpoint cannot be reached.
    pub outage_grace: Duration,
    /// The session cookie.
    pub cookie: CookieSettings,
    /// Sessions in all.
    pub max_sessions: usize,
    /// Sessions of one (provider, `sub`).
    pub max_sessions_per_user: usize,
    /// Secrets that seal what leaves the process, newest first; empty: one is made at start.
    pub secrets: Vec<Secret>,
}

/// `session.cookie`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookieSettings {
    /// The name as written; `None` is chosen by scheme and domain.
    pub name: Option<String>,
    /// `Domain`, without a leading dot.
    pub domain: Option<String>,
    /// `SameSite`.
    pub same_site: SameSite,
}

/// `SameSite` of the session cookie (RFC 6265bis §4.1.2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Sent on top-level navigations from elsewhere.
    #[default]
    Lax,
    /// Sent from everywhere; for pages inside frames of other sites.
    None,
}
