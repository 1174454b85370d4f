//! What the gate knows about one route.

use std::sync::Arc;

use crate::identity::headers::HeaderRule;
use crate::origin::Origin;
use crate::policy::Policy;
use crate::routing::host::HostPattern;
use crate::routing::path::PathPrefix;
use crate::upstream;

/// What one entry of `routes:` says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// In metrics, logs, pages and `explain`.
    pub name: Arc<str>,
    /// The host it is for.
    pub host: HostPattern,
    /// The path prefix it is for.
    pub path: PathPrefix,
    /// Where requests go; `None`: the route is only asked about at the auth endpoints.
    pub upstream: Option<upstream::Settings>,
    /// The most bytes of a request's body.
    pub request_body: Option<u64>,
    /// Who may pass.
    pub allow: Policy,
    /// Which providers sign in here; `None`: all.
    pub providers: Option<Vec<Arc<str>>>,
    /// What a visitor who is not signed in meets.
    pub unauthenticated: Unauthenticated,
    /// Origins of WebSockets beside the effective one.
    pub websocket_origins: Vec<Origin>,
    /// What tells the upstream who asks.
    pub identity_headers: Vec<HeaderRule>,
}

/// What a visitor who is not signed in meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unauthenticated {
    /// A navigation is redirected, everything else gets 401.
    #[default]
    Auto,
    /// Always redirected (never an upgrade or a method that is not safe).
    Redirect,
    /// Always 401.
    Unauthorized,
}
