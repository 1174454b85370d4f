//! An auth subrequest -> allow, sign in or deny, the same over HTTP and over gRPC.
//! Invariant: the decision is that of proxying (`gate::decide`). A request with a field that the answer cannot
//! remove is denied.

use http::header::HeaderMap;
use http::{HeaderName, HeaderValue};

use crate::endpoints::Endpoints;
use crate::endpoints::auth::original::Original;
use crate::error::{Error, SubrequestError};
use crate::gate::challenge::{
    Challenged, SubrequestChallenge, SubrequestMode, is_foreign_handshake,
};
use crate::gate::decide::{AccessRequest, Decision, Permit, decide, rulings};
use crate::gate::identify::Visitor;
use crate::gate::reach::{DESTINATION, Reach, is_method_override, is_overridden};
use crate::gate::route::Route;
use crate::identity::Identity;
use crate::policy::Policy;
use crate::policy::evaluate::Ruling;
use crate::routing::path::PathInterpretations;
use crate::server::ClientInfo;
use crate::telemetry::access_log::{LoggedDecision, Outcome};

/// An auth subrequest: a request that a proxy has not forwarded yet.
#[derive(Debug)]
pub(in crate::endpoints) struct Subrequest<'a> {
    /// Target, method and client of the original request.
    pub(in crate::endpoints) original: Original<'a>,
    /// The header fields: the original request's, and the proxy's own.
    pub(in crate::endpoints) headers: &'a HeaderMap,
    /// Names of header fields that were removed from it, as from every request.
    pub(in crate::endpoints) dropped: &'a [HeaderName],
    /// Rules in the subrequest's query, in addition to the route's.
    pub(in crate::endpoints) narrowing: Option<Policy>,
    /// How the proxy handles an answer that does not allow.
    pub(in crate::endpoints) mode: SubrequestMode,
    /// What the answer can do.
    pub(in crate::endpoints) form: AnswerForm,
}

/// What the answer to a subrequest can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::endpoints) enum AnswerForm {
    /// It has header fields, and the proxy copies those that it is configured to copy.
    Fields,
    /// It names any header field of the request to set or remove, and says what decided.
    Changes,
}

/// The decision on a subrequest.
#[derive(Debug)]
pub(in crate::endpoints) enum SubrequestDecision {
    /// It is allowed, with this.
    Allow(AllowedSubrequest),
    /// The visitor has to sign in.
    SignIn(SubrequestChallenge),
    /// It is denied.
    Deny(Error),
}

/// What the proxy adds to a request that is allowed.
#[derive(Debug)]
pub(in crate::endpoints) struct AllowedSubrequest {
    /// Every identity header; empty if it has no value.
    pub(in crate::endpoints) headers: HeaderMap,
    /// The visitor's cookies without the gateway's; `None` if none is left.
    pub(in crate::endpoints) cookies: Option<HeaderValue>,
    /// The outcome for the log.
    pub(in crate::endpoints) outcome: Outcome,
    /// For an answer that names changes: further fields of the request to remove, and what decided. Boxed, because
    /// other answers have none.
    pub(in crate::endpoints) changes: Option<Box<Changes>>,
}

/// What an answer says that names changes.
#[derive(Debug)]
pub(in crate::endpoints) struct Changes {
    /// Names of fields of the request that its application must not see.
    pub(in crate::endpoints) remove: Vec<HeaderName>,
    /// What decided.
    pub(in crate::endpoints) grounds: Grounds,
}

/// What decided about a request that is allowed.
#[derive(Debug)]
pub(in crate::endpoints) struct Grounds {
    /// The user, if known.
    pub(in crate::endpoints) user: Option<String>,
    /// `public`, `authenticated`, or the rule that allows, as `portcullis explain` names it.
    pub(in crate::endpoints) rule: String,
}

impl Endpoints {
    /// Decides. Notes the route at `client`, the proxy, so that the subrequest is counted there.
    pub(in crate::endpoints) async fn decide_subrequest(
        &self,
        client: &ClientInfo,
        subrequest: &Subrequest<'_>,
    ) -> SubrequestDecision {
        let (route, interpretations) = match self.original_route(&subrequest.original) {
            Ok(found) => found,
            Err(error) => return SubrequestDecision::Deny(error),
        };
        client.note_route(&route.meter);
        let decided = self.decide_on(route, &interpretations, subrequest).await;
        decided.unwrap_or_else(SubrequestDecision::Deny)
    }

    /// The route of the original request. Without a URI, the only route of the host, if its rules do not look at
    /// the request line.
    fn original_route<'a>(
        &self,
        original: &'a Original<'_>,
    ) -> Result<(&Route, PathInterpretations<'a>), Error> {
        let host = original.client.host();
        match &original.target {
            Ok(target) => {
                // With and without the `;parameters`: the proxy's upstream may read them in either way.
                let path = target.split('?').next().unwrap_or_default();
                let interpretations = self.routes.interpret(host, path)?;
                Ok((self.routes.find(host, &interpretations)?, interpretations))
            }
            // This comes before a host that no route has: a proxy that does not send the URI in the declared header may
            // not send the host where it is read either.
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
        match subrequest.form {
            AnswerForm::Fields => self.deny_irremovable(route, headers, dropped)?,
            AnswerForm::Changes => {}
        }
        // SECURITY: another person may have the same group or e-mail at another provider.
        if narrowing.is_some() && self.gate.has_several_providers(route) {
            return Err(SubrequestError::NarrowingOfSeveral.into());
        }
        let (method, target) = (method.as_ref(), target.as_ref().copied().unwrap_or("/"));
        let reach = Reach::of(method, headers, &self.routes, route, || client.origin());
        let request = AccessRequest {
            route,
            method,
            interpretations,
            with_parameters: &[],
            reach: &reach,
            client_address: client.address(),
            narrowing: narrowing.as_ref(),
            foreign_origin: is_foreign_handshake(route, headers, client),
        };
        let visitor = if matches!(route.allow, Policy::Public) && narrowing.is_none() {
            Visitor::Stranger
        } else {
            self.gate.identify(request.authentication(), headers).await?
        };
        match decide(&request, visitor) {
            Decision::Allow(permit) => {
                let mut allowed = self.allow(&permit, subrequest)?;
                match subrequest.form {
                    AnswerForm::Fields => {}
                    AnswerForm::Changes => {
                        allowed.headers = self.of_request(route, &allowed.headers);
                        allowed.changes = Some(Box::new(Changes {
                            remove: self.removed(route, headers, dropped),
                            grounds: grounds(&request, permit.visitor()),
                        }));
                    }
                }
                Ok(SubrequestDecision::Allow(allowed))
            }
            Decision::SignIn => {
                let challenged = Challenged { route, method, headers, target, client };
                let challenge = self.gate.challenge_subrequest(challenged, subrequest.mode);
                Ok(SubrequestDecision::SignIn(challenge))
            }
            Decision::Deny(denied) => Err(self.gate.denied(&request, &denied, client, target)),
            Decision::Ambiguous(interpretation) => Err(Error::Ambiguous { interpretation }),
        }
    }

    /// Denies a request with fields that the answer cannot remove, and that the application could trust.
    // SECURITY: an application may read `X_Forwarded_User` as `X-Forwarded-User`. A method override makes
    // another request of the one that was decided on.
    fn deny_irremovable(
        &self,
        route: &Route,
        headers: &HeaderMap,
        dropped: &[HeaderName],
    ) -> Result<(), SubrequestError> {
        let mut names = headers.keys().chain(dropped);
        if names.any(|name| self.answer_names.is_forged(name)) {
            return Err(SubrequestError::Spelling);
        }
        // `Reach` looks for a `MOVE` in overrides of the usual spelling only.
        let misspelt = dropped.iter().any(|name| is_method_override(name.as_str()));
        let overrides = route.restricts_methods && is_overridden(headers)
            || misspelt && (looks_at_request_line(route) || headers.contains_key(&DESTINATION));
        if overrides {
            return Err(SubrequestError::MethodOverride);
        }
        Ok(())
    }

    /// The identity headers of a request, without the fields that an answer over HTTP has for a proxy.
    fn of_request(&self, route: &Route, answer: &HeaderMap) -> HeaderMap {
        let own = |name: &HeaderName| route.identity_headers.iter().any(|rule| rule.name == *name);
        let value = |name: &HeaderName| answer.get(name).filter(|_| own(name)).cloned();
        let empty = HeaderValue::from_static("");
        let names = self.answer_names.iter();
        names.map(|name| (name.clone(), value(name).unwrap_or(empty.clone()))).collect()
    }

    /// The fields of a request that proxying would remove because they describe a user or change the method.
    fn removed(
        &self,
        route: &Route,
        headers: &HeaderMap,
        dropped: &[HeaderName],
    ) -> Vec<HeaderName> {
        let describes_user = |name: &&HeaderName| self.gate.strips(name.as_str());
        let overrides = |name: &&HeaderName| is_method_override(name.as_str());
        let plain = headers
            .keys()
            .filter(|name| describes_user(name) || route.restricts_methods && overrides(name));
        // `Reach` looks at overrides of the usual spelling only.
        let odd = dropped.iter().filter(|name| describes_user(name) || overrides(name));
        plain.chain(odd).cloned().collect()
    }

    fn allow(
        &self,
        permit: &Permit<'_>,
        subrequest: &Subrequest<'_>,
    ) -> Result<AllowedSubrequest, Error> {
        let member = permit.visitor().member();
        let headers = self.gate.answer_headers(permit)?;
        let outcome = Outcome {
            decision: Some(LoggedDecision::Allow),
            subject: member.map(|member| member.data.identity.subject.clone()),
            ..Outcome::default()
        };
        let cookies = self.party.cookies().others(subrequest.headers);
        Ok(AllowedSubrequest { headers, cookies, outcome, changes: None })
    }
}

/// What decided about a request that is allowed.
fn grounds(request: &AccessRequest<'_, '_>, visitor: &Visitor) -> Grounds {
    let rule = match &request.route.allow {
        Policy::Public => "public".to_owned(),
        Policy::Authenticated => "authenticated".to_owned(),
        Policy::Rules(_) => {
            let rulings = rulings(request, visitor.clone());
            let by = rulings.iter().position(|ruling| *ruling == Ruling::Allows);
            by.map_or_else(|| "allow".to_owned(), |at| format!("allow[{at}]"))
        }
    };
    Grounds { user: visitor.identity().map(user_of), rule }
}

/// How an access log names a user.
pub fn user_of(identity: &Identity) -> String {
    identity.user.as_deref().unwrap_or(&identity.subject).to_owned()
}

/// Whether the decision on a route may depend on path or method.
fn looks_at_request_line(route: &Route) -> bool {
    route.restricts_methods || !route.ruled_paths.is_empty()
}
