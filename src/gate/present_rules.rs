//! The rules in effect, by which open requests are decided on again after a reload.
//! Invariant: an open request of a session is held to the rules in effect within seconds, not to those of its start.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;

use crate::client_address::ClientAddress;
use crate::gate::Gate;
use crate::gate::decide::{AccessRequest, Decision, decide};
use crate::gate::identify::{Authentication, Member, Visitor};
use crate::gate::reach::Reach;
use crate::gate::routes::Routes;
use crate::server::{ClientInfo, RequestLine};
use crate::session::Session;

/// The rules in effect; they outlive a configuration.
#[derive(Debug, Default)]
pub struct PresentRules {
    now: ArcSwapOption<(Weak<Gate>, Weak<Routes>)>,
    gates: AtomicU64,
}

/// The rules of one configuration.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) gate: Arc<Gate>,
    routes: Arc<Routes>,
}

/// What was decided on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'r> {
    pub(super) line: &'r RequestLine,
    pub(super) host: &'r str,
    pub(super) address: ClientAddress,
}

/// A session in use by an open request, and the last decision on that.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) session: Arc<Session>,
    authentication: Authentication,
    /// The number of the gate that decided.
    decided_by: u64,
}

impl<'r> Asked<'r> {
    pub(super) fn by(client: &'r ClientInfo) -> Self {
        Self { line: client.line(), host: client.host(), address: client.address() }
    }
}

impl Standing {
    /// After a decision by this gate.
    pub(super) fn of(gate: &Gate, member: &Member, authentication: Authentication) -> Self {
        let session = Arc::clone(&member.session);
        Self { session, authentication, decided_by: gate.number() }
    }
}

impl PresentRules {
    /// Puts these rules in effect.
    pub fn replace(&self, gate: &Arc<Gate>, routes: &Arc<Routes>) {
        self.now.store(Some(Arc::new((Arc::downgrade(gate), Arc::downgrade(routes)))));
    }

    /// A number that no other gate of the process has.
    pub(super) fn next_number(&self) -> u64 {
        self.gates.fetch_add(1, Ordering::Relaxed)
    }

    /// The rules in effect; `None` at the start and the end of the process.
    pub(super) fn now(&self) -> Option<Rules> {
        let now = self.now.load_full()?;
        Some(Rules { gate: now.0.upgrade()?, routes: now.1.upgrade()? })
    }
}

impl Rules {
    /// Whether an open request may stay open. Decides again if the last decision was by other rules.
    pub(super) fn allow(&self, standing: &mut Standing, asked: Asked<'_>) -> bool {
        if standing.decided_by != self.gate.number() {
            let Some(authentication) = self.decide_again(&standing.session, asked) else {
                return false;
            };
            (standing.authentication, standing.decided_by) = (authentication, self.gate.number());
        }
        self.gate.may_stay_open(&standing.session, standing.authentication)
    }

    /// The decision on an open request by these rules; `None`: it is not allowed.
    fn decide_again(
        &self,
        session: &Arc<Session>,
        Asked { line, host, address }: Asked<'_>,
    ) -> Option<Authentication> {
        let path = line.path();
        let interpretations = self.routes.interpret(host, path).ok()?.by_names(path);
        let route = self.routes.find(host, &interpretations).ok()?;
        route.upstream.as_ref()?;
        let with_parameters = self.routes.with_parameters(host, &interpretations, route);
        let request = AccessRequest {
            route,
            method: Some(&line.method),
            interpretations: &interpretations,
            with_parameters: &with_parameters,
            // What it did apart from its path is done.
            reach: &Reach::default(),
            client_address: address,
            narrowing: None,
            foreign_origin: false,
        };
        let (session, data) = (Arc::clone(session), Arc::clone(&session.data()));
        match decide(&request, Visitor::Member(Member { session, data })) {
            Decision::Allow(permit) => Some(permit.authentication()),
            Decision::SignIn | Decision::Deny(_) | Decision::Ambiguous(_) => None,
        }
    }
}
