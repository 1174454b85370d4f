//! What was asked + `Visitor` -> `Decision`; pure. The only maker of a `Permit`.
//! Proxying and the auth endpoints ask here, so that they cannot differ.

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

/// What a visitor asks for.
#[derive(Clone, Copy, Debug)]
pub struct AccessRequest<'r, 'a> {
    /// The route, the same in every reading of the path.
    pub route: &'r Route,
    /// The method; `None` where an asker did not tell it.
    pub method: Option<&'a Method>,
    /// The path, in every reading.
    pub interpretations: &'a PathInterpretations<'a>,
    /// What it acts on beside that path.
    pub reach: &'a Reach<'a>,
    /// The address of the client.
    pub client_address: ClientAddress,
    /// What an asker wants of the visitor beside the route's rules.
    pub narrowing: Option<&'a Policy>,
    /// Whether a WebSocket is asked for by a page of a foreign origin.
    pub foreign_origin: bool,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision<'r> {
    /// It passes.
    Forward(Permit<'r>),
    /// Signing in may help.
    Challenge,
    /// It does not pass.
    Refuse(Refusal),
    /// An upstream may read the path in this way, which has another decision.
    Ambiguous(String),
}

/// Proof that a visitor may pass on a route.
#[derive(Debug)]
pub struct Permit<'r> {
    route: &'r Route,
    visitor: Visitor,
    authentication: Authentication,
}

/// Why a request does not pass.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Who asked.
    pub visitor: Visitor,
    /// What failed.
    pub cause: Cause,
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The route's rules.
    Rules(Denial),
    /// A page of a foreign origin asked for a WebSocket.
    ForeignOrigin,
    /// A second path, which may not be reached.
    SecondPath(SecondPathFault),
}

impl Cause {
    /// In the words of the log and the metrics: the keys that failed.
    pub fn words(&self) -> Cow<'static, str> {
        match self {
            Self::ForeignOrigin => "foreign_origin".into(),
            Self::SecondPath(_) => "second_path".into(),
            Self::Rules(Denial { failed }) => match &**failed {
                [only] => only.as_str().into(),
                keys => keys.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(",").into(),
            },
        }
    }
}

impl<'r> Permit<'r> {
    /// The route that it is for.
    pub fn route(&self) -> &'r Route {
        self.route
    }

    /// Who passes.
    pub fn visitor(&self) -> &Visitor {
        &self.visitor
    }

    /// What knowing them was for.
    pub fn authentication(&self) -> Authentication {
        self.authentication
    }
}

/// Decides.
pub fn decide<'r>(asked: &AccessRequest<'r, '_>, visitor: Visitor) -> Decision<'r> {
    let route = asked.route;
    let visitor = counted(route, visitor);
    let verdict = match agreed(asked, asked.interpretations, &visitor) {
        Ok(verdict) => verdict,
        Err(interpretation) => return Decision::Ambiguous(interpretation),
    };
    let refuse = |visitor, cause| Decision::Refuse(Refusal { visitor, cause });
    match verdict {
        // SECURITY: a page elsewhere can open a WebSocket with the visitor's cookie, and same-origin
        // policy does not keep it from reading (RFC 6455 §10.2).
        Verdict::Admit if asked.foreign_origin && visitor.member().is_some() => {
            refuse(visitor, Cause::ForeignOrigin)
        }
        Verdict::Admit => match beyond(asked, &visitor) {
            Ok(()) => {
                Decision::Forward(Permit { route, visitor, authentication: asked.authentication() })
            }
            Err(fault) => refuse(visitor, Cause::SecondPath(fault)),
        },
        Verdict::SignIn => Decision::Challenge,
        Verdict::Deny(denial) => refuse(visitor, Cause::Rules(denial)),
    }
}

/// The verdict that every reading of a path has, else a reading that has another one.
// SECURITY: an upstream that reads the path in another way must not be a way around the rules.
fn agreed(
    asked: &AccessRequest<'_, '_>,
    interpretations: &PathInterpretations<'_>,
    visitor: &Visitor,
) -> Result<Verdict, String> {
    let verdict = verdict(asked, interpretations.plain(), visitor);
    let spelt = spelt(asked.route, interpretations);
    let mut others = interpretations.others().iter().chain(&spelt);
    let differs = |interpretation: &&PathInterpretation<'_>| {
        !self::verdict(asked, interpretation, visitor).decides_as(&verdict)
    };
    match others.find(differs) {
        None => Ok(verdict),
        Some(interpretation) => Err(interpretation.path().to_owned()),
    }
}

/// Whether a request that its own path admits may reach what else it reaches.
fn beyond(asked: &AccessRequest<'_, '_>, visitor: &Visitor) -> Result<(), SecondPathFault> {
    let destination = match asked.reach.destination() {
        Destination::None => None,
        Destination::Path(interpretations) => Some(&**interpretations),
        Destination::Fault(fault) => return Err(*fault),
    };
    // SECURITY: `MOVE` and `COPY` write to a path that no rule has seen.
    if let Some(interpretations) = destination
        && agreed(asked, interpretations, visitor) != Ok(Verdict::Admit)
    {
        return Err(SecondPathFault::Denied);
    }
    // SECURITY: what is done to a folder is done to all in it, whatever a rule says of that.
    let is_above = |interpretations| {
        asked.route.ruled_paths.iter().any(|it| it.lies_below_any(interpretations))
    };
    if asked.reach.is_deep()
        && (is_above(asked.interpretations) || destination.is_some_and(is_above))
    {
        return Err(SecondPathFault::AboveRuledPath);
    }
    Ok(())
}

/// What each rule of the route says of the plain reading, in their order: why the decision is as it is.
pub fn rulings(asked: &AccessRequest<'_, '_>, visitor: Visitor) -> Vec<Ruling> {
    let visitor = counted(asked.route, visitor);
    let of_policy = asked.of_policy(asked.interpretations.plain());
    let judge = |rule: &Rule| rule.judge(of_policy, visitor.identity());
    match &asked.route.allow {
        Policy::Public | Policy::Authenticated => Vec::new(),
        Policy::Rules(rules) => rules.iter().map(judge).collect(),
    }
}

/// A session of a provider that does not sign in on a route is none there.
fn counted(route: &Route, visitor: Visitor) -> Visitor {
    match visitor {
        Visitor::Member(member) if route.providers.contain(&member.data.identity.provider) => {
            Visitor::Member(member)
        }
        Visitor::Member(_) | Visitor::Stranger => Visitor::Stranger,
    }
}

fn is_public(asked: &AccessRequest<'_, '_>, interpretation: &PathInterpretation<'_>) -> bool {
    let of_policy = asked.of_policy(interpretation);
    asked.route.allow.is_public_for(of_policy)
        && asked.narrowing.is_none_or(|policy| policy.is_public_for(of_policy))
}

/// Whether every reading of a path passes without a visitor.
fn is_all_public(asked: &AccessRequest<'_, '_>, interpretations: &PathInterpretations<'_>) -> bool {
    let spelt = spelt(asked.route, interpretations);
    let mut others = interpretations.others().iter().chain(&spelt);
    is_public(asked, interpretations.plain()) && others.all(|other| is_public(asked, other))
}

/// A path as the rules of a route spell it, where letter case alone tells their `paths` apart.
// SECURITY: an upstream without letter case serves `/app` under `/App` too, whatever a rule for the
// one says and a rule for the other does not.
fn spelt(
    route: &Route,
    interpretations: &PathInterpretations<'_>,
) -> Vec<PathInterpretation<'static>> {
    if route.clashing_paths.is_empty() {
        // Nearly every route.
        return Vec::new();
    }
    let spelt = |path: &PathPrefix| -> Vec<_> {
        interpretations.unfolded().filter_map(|it| path.respelt(it)).collect()
    };
    route.clashing_paths.iter().flat_map(spelt).collect()
}

fn verdict(
    asked: &AccessRequest<'_, '_>,
    interpretation: &PathInterpretation<'_>,
    visitor: &Visitor,
) -> Verdict {
    let (of_policy, identity) = (asked.of_policy(interpretation), visitor.identity());
    match (asked.route.allow.evaluate(of_policy, identity), asked.narrowing) {
        (Verdict::Admit, Some(narrowing)) => narrowing.evaluate(of_policy, identity),
        (verdict, _) => verdict,
    }
}

impl AccessRequest<'_, '_> {
    /// What knowing the visitor is for: nothing, where every reading of the path, and of a second one,
    /// passes without.
    pub fn authentication(&self) -> Authentication {
        let second = match self.reach.destination() {
            Destination::Path(interpretations) => Some(&**interpretations),
            Destination::None | Destination::Fault(_) => None,
        };
        let mut paths = std::iter::once(self.interpretations).chain(second);
        if paths.all(|interpretations| is_all_public(self, interpretations)) {
            Authentication::Optional
        } else {
            Authentication::Required
        }
    }

    fn of_policy<'p>(&'p self, path: &'p PathInterpretation<'p>) -> PolicyInput<'p> {
        PolicyInput { method: self.method, path, client_address: self.client_address }
    }
}
