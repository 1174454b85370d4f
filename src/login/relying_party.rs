//! What sign-in and the gate share: the OpenID Connect relying party that this gateway is to its providers.

use std::sync::Arc;

use http::HeaderMap;

use crate::clock::Clock;
use crate::providers::Registry;
use crate::routing::Site;
use crate::session::cookie::Cookies;
use crate::session::{Session, Sessions, StoreUnavailable};
use crate::telemetry::metrics::Metrics;

/// The relying party: its URL, its providers, its cookies and the sessions that they name.
#[derive(Debug)]
pub struct RelyingParty {
    site: Site,
    providers: Registry,
    sessions: Sessions,
    cookies: Cookies,
    clock: Clock,
    metrics: Arc<Metrics>,
}

impl RelyingParty {
    /// A relying party at `site`.
    pub fn new(
        site: Site,
        providers: Registry,
        sessions: Sessions,
        cookies: Cookies,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { site, providers, sessions, cookies, clock, metrics }
    }

    /// Where browsers reach the gateway.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Where users sign in.
    pub fn providers(&self) -> &Registry {
        &self.providers
    }

    /// All sessions.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The live session that the session cookie of a request names.
    pub async fn session(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<Arc<Session>>, StoreUnavailable> {
        self.sessions.of_request(&self.cookies, headers).await
    }

    /// The gateway's cookies.
    pub fn cookies(&self) -> &Cookies {
        &self.cookies
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Counts sign-ins, sign-outs and limits.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}
