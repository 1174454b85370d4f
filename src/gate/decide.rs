//! `AccessRequest` + `Visitor` -> `Decision`; no I/O.
//! Invariants: proxying and the auth endpoints both decide here, so they cannot differ. Only this file makes a
//! `Permit`.

use std::borrow::Cow;

use http::Method;

use crate::client_address::ClientAddress;
use crate::error::SecondPathFault;
use crate::gate::identify::{Authentication, Visitor};
use crate::gate::reach::{Destination, Reach};
use crate::gate::route::Route;
use crate::policy::Policy;
use crate::policy::evaluate::{Denial, PolicyInput, Ruling, Verdict};
use crate::policy::rule::Rule;
use crate::routing::path::{PathInterpretation, PathInterpretations, PathPrefix};

/// The parts of a request that are decided on.
#[derive(Clone, Copy, Debug)]
pub struct AccessRequest<'r, 'a> {
    /// The route, the same in every interpretation of the path.
    pub route: &'r Route,
    /// The method; `None` if an auth subrequest did not name it.
    pub method: Option<&'a Method>,
    /// The path, in every interpretation.
    pub interpretations: &'a PathInterpretations<'a>,
    /// Interpretations with `;parameters` in a name, each with the route whose rules hold for it.
    pub with_parameters: &'a [(&'r Route, &'a PathInterpretation<'a>)],
    /// What the request acts on apart from that path.
    pub reach: &'a Reach<'a>,
    /// The address of the client.
    pub client_address: ClientAddress,
    /// Rules in the query of an auth subrequest. They and the route's rules must both allow the request.
    pub narrowing: Option<&'a Policy>,
    /// Whether a page of a foreign origin opens a WebSocket.
    pub foreign_origin: bool,
}

/// The decision about a request.
#[derive(Debug)]
pub enum Decision<'r> {
    /// The request is allowed.
    Allow(Permit<'r>),
    /// The visitor is not signed in, and signing in may help.
    SignIn,
    /// The request is denied.
    Deny(AccessDenied),
    /// An upstream may interpret the path in this way, for which the decision differs.
    Ambiguous(String),
}

/// Proof that a visitor is allowed on a route.
#[derive(Debug)]
pub struct Permit<'r> {
    route: &'r Route,
    visitor: Visitor,
    authentication: Authentication,
}

/// A denied request.
#[derive(Clone, Debug)]
pub struct AccessDenied {
    /// The visitor.
    pub visitor: Visitor,
    /// Why.
    pub cause: Cause,
}

/// Why a request is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The route's rules.
    Rules(Denial),
    /// A page of a foreign origin opens a WebSocket.
    ForeignOrigin,
    /// The second path of the request, or paths below its own.
    SecondPath(SecondPathFault),
}

impl Cause {
    /// The `reason` in the log and the metrics: the keys that failed, or one word.
    pub fn reason(&self) -> Cow<'static, str> {
        match self {
            Self::ForeignOrigin => "foreign_origin".into(),
            Self::SecondPath(_) => "second_path".into(),
            Self::Rules(denial) => match denial.failed().as_slice() {
                [only] => only.as_str().into(),
                keys => keys.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(",").into(),
            },
        }
    }
}

impl<'r> Permit<'r> {
    /// The route.
    pub fn route(&self) -> &'r Route {
        self.route
    }

    /// The visitor.
    pub fn visitor(&self) -> &Visitor {
        &self.visitor
    }

    /// Whether the decision depended on the visitor.
    pub fn authentication(&self) -> Authentication {
        self.authentication
    }
}

/// Decides about a request.
pub fn decide<'r>(request: &AccessRequest<'r, '_>, visitor: Visitor) -> Decision<'r> {
    let route = request.route;
    let visitor = on_route(route, visitor);
    let verdict = match common_verdict(request, request.interpretations, &visitor) {
        Ok(Verdict::Allow) => verdict_with_parameters(request, &visitor),
        verdict => verdict,
    };
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(interpretation) => return Decision::Ambiguous(interpretation),
    };
    let deny = |visitor, cause| Decision::Deny(AccessDenied { visitor, cause });
    match verdict {
        // SECURITY: a page of another origin can open a WebSocket with the visitor's cookie, and the same-origin
        // policy does not stop it from reading the answers (RFC 6455 §10.2).
        Verdict::Allow if request.foreign_origin && visitor.member().is_some() => {
            deny(visitor, Cause::ForeignOrigin)
        }
        Verdict::Allow => match check_reach(request, &visitor) {
            Ok(()) => {
                let authentication = request.authentication();
                Decision::Allow(Permit { route, visitor, authentication })
            }
            Err(fault) => deny(visitor, Cause::SecondPath(fault)),
        },
        Verdict::SignIn => Decision::SignIn,
        Verdict::Deny(denial) => deny(visitor, Cause::Rules(denial)),
    }
}

/// The verdict that all interpretations of a path have in common. The error is an interpretation with another
/// verdict than the plain one.
// SECURITY: an upstream that interprets the path in another way must not be a way around the rules.
fn common_verdict(
    request: &AccessRequest<'_, '_>,
    interpretations: &PathInterpretations<'_>,
    visitor: &Visitor,
) -> Result<Verdict, String> {
    let verdict = verdict(request, interpretations.plain(), visitor);
    let respelt = respelt(request.route, interpretations);
    let mut others = interpretations.others().iter().chain(&respelt);
    let differs = |interpretation: &&PathInterpretation<'_>| {
        !self::verdict(request, interpretation, visitor).decides_as(&verdict)
    };
    match others.find(differs) {
        None => Ok(verdict),
        Some(interpretation) => Err(interpretation.path().to_owned()),
    }
}

/// The verdict of a request that is allowed by the names of its path, if `;parameters` are part of them. The error is
/// an interpretation that is denied.
fn verdict_with_parameters(
    request: &AccessRequest<'_, '_>,
    visitor: &Visitor,
) -> Result<Verdict, String> {
    let mut verdict = Verdict::Allow;
    for (route, interpretation) in request.with_parameters {
        let there = on_route(route, visitor.clone());
        match route.allow.evaluate(request.policy_input(interpretation), there.identity()) {
            Verdict::Allow => {}
            // A further sign-in of a member would not help, and there would be no end.
            Verdict::SignIn if visitor.member().is_none() => verdict = Verdict::SignIn,
            Verdict::SignIn | Verdict::Deny(_) => return Err(interpretation.path().to_owned()),
        }
    }
    Ok(verdict)
}

/// Checks what a request acts on apart from its own path, which is allowed.
fn check_reach(request: &AccessRequest<'_, '_>, visitor: &Visitor) -> Result<(), SecondPathFault> {
    let destination = match request.reach.destination() {
        Destination::None => None,
        Destination::Path(interpretations) => Some(&**interpretations),
        Destination::Fault(fault) => return Err(*fault),
    };
    // SECURITY: `MOVE` and `COPY` write to a path that no rule was evaluated for.
    if let Some(interpretations) = destination
        && common_verdict(request, interpretations, visitor) != Ok(Verdict::Allow)
    {
        return Err(SecondPathFault::Denied);
    }
    // SECURITY: a request for a folder acts on everything in it, also on paths for which rules deny it.
    let is_above = |interpretations| {
        request.route.ruled_paths.iter().any(|it| it.lies_below_any(interpretations))
    };
    if request.reach.is_deep()
        && (is_above(request.interpretations) || destination.is_some_and(is_above))
    {
        return Err(SecondPathFault::AboveRuledPath);
    }
    Ok(())
}

/// The ruling of each rule of the route on the plain interpretation, in their order. They explain a decision.
pub fn rulings(request: &AccessRequest<'_, '_>, visitor: Visitor) -> Vec<Ruling> {
    let visitor = on_route(request.route, visitor);
    let input = request.policy_input(request.interpretations.plain());
    let judge = |rule: &Rule| rule.judge(input, visitor.identity());
    match &request.route.allow {
        Policy::Public | Policy::Authenticated => Vec::new(),
        Policy::Rules(rules) => rules.iter().map(judge).collect(),
    }
}

/// The visitor as a route sees them: a session counts only if its provider signs users in on the route.
fn on_route(route: &Route, visitor: Visitor) -> Visitor {
    match visitor {
        Visitor::Member(member) if route.providers.contains(&member.data.identity.provider) => {
            Visitor::Member(member)
        }
        Visitor::Member(_) | Visitor::Stranger => Visitor::Stranger,
    }
}

fn is_public(request: &AccessRequest<'_, '_>, interpretation: &PathInterpretation<'_>) -> bool {
    let input = request.policy_input(interpretation);
    request.route.allow.is_public_for(input)
        && request.narrowing.is_none_or(|policy| policy.is_public_for(input))
}

/// Whether every interpretation of a path is allowed for every visitor.
fn is_all_public(
    request: &AccessRequest<'_, '_>,
    interpretations: &PathInterpretations<'_>,
) -> bool {
    let respelt = respelt(request.route, interpretations);
    let mut others = interpretations.others().iter().chain(&respelt);
    is_public(request, interpretations.plain()) && others.all(|other| is_public(request, other))
}

/// A path, respelt like each path in the route's rules that differs from another one in letter case only.
// SECURITY: a case-insensitive upstream serves `/app` under `/App` too, so a rule for one of them must not be a
// way around a rule for the other.
fn respelt(
    route: &Route,
    interpretations: &PathInterpretations<'_>,
) -> Vec<PathInterpretation<'static>> {
    if route.clashing_paths.is_empty() {
        // This is so for nearly every route.
        return Vec::new();
    }
    let respell = |path: &PathPrefix| -> Vec<_> {
        interpretations.unfolded().filter_map(|it| path.respelt(it)).collect()
    };
    route.clashing_paths.iter().flat_map(respell).collect()
}

fn verdict(
    request: &AccessRequest<'_, '_>,
    interpretation: &PathInterpretation<'_>,
    visitor: &Visitor,
) -> Verdict {
    let (input, identity) = (request.policy_input(interpretation), visitor.identity());
    match (request.route.allow.evaluate(input, identity), request.narrowing) {
        (Verdict::Allow, Some(narrowing)) => narrowing.evaluate(input, identity),
        (verdict, _) => verdict,
    }
}

impl AccessRequest<'_, '_> {
    /// Whether the decision depends on the visitor. It does not where every interpretation of the path, and of a
    /// second path, is public.
    pub fn authentication(&self) -> Authentication {
        let second = match self.reach.destination() {
            Destination::Path(interpretations) => Some(&**interpretations),
            Destination::None | Destination::Fault(_) => None,
        };
        let mut paths = std::iter::once(self.interpretations).chain(second);
        let mut with_parameters = self.with_parameters.iter();
        if paths.all(|interpretations| is_all_public(self, interpretations))
            && with_parameters.all(|(route, it)| route.allow.is_public_for(self.policy_input(it)))
        {
            Authentication::Optional
        } else {
            Authentication::Required
        }
    }

    fn policy_input<'p>(&'p self, path: &'p PathInterpretation<'p>) -> PolicyInput<'p> {
        PolicyInput { method: self.method, path, client_address: self.client_address }
    }
}
