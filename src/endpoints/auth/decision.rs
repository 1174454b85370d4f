//! A subrequest -> granted, challenge or denied, whatever protocol the question came by.
//! Invariant: the decision is that of proxying (`gate::decide`); what an answer cannot take away from the
//! request is denied.

use http::header::HeaderMap;
use http::{HeaderName, HeaderValue};

use super::original::Original;
use crate::endpoints::Endpoints;
use crate::error::{Error, SubrequestError};
use crate::gate::challenge::{
    Challenged, SubrequestChallenge, SubrequestMode, is_foreign_handshake,
};
use crate::gate::decide::{AccessRequest, Decision, Permit, decide};
use crate::gate::identify::Visitor;
use crate::gate::reach::{DESTINATION, Reach, is_method_override, is_overridden};
use crate::gate::route::Route;
use crate::identity::headers::{Known, is_impersonation, is_spelling_of, render};
use crate::policy::Policy;
use crate::routing::path::PathInterpretations;
use crate::server::ListenerKind;
use crate::telemetry::access_log::{LoggedDecision, Outcome};
use crate::telemetry::metrics::RouteMeter;

/// A request that a proxy asks about, before it forwards it.
#[derive(Debug)]
pub(super) struct Subrequest<'a> {
    /// Where it goes, by which method, and whose it is.
    pub(super) original: Original<'a>,
    /// Its fields, beside the proxy's own.
    pub(super) headers: &'a HeaderMap,
    /// Names of fields of it that were dropped before anybody read them.
    pub(super) dropped: &'a [HeaderName],
    /// What the question asks for beside the route's rules.
    pub(super) narrowing: Option<Policy>,
    /// What the proxy makes of an answer that does not grant.
    pub(super) asker: SubrequestMode,
    /// The listener that the question came to.
    pub(super) listener: ListenerKind,
}

/// What becomes of a subrequest.
#[derive(Debug)]
pub(super) enum SubrequestDecision {
    /// It may pass, with this.
    Granted(Grant),
    /// Signing in may help.
    Challenge(SubrequestChallenge),
    /// It may not pass.
    Denied(Error),
}

/// What goes with a request that may pass.
#[derive(Debug)]
pub(super) struct Grant {
    /// Every identity header there is, empty where it has no value.
    pub(super) headers: HeaderMap,
    /// The visitor's cookies without ours; `None` where none is left.
    pub(super) cookies: Option<HeaderValue>,
    /// For the log.
    pub(super) outcome: Outcome,
}

impl Endpoints {
    /// Decides, and tells at which route the question is counted.
    pub(super) async fn decide_subrequest(
        &self,
        subrequest: &Subrequest<'_>,
    ) -> (Option<&'static RouteMeter>, SubrequestDecision) {
        let (route, interpretations) = match self.route_asked_about(&subrequest.original) {
            Ok(found) => found,
            Err(error) => return (None, SubrequestDecision::Denied(error)),
        };
        let decided = self.decide_on(route, &interpretations, subrequest).await;
        (Some(route.meter), decided.unwrap_or_else(SubrequestDecision::Denied))
    }

    /// The route. Without a URI, the one that every request of the host has, if its rules do not look at the
    /// request line either.
    fn route_asked_about<'a>(
        &self,
        original: &'a Original<'_>,
    ) -> Result<(&Route, PathInterpretations<'a>), Error> {
        let host = original.client.host();
        match &original.target {
            Ok(target) => {
                let interpretations =
                    PathInterpretations::of(target.split('?').next().unwrap_or_default())?;
                Ok((self.routes.find(host, &interpretations)?, interpretations))
            }
            Err(_) if !self.routes.has_host(host) => Err(Error::WrongHost),
            Err(no_uri) => {
                let only = self.routes.only_of(host).filter(|only| !looks_at_request_line(only));
                Ok((only.ok_or_else(|| no_uri.clone())?, PathInterpretations::of("/")?))
            }
        }
    }

    async fn decide_on(
        &self,
        route: &Route,
        interpretations: &PathInterpretations<'_>,
        subrequest: &Subrequest<'_>,
    ) -> Result<SubrequestDecision, Error> {
        let Subrequest { original, headers, dropped, narrowing, .. } = subrequest;
        let Original { client, method, target } = original;
        self.refuse_irremovable(route, headers, dropped)?;
        // SECURITY: a stranger may have the same group or e-mail at another provider.
        if narrowing.is_some() && self.gate.takes_several(route) {
            return Err(SubrequestError::NarrowingOfSeveral.into());
        }
        let (method, target) = (method.as_ref(), target.as_ref().copied().unwrap_or("/"));
        let reach = Reach::of(method, headers, &self.routes, route, || client.origin());
        let asked = AccessRequest {
            route,
            method,
            interpretations,
            reach: &reach,
            client_address: client.address(),
            narrowing: narrowing.as_ref(),
            foreign_origin: is_foreign_handshake(route, headers, client),
        };
        let visitor = if matches!(route.allow, Policy::Public) && narrowing.is_none() {
            Visitor::Stranger
        } else {
            self.gate.identify(asked.authentication(), headers).await
        };
        match decide(&asked, visitor) {
            Decision::Allow(permit) => self.grant(&permit, subrequest),
            Decision::SignIn => {
                let challenged = Challenged { route, method, headers, target, client };
                let challenge = self.gate.challenge_subrequest(challenged, subrequest.asker);
                Ok(SubrequestDecision::Challenge(challenge))
            }
            Decision::Deny(denied) => Err(self.gate.denied(route, &denied, client, target)),
            Decision::Ambiguous(interpretation) => Err(Error::Ambiguous { interpretation }),
        }
    }

    /// Denies what would pass beside the answer: the application could read it as what it is not.
    // SECURITY: `X_Forwarded_User` is `X-Forwarded-User` to CGI and its heirs, and no answer of ours takes it
    // away (T33). A method override makes another request of the one that was decided on (T22).
    fn refuse_irremovable(
        &self,
        route: &Route,
        headers: &HeaderMap,
        dropped: &[HeaderName],
    ) -> Result<(), SubrequestError> {
        let misspelt = |name: &&HeaderName| {
            let own =
                self.identity_names.iter().find(|own| is_spelling_of(name.as_str(), own.as_str()));
            own.is_some_and(|own| own != *name)
        };
        // SECURITY: whose `Impersonate-User` we set must not add `Impersonate-Group` to it (Kubernetes).
        let impersonates = self.identity_names.iter().any(|own| is_impersonation(own.as_str()));
        let foreign = |name: &&HeaderName| {
            impersonates && is_impersonation(name.as_str()) && !self.identity_names.contains(*name)
        };
        let mut names = headers.keys().chain(dropped);
        if names.any(|name| misspelt(&name) || foreign(&name)) {
            return Err(SubrequestError::Spelling);
        }
        // In another spelling an override counts for nothing at `Reach`, which looks for a `MOVE`.
        let misspelt = dropped.iter().any(|name| is_method_override(name.as_str()));
        let overrides = route.restricts_methods && is_overridden(headers)
            || (looks_at_request_line(route) || headers.contains_key(&DESTINATION)) && misspelt;
        if overrides {
            return Err(SubrequestError::MethodOverride);
        }
        Ok(())
    }

    fn grant(
        &self,
        permit: &Permit<'_>,
        subrequest: &Subrequest<'_>,
    ) -> Result<SubrequestDecision, Error> {
        let (route, member) = (permit.route(), permit.visitor().member());
        let empty = HeaderValue::from_static("");
        // SECURITY: what is absent here some proxies leave as their visitor sent it (CVE-2026-30851, T56).
        let mut headers: HeaderMap =
            self.identity_names.iter().map(|name| (name.clone(), empty.clone())).collect();
        if let Some(member) = member {
            let identity = &member.data.identity;
            let known = Known { identity, access_token: None, id_token: None };
            let rendered = render(&self.auth_request, known);
            self.gate.report_left_out(route, member, &rendered.left_out);
            for (name, value) in rendered.always {
                headers.insert(name, value);
            }
        }
        // The route's own word counts under these names, also where it has no value.
        for rule in route.identity_headers.iter() {
            headers.insert(rule.name.clone(), empty.clone());
        }
        self.gate.inject(permit, &mut headers)?;
        match subrequest.listener {
            ListenerKind::ForwardAuth => {}
            // SECURITY: a visitor's own request may come by the same proxy, and be answered with the token.
            ListenerKind::Public => {
                let of_tokens = route.identity_headers.iter().filter(|it| it.template.uses_token());
                for rule in of_tokens {
                    headers.insert(rule.name.clone(), empty.clone());
                }
            }
        }
        let outcome = Outcome {
            route: Some(route.meter),
            decision: Some(LoggedDecision::Allow),
            reason: None,
            subject: member.map(|member| member.data.identity.subject.clone()),
        };
        let cookies = self.party.cookies().others(subrequest.headers);
        Ok(SubrequestDecision::Granted(Grant { headers, cookies, outcome }))
    }
}

/// Whether the decision of a route may depend on path or method.
fn looks_at_request_line(route: &Route) -> bool {
    route.restricts_methods || !route.ruled_paths.is_empty()
}
