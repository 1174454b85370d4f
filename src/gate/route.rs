//! One route: its settings, and what the gate makes of them.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};

use crate::identity::answer_headers::AnswerHeaders;
use crate::identity::headers::{HeaderRule, constants};
use crate::origin::Origin;
use crate::policy::Policy;
use crate::providers::AllowedProviders;
use crate::routing::host::HostPattern;
use crate::routing::path::PathPrefix;
use crate::telemetry::metrics::RouteMeter;
use crate::upstream::{self, Target, Upstream};

/// An entry of `routes`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name in metrics, logs, pages and `explain`.
    pub name: Arc<str>,
    /// The host that the route is for.
    pub host: HostPattern,
    /// The path prefix that the route is for.
    pub path: PathPrefix,
    /// Where requests go. `None`: only auth subrequests are answered for the route.
    pub upstream: Option<upstream::Settings>,
    /// The largest request body, in bytes.
    pub request_body: Option<u64>,
    /// Which requests are allowed.
    pub allow: Policy,
    /// The IDs of the providers that sign users in on the route. `None`: all.
    pub providers: Option<Vec<Arc<str>>>,
    /// The answer to a visitor who is not signed in.
    pub unauthenticated: Unauthenticated,
    /// Origins whose pages may open WebSockets here, as well as the request's own origin.
    pub websocket_origins: Vec<Origin>,
    /// The headers that identify the user to the upstream.
    pub identity_headers: Vec<HeaderRule>,
}

/// The answer to a visitor who is not signed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unauthenticated {
    /// A redirect for a navigation, 401 for every other request.
    #[default]
    Auto,
    /// A redirect, but 401 for an upgrade or a method that is not safe.
    Redirect,
    /// 401.
    Unauthorized,
}

/// A route at run time.
#[derive(Debug)]
pub struct Route {
    /// The name in metrics, logs, pages and `explain`.
    pub name: Arc<str>,
    /// Counts its requests.
    pub meter: Arc<RouteMeter>,
    /// Where requests go.
    pub upstream: Option<Upstream>,
    /// The same, to compare.
    target: Option<Target>,
    /// The largest request body, in bytes.
    pub request_body: Option<u64>,
    /// Which requests are allowed.
    pub allow: Policy,
    /// The prefixes in its rules that differ in letter case only: nearly always none.
    pub clashing_paths: Vec<PathPrefix>,
    /// The prefixes in `paths` and `exact_paths` of its rules.
    pub ruled_paths: Vec<PathPrefix>,
    /// Whether a rule has `methods`. If so, method overrides are removed.
    pub restricts_methods: bool,
    /// Which providers sign users in on the route.
    pub providers: AllowedProviders,
    /// The answer to a visitor who is not signed in.
    pub unauthenticated: Unauthenticated,
    /// Origins whose pages may open WebSockets here, as well as the request's own origin.
    pub websocket_origins: Vec<Origin>,
    /// The headers that identify the user to the upstream.
    pub identity_headers: Arc<[HeaderRule]>,
    /// The fields of an answer that allows an auth subrequest.
    pub answer: Arc<AnswerHeaders>,
    /// Those without a placeholder, with their values. They are sent for anonymous visitors, too.
    pub constant_headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether one of them contains the access token.
    pub uses_access_token: bool,
    /// Whether one of them is `Authorization`. If so, the client's own is removed.
    pub sets_authorization: bool,
}

impl Route {
    /// A route with these settings, in front of this upstream. `answer` has the fields of an answer that allows an
    /// auth subrequest.
    pub fn new(
        settings: Settings,
        upstream: Option<Upstream>,
        answer: AnswerHeaders,
        meter: Arc<RouteMeter>,
    ) -> Self {
        let rules = settings.identity_headers;
        Self {
            name: settings.name,
            meter,
            upstream,
            target: settings.upstream.map(|upstream| upstream.target),
            request_body: settings.request_body,
            clashing_paths: settings.allow.clashing_paths(),
            ruled_paths: settings.allow.ruled_paths(),
            restricts_methods: settings.allow.restricts_methods(),
            allow: settings.allow,
            providers: settings.providers.map_or(AllowedProviders::All, AllowedProviders::Only),
            unauthenticated: settings.unauthenticated,
            websocket_origins: settings.websocket_origins,
            answer: Arc::new(answer),
            constant_headers: constants(&rules),
            uses_access_token: rules.iter().any(|rule| rule.template.uses_access_token()),
            sets_authorization: rules.iter().any(|rule| rule.name == AUTHORIZATION),
            identity_headers: rules.into(),
        }
    }

    /// Whether both routes have the same `upstream`.
    pub fn has_upstream_of(&self, other: &Self) -> bool {
        self.target == other.target
    }

    /// Whether requests of both routes go to the same upstream, or to one that its address shows to be the same server.
    pub fn may_share_upstream(&self, other: &Self) -> bool {
        let targets = self.target.as_ref().zip(other.target.as_ref());
        targets.is_some_and(|(target, other)| target.may_be_same_server(other))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::identity::answer_headers::{AnswerNames, TokensInAnswers};
    use crate::telemetry::metrics::Metrics;

    /// An entry of a route table: a route without an upstream, named after its path.
    pub(in crate::gate) fn route(
        host: &str,
        path: &str,
        allow: Policy,
    ) -> (HostPattern, PathPrefix, Route) {
        let (host, path) = (HostPattern::parse(host).unwrap(), PathPrefix::parse(path).unwrap());
        let settings = Settings {
            name: path.as_str().into(),
            host: host.clone(),
            path: path.clone(),
            upstream: None,
            request_body: None,
            allow,
            providers: None,
            unauthenticated: Unauthenticated::Auto,
            websocket_origins: Vec::new(),
            identity_headers: Vec::new(),
        };
        let meter = Metrics::default().route(&settings.name);
        let names = AnswerNames::new([]);
        let answer = AnswerHeaders::new(HeaderMap::new(), &names, &[], TokensInAnswers::Sent);
        (host, path, Route::new(settings, None, answer, meter))
    }
}
