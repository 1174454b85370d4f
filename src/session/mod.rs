//! A signed-in browser; knows no provider.
//! Invariant: the browser holds a random id and nothing else; the table holds the id's hash, so that
//! neither a look into memory nor a timing tells an id.

pub mod cookie;
pub mod end_signal;
pub mod refresh;
pub mod seal;
pub mod size_limit;
pub mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use aws_lc_rs::digest::{SHA256, digest};

use crate::clock::Moment;
use crate::identity::Identity;
use crate::identity::headers::{HeaderRule, Known, Rendered, render};
use crate::identity::refresh_baseline::RefreshBaseline;
use crate::oauth::token::TokenSet;
use crate::random;
use crate::secret::Secret;
use end_signal::EndSignal;
use refresh::Refreshing;

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
    /// Bytes of claims and tokens that one session holds: see [`size_limit`].
    pub max_bytes: usize,
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

/// What the browser holds: 256 random bits as 43 characters of base64url. A secret.
pub struct SessionId(String);

/// What the table holds: the SHA-256 of an id's text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey([u8; 32]);

/// A signed-in browser.
#[derive(Debug)]
pub struct Session {
    key: SessionKey,
    ends: Moment,
    /// The last request, in milliseconds of the clock.
    used: AtomicU64,
    /// Whether a request has brought it.
    brought: AtomicBool,
    data: ArcSwap<SessionData>,
    refreshing: Refreshing,
    streams: EndSignal,
    upstream_connections: Arc<AtomicUsize>,
}

/// What a session holds; replaced as a whole by a refresh.
#[derive(Debug)]
pub struct SessionData {
    /// Who is signed in.
    pub identity: Identity,
    /// What the claims of a refresh are compared with.
    pub baseline: RefreshBaseline,
    /// What the provider gave.
    pub tokens: Tokens,
    /// The headers of the last rules asked for: made once, sent with every request.
    rendered: ArcSwapOption<Cached>,
}

#[derive(Debug)]
struct Cached {
    rules: Arc<[HeaderRule]>,
    headers: Arc<Rendered>,
}

/// Us with the provider: a token set and when it has to be renewed.
#[derive(Debug)]
pub struct Tokens {
    /// RFC 6749 §1.4; `None` where it was dropped for `max_bytes`, as nothing uses it.
    pub access_token: Option<Secret>,
    /// When the access token expires; `None`: not before the session.
    pub expires: Option<Moment>,
    /// When it should be refreshed; `None`: never.
    pub due: Option<Moment>,
    /// RFC 6749 §1.5.
    pub refresh_token: Option<Secret>,
    /// The ID token as it came, for `id_token_hint` and `{id_token}`.
    pub id_token: Option<Secret>,
}

/// How it stands with a session's access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Valid, and not due.
    Fresh,
    /// Valid, and due to be refreshed.
    Due,
    /// Expired; a refresh may bring another.
    Expired,
    /// Expired, and nothing to refresh it with: the session goes on without it.
    Spent,
}

impl SessionId {
    /// A new id. Ids are only ever made here, never taken over from a browser.
    pub fn generate() -> Self {
        Self(random::text::<32>())
    }

    /// The id as a cookie's value.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The id's place in the table.
    pub fn key(&self) -> SessionKey {
        SessionKey::of(&self.0)
    }
}

impl SessionKey {
    /// Where the table would have the session that a cookie tells of, if the cookie is as long as an id.
    pub fn of_cookie(text: &str) -> Option<Self> {
        (text.len() == ID_LENGTH).then(|| Self::of(text))
    }

    // SECURITY: looked up by hash, so that the time of a lookup tells nothing of an id (T111).
    fn of(id: &str) -> Self {
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, id.as_bytes()).as_ref());
        Self(key)
    }

    /// All 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first half: enough to recognise a session, not to find it.
    pub fn half(&self) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(self.0.split_at(16).0);
        half
    }
}

impl std::fmt::Debug for SessionKey {
    /// Eight characters: enough to follow a session through a log, not to find it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Session {
    /// A session that starts now.
    pub fn new(id: &SessionId, data: SessionData, now: Moment, lifetime: Duration) -> Self {
        Self {
            key: id.key(),
            ends: now.after(lifetime),
            used: AtomicU64::new(now.as_millis()),
            brought: AtomicBool::new(false),
            data: ArcSwap::from_pointee(data),
            refreshing: Refreshing::default(),
            streams: EndSignal::default(),
            upstream_connections: Arc::default(),
        }
    }

    /// Its place in the table.
    pub fn key(&self) -> SessionKey {
        self.key
    }

    /// When it ends at the latest.
    pub fn ends(&self) -> Moment {
        self.ends
    }

    /// The last time it was used.
    pub fn used(&self) -> Moment {
        Moment::from_millis(self.used.load(Ordering::Relaxed))
    }

    /// Notes a use.
    pub fn touch(&self, now: Moment) {
        if !self.is_brought() {
            self.brought.store(true, Ordering::Relaxed);
        }
        self.used.store(now.as_millis(), Ordering::Relaxed);
    }

    /// Whether a request has brought it since it was made.
    pub fn is_brought(&self) -> bool {
        self.brought.load(Ordering::Relaxed)
    }

    /// Whether its lifetime or its idle time is over.
    pub fn is_over(&self, now: Moment, idle_timeout: Option<Duration>) -> bool {
        now >= self.ends || idle_timeout.is_some_and(|idle| now.since(self.used()) >= idle)
    }

    /// What it holds at the moment.
    pub fn data(&self) -> Guard<Arc<SessionData>> {
        self.data.load()
    }

    /// The open streams that end with it.
    pub fn streams(&self) -> &EndSignal {
        &self.streams
    }

    /// Counts the connections to upstreams that its requests hold.
    pub fn upstream_connections(&self) -> &Arc<AtomicUsize> {
        &self.upstream_connections
    }

    fn replace(&self, data: SessionData) {
        self.data.store(Arc::new(data));
    }
}

impl SessionData {
    /// What a sign-in or a refresh brought.
    pub fn new(identity: Identity, mut baseline: RefreshBaseline, tokens: Tokens) -> Self {
        if baseline.binding.subject == identity.subject {
            // One text for both.
            baseline.binding.subject = Arc::clone(&identity.subject);
        }
        Self { identity, baseline, tokens, rendered: ArcSwapOption::empty() }
    }

    /// This identity's headers by these rules; made once, for a session mostly meets one route.
    pub fn headers(&self, rules: &Arc<[HeaderRule]>) -> Arc<Rendered> {
        if let Some(cached) = &*self.rendered.load()
            && Arc::ptr_eq(&cached.rules, rules)
        {
            return Arc::clone(&cached.headers);
        }
        let headers = Arc::new(render(
            rules,
            Known {
                identity: &self.identity,
                access_token: self.tokens.access_token.as_ref(),
                id_token: self.tokens.id_token.as_ref(),
            },
        ));
        let cached = Cached { rules: Arc::clone(rules), headers: Arc::clone(&headers) };
        self.rendered.store(Some(Arc::new(cached)));
        headers
    }
}

impl Tokens {
    /// Reads a token set; its life began when it was asked for.
    pub fn new(set: TokenSet, refresh_before: Duration) -> Self {
        let expires = set.expires_in.map(|life| set.asked.after(life));
        let due = set.expires_in.filter(|_| set.refresh_token.is_some()).map(|life| {
            // A short-lived token is refreshed at half of its life, not all the time.
            set.asked.after(life.saturating_sub(refresh_before.min(life / 2)))
        });
        Self {
            access_token: Some(set.access_token),
            expires,
            due,
            refresh_token: set.refresh_token,
            id_token: set.id_token,
        }
    }

    /// How it stands with the access token.
    pub fn freshness(&self, now: Moment) -> Freshness {
        let passed = |moment: Option<Moment>| moment.is_some_and(|moment| now >= moment);
        match (passed(self.expires), self.refresh_token.is_some()) {
            (true, true) => Freshness::Expired,
            (true, false) => Freshness::Spent,
            (false, _) if passed(self.due) => Freshness::Due,
            (false, _) => Freshness::Fresh,
        }
    }

    /// Whether the provider has not vouched for this person for longer than an outage may take: the
    /// session is worth nothing until a refresh succeeds. A token that nothing can renew never lapses.
    pub fn is_lapsed(&self, now: Moment, grace: Duration) -> bool {
        self.freshness(now) == Freshness::Expired
            && self.expires.is_some_and(|expires| now >= expires.after(grace))
    }

    /// Whether the access token may be sent to an upstream.
    // SECURITY: an expired token never is.
    pub fn access_token_is_valid(&self, now: Moment) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

/// Of 32 bytes as unpadded base64url.
const ID_LENGTH: usize = 43;

#[cfg(test)]
pub(crate) mod tests;
