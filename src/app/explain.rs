//! Explanation of a request: how it would be handled, and why, without forwarding it.
//! Invariant: nothing is decided here. Route, decision, rulings and headers come from the functions that a real request
//! uses; this file only makes a visitor from claims and prints the results.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value};

use crate::app::App;
use crate::client_address::ClientAddress;
use crate::error::Error;
use crate::gate::challenge::may_redirect;
use crate::gate::decide::{AccessRequest, Cause, Decision, Permit, decide, rulings};
use crate::gate::identify::{Member, Visitor};
use crate::gate::initiator::Initiator;
use crate::gate::reach::{DESTINATION, Reach};
use crate::gate::route::Route;
use crate::identity::Identity;
use crate::identity::headers::list_item;
use crate::identity::refresh_baseline::{IdTokenBinding, RefreshBaseline};
use crate::oauth::token::TokenSet;
use crate::origin::Origin;
use crate::policy::Policy;
use crate::policy::evaluate::Ruling;
use crate::policy::rule::Key;
use crate::providers;
use crate::routing::path::PathInterpretations;
use crate::secret::Secret;
use crate::server::is_served;
use crate::session::{Session, SessionData, SessionId, Tokens};

/// The request to explain.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Origin of the request; `None`: `public_url`.
    pub origin: Option<&'a Origin>,
    /// Path and query, as they would be sent.
    pub target: &'a str,
    /// Method.
    pub method: &'a Method,
    /// `Destination` header.
    pub destination: Option<&'a HeaderValue>,
    /// Maximum length of path and query, in bytes.
    pub longest_target: usize,
    /// Address of the client.
    pub client_address: ClientAddress,
    /// Provider ID and claims of the user; `None`: not signed in.
    pub claims: Option<(&'a str, &'a Map<String, Value>)>,
}

/// The explanation, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the request is allowed.
    pub allowed: bool,
    lines: Vec<(String, String)>,
}

/// Reason why the claims cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NoVisitor {
    /// No such provider.
    #[error("there is no provider {0}")]
    Provider(String),
    /// They do not describe a user.
    #[error(transparent)]
    Claims(#[from] providers::Error),
}

impl App {
    /// Explains how a request would be handled.
    pub fn explain(&self, question: &Question<'_>) -> Result<Explanation, NoVisitor> {
        let host = self.origin(question).host();
        let mut explanation = Explanation { allowed: false, lines: Vec::new() };
        let path = question.target.split('?').next().unwrap_or_default();
        explanation.add("request", format!("{} {host}{}", question.method, question.target));
        if let Some(destination) = question.destination {
            explanation.add(
                "",
                format!("Destination: {}", String::from_utf8_lossy(destination.as_bytes())),
            );
        }
        if !is_served(question.method.as_str()) {
            explanation
                .add("decision", "reject: the method is not supported (405 Method Not Allowed)");
            return Ok(explanation);
        }
        if question.target.len() > question.longest_target {
            let what = "path and query are longer than server.limits.target_bytes";
            let most = question.longest_target;
            let status = StatusCode::URI_TOO_LONG;
            explanation.add("decision", format!("reject: {what}, which is {most} ({status})"));
            return Ok(explanation);
        }
        let visitor = match question.claims {
            None => Visitor::Stranger,
            Some((id, claims)) => Visitor::Member(self.member(id, claims)?),
        };
        explanation.add("visitor", visitor.identity().map_or("not signed in".to_owned(), describe));
        if self.routes.below_prefix(path).is_some() {
            explanation.add(
                "decision",
                "none: the gateway itself answers paths below server.endpoint_prefix",
            );
            return Ok(explanation);
        }
        match self.routes.interpret(host, path).map(|it| it.by_names(path)) {
            Err(malformed) => explanation.deny(&malformed.into()),
            Ok(interpretations) => match self.routes.find(host, &interpretations) {
                Err(error) => explanation.deny(&error),
                Ok(route) => {
                    self.decide(question, route, &interpretations, visitor, &mut explanation)
                }
            },
        }
        Ok(explanation)
    }

    fn decide(
        &self,
        question: &Question<'_>,
        route: &Route,
        interpretations: &PathInterpretations<'_>,
        visitor: Visitor,
        explanation: &mut Explanation,
    ) {
        explanation.add("route", &*route.name);
        if let Some(identity) =
            visitor.identity().filter(|who| !route.providers.contains(&who.provider))
        {
            let note = format!(
                "the route does not accept provider {}: treated as not signed in",
                identity.provider
            );
            explanation.add("", note);
        }
        let method = Some(question.method);
        let headers = question.destination.map(|value| (DESTINATION, value.clone()));
        let headers = HeaderMap::from_iter(headers);
        let origin = || self.origin(question).clone();
        let reach = Reach::of(method, &headers, &self.routes, route, origin);
        let host = self.origin(question).host();
        let with_parameters = self.routes.with_parameters(host, interpretations, route);
        let request = AccessRequest {
            route,
            method,
            interpretations,
            with_parameters: &with_parameters,
            reach: &reach,
            client_address: question.client_address,
            narrowing: None,
            foreign_origin: false,
        };
        let rulings = rulings(&request, visitor.clone());
        explanation.rules(&route.allow, &rulings);
        if let Some(identity) = visitor.identity() {
            self.missing_claims(route, &rulings, identity, explanation);
        }
        match decide(&request, visitor) {
            Decision::Allow(permit) => {
                let by = rulings.iter().position(|ruling| *ruling == Ruling::Allows);
                self.allow(&permit, by, explanation);
            }
            Decision::SignIn => self.challenge(question, route, explanation),
            Decision::Deny(denied) => match denied.cause {
                Cause::Rules(_) => {
                    explanation.add("decision", "deny: no rule matches (403 Forbidden)");
                }
                Cause::ForeignOrigin => explanation.deny(&Error::ForeignOrigin),
                Cause::SecondPath(fault) => explanation.deny(&Error::SecondPath(fault)),
            },
            Decision::Ambiguous(interpretation) => {
                explanation.deny(&Error::Ambiguous { interpretation })
            }
        }
    }

    /// Names the claims that rules read, and of which the user has none or not all.
    fn missing_claims(
        &self,
        route: &Route,
        rulings: &[Ruling],
        identity: &Identity,
        explanation: &mut Explanation,
    ) {
        let Some(provider) = self.party.providers().by_id(&identity.provider) else { return };
        let failed = rulings.iter().flat_map(|ruling| match ruling {
            Ruling::Fails(keys) => keys.as_slice(),
            Ruling::Allows | Ruling::NeedsSignIn => &[],
        });
        let failed: Vec<Key> = failed.copied().collect();
        let missing = route.allow.missing_claims(&failed, identity, provider.claim_names());
        for claim in missing.absent {
            explanation.add("", format!("the user has no claim {}", claim.as_str()));
        }
        for (claim, why) in missing.incomplete {
            explanation.add("", format!("the claim {} is incomplete: {why}", claim.as_str()));
        }
    }

    fn origin<'q>(&'q self, question: &Question<'q>) -> &'q Origin {
        question.origin.unwrap_or(self.party.site().public_url())
    }

    /// Explains the sign-in. The headers that distinguish browsers from API clients are not known, so both are covered.
    fn challenge(&self, question: &Question<'_>, route: &Route, explanation: &mut Explanation) {
        explanation.add("decision", "sign in: a rule can match after sign-in");
        let page = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/html"))]);
        let api_client = HeaderMap::new();
        let redirects =
            |headers| may_redirect(route, Some(question.method), headers, Initiator::of(headers));
        if !redirects(&page) {
            explanation.add("", "401 Unauthorized, with the sign-in URL in login_url");
            return;
        }
        let path = self.gate.sign_in_path(route, question.target);
        explanation.add("", format!("302 Found to {}", self.party.site().own_url(&path)));
        if !redirects(&api_client) {
            explanation.add("", "if a browser opens a page; an API client gets 401 Unauthorized");
        }
    }

    fn allow(&self, permit: &Permit<'_>, by: Option<usize>, explanation: &mut Explanation) {
        let (route, mut headers) = (permit.route(), HeaderMap::new());
        if let Err(error) = self.gate.inject(permit, &mut headers) {
            return explanation.deny(&error);
        }
        explanation.allowed = true;
        let by = by.map(|at| format!(", by allow[{at}]")).unwrap_or_default();
        explanation.add("decision", format!("allow{by}"));
        if route.upstream.is_none() {
            explanation.add(
                "",
                "the route has no upstream: an auth subrequest is allowed, a request to the gateway gets 404",
            );
        }
        let member = permit.visitor().member();
        let rendered = member.map(|member| {
            member.data.headers(&route.identity_headers, self.gate.identity_header_bytes())
        });
        let too_long = |name| rendered.as_ref().is_some_and(|all| all.left_out.contains(name));
        for rule in route.identity_headers.iter() {
            let value = headers.get(&rule.name).map(|value| {
                let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                format!("{}: {text}", rule.name)
            });
            let why = if too_long(&rule.name) {
                "all identity headers together are longer than server.limits.identity_header_bytes, and this is the largest"
            } else {
                "no value"
            };
            let absent = || format!("{} is not set: {why}", rule.name);
            explanation.add("header", value.unwrap_or_else(absent));
        }
    }

    /// Makes a user who has just signed in with these claims, with tokens that do not expire.
    fn member(&self, id: &str, claims: &Map<String, Value>) -> Result<Member, NoVisitor> {
        let provider =
            self.party.providers().by_id(id).ok_or(NoVisitor::Provider(id.to_owned()))?;
        let identity = provider.identity(claims.clone())?;
        let binding = IdTokenBinding {
            subject: Arc::clone(&identity.subject),
            nonce: String::new(),
            auth_time: None,
        };
        let tokens = TokenSet {
            access_token: Secret::new("<access token>"),
            requested_at: self.party.clock().moment(),
            expires_in: None,
            refresh_token: None,
            id_token: Some(Secret::new("<ID token>")),
        };
        let now = self.party.clock().moment();
        let tokens = Tokens::new(tokens, Duration::ZERO);
        let data = SessionData::new(identity, RefreshBaseline::of(binding), tokens);
        let session = Session::new(&SessionId::generate(), [0; 8], data, now, Duration::MAX);
        let data = Arc::clone(&session.data());
        Ok(Member { session: Arc::new(session), data })
    }
}

impl Explanation {
    fn add(&mut self, what: impl Into<String>, text: impl Into<String>) {
        self.lines.push((what.into(), text.into()));
    }

    fn deny(&mut self, error: &Error) {
        let status = error.status();
        let verb = if status == StatusCode::FORBIDDEN { "deny" } else { "reject" };
        self.add("decision", format!("{verb}: {error} ({status})"));
    }

    fn rules(&mut self, allow: &Policy, rulings: &[Ruling]) {
        match allow {
            Policy::Public => self.add("allow", "public"),
            Policy::Authenticated => self.add("allow", "authenticated"),
            Policy::Rules(_) => {
                for (at, ruling) in rulings.iter().enumerate() {
                    let result = match ruling {
                        Ruling::Allows => "matches".to_owned(),
                        Ruling::NeedsSignIn => "needs sign-in".to_owned(),
                        Ruling::Fails(failed) => keys(failed),
                    };
                    self.add(format!("allow[{at}]"), result);
                }
            }
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|(what, text)| writeln!(f, "{what:<10} {text}"))
    }
}

fn describe(identity: &Identity) -> String {
    let or_none = |text: Option<&str>| text.unwrap_or("none").to_owned();
    // Encoded as in a header, where a comma separates groups.
    let groups: Vec<String> = identity.groups().map(|group| list_item(&group)).collect();
    let groups = if groups.is_empty() { "none".to_owned() } else { groups.join(", ") };
    format!(
        "user {}, e-mail {}, groups {groups}, by {}",
        or_none(identity.user.as_deref()),
        if identity.email_withheld {
            "not verified".into()
        } else {
            or_none(identity.email.as_deref())
        },
        identity.provider
    )
}

fn keys(failed: &[Key]) -> String {
    let names: Vec<_> = failed.iter().map(|key| key.as_str()).collect();
    format!("does not match: {}", names.join(", "))
}
