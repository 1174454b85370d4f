//! The path of one request: identify the visitor, decide, then forward, ask for sign-in, or deny.

pub mod challenge;
pub mod decide;
mod forward;
pub mod identify;
pub mod initiator;
mod leaving;
pub mod present_rules;
pub mod reach;
mod recheck;
pub mod route;
pub mod routes;
pub mod session_bound;
mod websockets;

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;

use crate::error::{DeniedUser, Error, GroupsReceived};
use crate::gate::challenge::{Challenged, answered, is_foreign_handshake};
use crate::gate::decide::{AccessDenied, AccessRequest, Cause, Decision, decide};
use crate::gate::present_rules::PresentRules;
use crate::gate::reach::Reach;
use crate::gate::route::Route;
use crate::gate::routes::Routes;
use crate::gate::session_bound::SessionBound;
use crate::identity::Identity;
use crate::identity::claims::ClaimPath;
use crate::identity::headers::IdentityHeaderNames;
use crate::identity::incomplete::MissingClaims;
use crate::login::relying_party::RelyingParty;
use crate::routing::path::PathInterpretations;
use crate::server::{Answered, ClientInfo, Incoming};
use crate::session::refresh::Refresher;
use crate::telemetry::audit::{self, DeniedClaims};
use crate::upstream;

/// Decides about requests, and forwards those that are allowed.
#[derive(Clone, Debug)]
pub struct Gate {
    party: Arc<RelyingParty>,
    /// Renews the tokens of sessions.
    refresher: Refresher,
    /// Names of identity headers, removed from every request.
    stripped: Arc<IdentityHeaderNames>,
    /// How long a session continues after the expiry of its access token while the token endpoint is unavailable.
    outage_grace: Duration,
    /// The most bytes of all identity headers of a request: names and values.
    identity_header_bytes: usize,
    /// Requests that end with their session.
    session_bound: Arc<SessionBound>,
    /// The rules by which these requests are decided on after a reload.
    present: Arc<PresentRules>,
    /// Differs from that of every other gate.
    number: u64,
}

impl Gate {
    /// A gate for the sessions of this relying party. `stripped` are the headers that are removed from every
    /// request. `outage_grace` is how long a session continues after the expiry of its access token while the token
    /// endpoint is unavailable. `identity_header_bytes` is the most bytes of all identity headers of a request. `present`
    /// are the rules in effect, of this gate or of a later one.
    pub fn new(
        party: Arc<RelyingParty>,
        refresher: Refresher,
        stripped: IdentityHeaderNames,
        outage_grace: Duration,
        identity_header_bytes: usize,
        session_bound: Arc<SessionBound>,
        present: Arc<PresentRules>,
    ) -> Self {
        Self {
            party,
            refresher,
            stripped: Arc::new(stripped),
            outage_grace,
            identity_header_bytes,
            session_bound,
            number: present.next_number(),
            present,
        }
    }

    /// Differs from that of every other gate.
    pub(in crate::gate) fn number(&self) -> u64 {
        self.number
    }

    /// The most bytes of all identity headers of a request: names and values.
    pub fn identity_header_bytes(&self) -> usize {
        self.identity_header_bytes
    }

    /// Whether a header, in any spelling, describes a user, so that only the gateway may set it.
    pub fn strips(&self, name: &str) -> bool {
        self.stripped.contains(name) || upstream::describes_user(name)
    }

    /// Whether several providers sign users in on a route.
    pub fn has_several_providers(&self, route: &Route) -> bool {
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
        // The route is for auth subrequests only. After a sign-in there would be nothing to show.
        if route.upstream.is_none() {
            return Err(Error::NoRoute);
        }
        let (method, headers) = (incoming.request.method(), incoming.request.headers());
        let client = &incoming.client;
        let reach = Reach::of(Some(method), headers, routes, route, || client.origin());
        let with_parameters = routes.with_parameters(client.host(), interpretations, route);
        let request = AccessRequest {
            route,
            method: Some(method),
            interpretations,
            with_parameters: &with_parameters,
            reach: &reach,
            client_address: client.address(),
            narrowing: None,
            foreign_origin: is_foreign_handshake(route, headers, client),
        };
        let visitor = self.identify(request.authentication(), headers).await?;
        let target = target.as_str();
        match decide(&request, visitor) {
            Decision::Allow(permit) => self.forward(permit, incoming).await,
            Decision::SignIn => {
                let method = Some(method);
                let challenged = Challenged { route, method, headers, target, client };
                self.challenge(challenged).map(answered)
            }
            Decision::Deny(denied) => Err(self.denied(&request, &denied, client, target)),
            Decision::Ambiguous(interpretation) => Err(Error::Ambiguous { interpretation }),
        }
    }

    /// Counts and logs a denied request. Returns its error, with what the page shows.
    pub fn denied(
        &self,
        request: &AccessRequest<'_, '_>,
        denied: &AccessDenied,
        client: &ClientInfo,
        target: &str,
    ) -> Error {
        let (route, reason) = (request.route, denied.cause.reason());
        let identity = denied.visitor.identity();
        let missing = identity.map(|identity| self.missing_claims(request, denied, identity));
        let missing = missing.unwrap_or_default();
        let claims = names_of(&missing);
        audit::denied(
            &route.name,
            &reason,
            &claims,
            identity.map(Identity::person),
            client.for_audit(),
        );
        route.meter.denied(reason);
        let denial = match &denied.cause {
            Cause::Rules(denial) => denial,
            Cause::ForeignOrigin => return Error::ForeignOrigin,
            Cause::SecondPath(fault) => return Error::SecondPath(*fault),
        };
        let Some(member) = denied.visitor.member() else {
            return Error::DeniedForEveryone { failed: denial.failed() };
        };
        let identity = member.data.identity.clone();
        let provider = self.party.providers().by_id(&identity.provider);
        let has_all = identity.incomplete(identity.groups_claim.claim()).is_none();
        Error::Denied(Box::new(DeniedUser {
            provider: provider.map_or_else(String::new, |provider| provider.name().to_owned()),
            identity,
            failed: denial.failed(),
            decisive: denial.decisive(),
            claims,
            groups: if has_all { GroupsReceived::All } else { GroupsReceived::InPart },
            return_to: self.party.site().return_to(&client.origin(), target),
        }))
    }

    /// The claims that the rules name, and of which the denied user has none or not all.
    fn missing_claims(
        &self,
        request: &AccessRequest<'_, '_>,
        denied: &AccessDenied,
        identity: &Identity,
    ) -> MissingClaims {
        let (Cause::Rules(denial), Some(provider)) =
            (&denied.cause, self.party.providers().by_id(&identity.provider))
        else {
            return MissingClaims::default();
        };
        let (names, failed) = (provider.claim_names(), denial.failed());
        let mut missing = request.route.allow.missing_claims(&failed, identity, names);
        if let Some(narrowing) = request.narrowing {
            missing.extend(narrowing.missing_claims(&failed, identity, names));
        }
        provider.denied_without(&missing);
        missing
    }
}

/// The names of missing claims, for the log.
fn names_of(MissingClaims { absent, incomplete }: &MissingClaims) -> DeniedClaims {
    let joined = |paths: Vec<&str>| (!paths.is_empty()).then(|| paths.join(", "));
    DeniedClaims {
        absent: joined(absent.iter().map(ClaimPath::as_str).collect()),
        incomplete: joined(incomplete.iter().map(|(path, _)| path.as_str()).collect()),
    }
}
