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

use crate::clock::Clock;
use crate::error::{Error, Forbidden};
use crate::identity::Identity;
use crate::identity::headers::IdentityHeaderNames;
use crate::origin::Origin;
use crate::providers::Provider;
use crate::routing::path::{PathInterpretations, PathPrefix};
use crate::server::{Answered, ClientInfo, Incoming};
use crate::session::cookie::Cookies;
use crate::session::refresh::Refresher;
use crate::session::table::SessionTable;
use crate::telemetry::audit;
use crate::telemetry::metrics::Metrics;
use challenge::{Challenged, answered, is_foreign_handshake};
use decide::{AccessRequest, Cause, Decision, Refusal, decide};
use reach::Reach;
use route::Route;
use routes::Routes;
use session_bound::SessionBound;

/// Who may pass, and on what terms.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The sessions.
    pub sessions: Arc<SessionTable>,
    /// Renews their tokens.
    pub refresher: Refresher,
    /// The gateway's cookies.
    pub cookies: Arc<Cookies>,
    /// Where visitors sign in, in the order of the sign-in page.
    pub providers: Arc<[Arc<Provider>]>,
    /// What no visitor may send.
    pub stripped: Arc<IdentityHeaderNames>,
    /// The origin at which browsers reach the gateway.
    pub public_url: Origin,
    /// The gateway's own paths.
    pub prefix: PathPrefix,
    /// How long past its token's expiry a session goes on while the token endpoint cannot be reached.
    pub outage_grace: Duration,
    /// The time.
    pub clock: Clock,
    /// Where limits are counted.
    pub metrics: Arc<Metrics>,
    /// Requests that end with their session.
    pub session_bound: Arc<SessionBound>,
}

impl Gate {
    /// Whether several providers sign in on a route.
    pub fn takes_several(&self, route: &Route) -> bool {
        self.providers.iter().filter(|provider| route.takes(provider.id())).count() > 1
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
            Decision::Forward(permit) => self.forward(permit, incoming).await,
            Decision::Challenge => {
                let method = Some(method);
                let challenged = Challenged { route, method, headers, target, client };
                self.challenge(challenged).map(answered)
            }
            Decision::Refuse(refusal) => Err(self.refused(route, &refusal, client, target)),
            Decision::Ambiguous(interpretation) => Err(Error::Ambiguous { interpretation }),
        }
    }

    /// The error of a refusal, with what its page says; noted where refusals are.
    pub fn refused(
        &self,
        route: &Route,
        refusal: &Refusal,
        client: &ClientInfo,
        target: &str,
    ) -> Error {
        let reason = refusal.cause.words();
        audit::denied(
            &route.name,
            &reason,
            refusal.visitor.identity().map(Identity::person),
            client.for_audit(),
        );
        route.meter.denied(reason);
        let causes = match &refusal.cause {
            Cause::Rules(denial) => denial.failed.clone(),
            Cause::ForeignOrigin => return Error::ForeignOrigin,
            Cause::SecondPath(fault) => return Error::SecondPath(*fault),
        };
        let Some(member) = refusal.visitor.member() else {
            return Error::DeniedForEveryone { failed: causes };
        };
        let identity = member.data.identity.clone();
        let provider = self.providers.iter().find(|provider| *provider.id() == identity.provider);
        Error::Forbidden(Box::new(Forbidden {
            provider: provider.map_or_else(String::new, |provider| provider.name().to_owned()),
            identity,
            failed: causes,
            return_to: self.return_to(client, target),
        }))
    }
}
