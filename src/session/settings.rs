//! What `session:` configures.

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;
use crate::session::redis::RedisSettings;

/// The `session` section.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time from sign-in to the end of a session.
    pub lifetime: Duration,
    /// A session ends after this long without a request.
    pub idle_timeout: Option<Duration>,
    /// Refresh when the access token has less than this left, or half of its lifetime if that is shorter.
    pub refresh_before: Duration,
    /// How long after its access token expires a session stays valid while the token endpoint is unreachable.
    pub outage_grace: Duration,
    /// How long after the provider's last answer it is asked again whether the session still stands.
    pub recheck: Option<Duration>,
    /// The session cookie.
    pub cookie: CookieSettings,
    /// The maximum number of sessions.
    pub max_sessions: usize,
    /// The maximum number of sessions of one user: one (provider, `sub`).
    pub max_sessions_per_user: usize,
    /// The maximum size of claims and tokens in one session, in bytes: see [`size_limit`](super::size_limit).
    pub max_bytes: usize,
    /// Secrets that seal the sign-in state, the login-target cookie and the snapshot, newest first. If empty, Portcullis generates
    /// one at start.
    pub secrets: Vec<Secret>,
    /// Where sessions are stored.
    pub store: Store,
    /// The file that keeps sessions over a restart: see [`snapshot`](super::snapshot).
    pub snapshot: Option<PathBuf>,
}

/// `session.store`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Store {
    /// In the memory of this process.
    #[default]
    Memory,
    /// On a Redis or Valkey server, which other instances use too.
    Redis(Box<RedisSettings>),
}

/// `session.cookie`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CookieSettings {
    /// The configured name; by default it depends on scheme and domain.
    pub name: Option<String>,
    /// `Domain`, without a leading dot.
    pub domain: Option<String>,
    /// `SameSite`.
    pub same_site: SameSite,
    /// When the browser removes the cookie.
    pub persistence: Persistence,
}

/// When the browser removes the session cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Persistence {
    /// At the end of the session: `Max-Age`.
    #[default]
    Session,
    /// When it closes, or at the end of the session.
    Browser,
}

/// `SameSite` of the session cookie (RFC 6265bis §4.1.2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// The browser sends the cookie with top-level navigations from other sites.
    #[default]
    Lax,
    /// The browser sends the cookie with every request: needed inside frames of other sites.
    None,
}
