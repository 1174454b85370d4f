//! The rules in effect, by which open requests are decided on again after a reload.
//! Invariant: an open request of a session is held to the rules in effect within seconds, not to those of its start.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use http::Method;
use http::uri::PathAndQuery;

use crate::client_address::ClientAddress;
use crate::gate::Gate;
use crate::gate::decide::{AccessRequest, Decision, decide};
use crate::gate::identify::{Authentication, Member, Visitor};
use crate::gate::reach::Reach;
use crate::gate::routes::Routes;
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

/// What was decided on: the parts of a request that stay open after its head.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
}

/// A session in use by an open request, and the last decision on that.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) asked: Asked,
    pub(super) session: Arc<Session>,
    pub(super) authentication: Authentication,
    /// The number of the gate that decided.
    pub(super) decided_by: u64,
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
    pub(super) fn allow(
        &self,
        standing: &mut Standing,
        host: &str,
        client_address: ClientAddress,
    ) -> bool {
        if standing.decided_by != self.gate.number() {
            let Some(authentication) = self.decide_again(standing, host, client_address) else {
                return false;
            };
            (standing.authentication, standing.decided_by) = (authentication, self.gate.number());
        }
        self.gate.may_stay_open(&standing.session, standing.authentication)
    }

    /// The decision on an open request by these rules; `None`: it is not allowed.
    fn decide_again(
        &self,
        Standing { asked, session, .. }: &Standing,
        host: &str,
        client_address: ClientAddress,
    ) -> Option<Authentication> {
        let path = asked.target.path();
        let interpretations = self.routes.interpret(host, path).ok()?.by_names(path);
        let route = self.routes.find(host, &interpretations).ok()?;
        route.upstream.as_ref()?;
        let with_parameters = self.routes.with_parameters(host, &interpretations, route);
        let request = AccessRequest {
            route,
            method: Some(&asked.method),
            interpretations: &interpretations,
            with_parameters: &with_parameters,
            // What it did apart from its path is done.
            reach: &Reach::default(),
            client_address,
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
