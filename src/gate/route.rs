//! What the gate knows about one route.

use std::sync::Arc;

use http::header::AUTHORIZATION;

use crate::identity::headers::HeaderRule;
use crate::origin::Origin;
use crate::policy::Policy;
use crate::providers::AllowedProviders;
use crate::routing::host::HostPattern;
use crate::routing::path::PathPrefix;
use crate::telemetry::metrics::RouteMeter;
use crate::upstream::{self, Upstream};

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

/// A route at run time.
#[derive(Debug)]
pub struct Route {
    /// In metrics, logs, pages and `explain`.
    pub name: Arc<str>,
    /// Counts its requests.
    pub meter: &'static RouteMeter,
    /// Where requests go.
    pub upstream: Option<Upstream>,
    /// The most bytes of a request's body.
    pub request_body: Option<u64>,
    /// Who may pass.
    pub allow: Policy,
    /// The prefixes in its rules that letter case alone tells apart: nearly always none.
    pub clashing_paths: Vec<PathPrefix>,
    /// The prefixes in `paths` of its rules.
    pub ruled_paths: Vec<PathPrefix>,
    /// Whether one of its rules has `methods`; only then method overrides are removed.
    pub restricts_methods: bool,
    /// Which providers sign in here.
    pub providers: AllowedProviders,
    /// What a visitor who is not signed in meets.
    pub unauthenticated: Unauthenticated,
    /// Origins of WebSockets beside the effective one.
    pub websocket_origins: Vec<Origin>,
    /// What tells the upstream who asks.
    pub identity_headers: Arc<[HeaderRule]>,
    /// Whether one of them is made of the access token.
    pub uses_access_token: bool,
    /// Whether one of them is `Authorization`; only then a visitor's own does not pass.
    pub sets_authorization: bool,
}

impl Route {
    /// A route of these settings, in front of this upstream.
    pub fn new(settings: Settings, upstream: Option<Upstream>, meter: &'static RouteMeter) -> Self {
        let rules = settings.identity_headers;
        Self {
            name: settings.name,
            meter,
            upstream,
            request_body: settings.request_body,
            clashing_paths: settings.allow.clashing_paths(),
            ruled_paths: settings.allow.ruled_paths(),
            restricts_methods: settings.allow.restricts_methods(),
            allow: settings.allow,
            providers: settings.providers.map_or(AllowedProviders::All, AllowedProviders::Only),
            unauthenticated: settings.unauthenticated,
            websocket_origins: settings.websocket_origins,
            uses_access_token: rules.iter().any(|rule| rule.template.uses_access_token()),
            sets_authorization: rules.iter().any(|rule| rule.name == AUTHORIZATION),
            identity_headers: rules.into(),
        }
    }
}
