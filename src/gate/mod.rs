//! The path of one request: identify, decide, then forward, challenge or refuse.

pub mod challenge;
pub mod decide;
pub mod forward;
pub mod identify;
pub mod reach;
pub mod route;
pub mod routes;
pub mod session_bound;
pub mod tunnels;

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;

use crate::error::{DeniedUser, Error};
use crate::identity::Identity;
use crate::identity::headers::IdentityHeaderNames;
use crate::login::relying_party::RelyingParty;
use crate::routing::path::PathInterpretations;
use crate::server::{Answered, ClientInfo, Incoming};
use crate::session::refresh::Refresher;
use crate::telemetry::audit;
use challenge::{Challenged, answered, is_foreign_handshake};
use decide::{AccessDenied, AccessRequest, Cause, Decision, decide};
use reach::Reach;
use route::Route;
use routes::Routes;
use session_bound::SessionBound;

/// Who may pass, and on what terms.
#[derive(Clone, Debug)]
pub struct Gate {
    party: Arc<RelyingParty>,
    /// Renews the tokens of sessions.
    refresher: Refresher,
    /// What no visitor may send.
    stripped: Arc<IdentityHeaderNames>,
    /// How long past its token's expiry a session goes on while the token endpoint cannot be reached.
    outage_grace: Duration,
    /// Requests that end with their session.
    session_bound: Arc<SessionBound>,
}

impl Gate {
    /// A gate for the sessions of this relying party. `stripped` are the headers that no client may send;
    /// `outage_grace` is how long past its token's expiry a session goes on while the token endpoint cannot
    /// be reached.
    pub fn new(
        party: Arc<RelyingParty>,
        refresher: Refresher,
        stripped: IdentityHeaderNames,
        outage_grace: Duration,
        session_bound: Arc<SessionBound>,
    ) -> Self {
        let stripped = Arc::new(stripped);
        Self { party, refresher, stripped, outage_grace, session_bound }
    }

    /// Whether several providers sign in on a route.
    pub fn takes_several(&self, route: &Route) -> bool {
        self.party.providers().for_route(&route.providers).count() > 1
    }

    /// Answers a request for a route.
    pub async fn handle(
        &self,
        routes: &Routes,
        route: &Route,
        interpretations: &PathInterpretations<'_>,
        target: &PathAndQuery,
        incoming: Incoming,
    ) -> Result<Answered, Error> {
        // Only asked about at the auth endpoints: a sign-in would lead nowhere.
        if route.upstream.is_none() {
            return Err(Error::NoRoute);
        }
        let (method, headers) = (incoming.request.method(), incoming.request.headers());
        let client = &incoming.client;
        let reach = Reach::of(Some(method), headers, routes, route, || client.origin());
        let asked = AccessRequest {
            route,
            method: Some(method),
            interpretations,
            reach: &reach,
            client_address: client.address(),
            narrowing: None,
            foreign_origin: is_foreign_handshake(route, headers, client),
        };
        let visitor = self.identify(asked.authentication(), headers).await;
        let target = target.as_str();
        match decide(&asked, visitor) {
            Decision::Allow(permit) => self.forward(permit, incoming).await,
            Decision::SignIn => {
                let method = Some(method);
                let challenged = Challenged { route, method, headers, target, client };
                self.challenge(challenged).map(answered)
            }
            Decision::Deny(denied) => Err(self.denied(route, &denied, client, target)),
            Decision::Ambiguous(interpretation) => Err(Error::Ambiguous { interpretation }),
        }
    }

    /// Counts and logs a denied request. Returns its error, with what the page shows.
    pub fn denied(
        &self,
        route: &Route,
        denied: &AccessDenied,
        client: &ClientInfo,
        target: &str,
    ) -> Error {
        let reason = denied.cause.reason();
        audit::denied(
            &route.name,
            &reason,
            denied.visitor.identity().map(Identity::person),
            client.for_audit(),
        );
        route.meter.denied(reason);
        let causes = match &denied.cause {
            Cause::Rules(denial) => denial.failed.clone(),
            Cause::ForeignOrigin => return Error::ForeignOrigin,
            Cause::SecondPath(fault) => return Error::SecondPath(*fault),
        };
        let Some(member) = denied.visitor.member() else {
            return Error::DeniedForEveryone { failed: causes };
        };
        let identity = member.data.identity.clone();
        let provider = self.party.providers().by_id(&identity.provider);
        Error::Denied(Box::new(DeniedUser {
            provider: provider.map_or_else(String::new, |provider| provider.name().to_owned()),
            identity,
            failed: causes,
            return_to: self.party.site().return_to(&client.origin(), target),
        }))
    }
}
