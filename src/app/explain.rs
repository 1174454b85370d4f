//! What would become of a request, and why, without sending it anywhere.
//! Invariant: nothing is decided here. Route, decision, rulings and headers come from where a real
//! request gets them; this only makes a visitor of claims and writes down what it is told.

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

/// A request that somebody wonders about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The origin that it goes to; `None`: `public_url`.
    pub origin: Option<&'a Origin>,
    /// Its path and query, as they would be sent.
    pub target: &'a str,
    /// Its method.
    pub method: &'a Method,
    /// Its `Destination` field.
    pub destination: Option<&'a HeaderValue>,
    /// How many bytes of path and query are taken.
    pub longest_target: usize,
    /// Where it comes from.
    pub client_address: ClientAddress,
    /// The claims of whoever is signed in, and the ID of the provider that says so; `None`: nobody is.
    pub claims: Option<(&'a str, &'a Map<String, Value>)>,
}

/// What becomes of it, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the request passes.
    pub admitted: bool,
    lines: Vec<(String, String)>,
}

/// Why claims are nobody's.
#[derive(Debug, thiserror::Error)]
pub enum NoVisitor {
    /// No such provider.
    #[error("there is no provider {0}")]
    Provider(String),
    /// They do not make an identity.
    #[error(transparent)]
    Claims(#[from] providers::Error),
}

impl App {
    /// What would become of a request.
    pub fn explain(&self, question: &Question<'_>) -> Result<Explanation, NoVisitor> {
        let host = self.origin(question).host();
        let mut told = Explanation { admitted: false, lines: Vec::new() };
        let path = question.target.split('?').next().unwrap_or_default();
        told.say("request", format!("{} {host}{}", question.method, question.target));
        if let Some(destination) = question.destination {
            told.say(
                "",
                format!("Destination: {}", String::from_utf8_lossy(destination.as_bytes())),
            );
        }
        if !is_served(question.method.as_str()) {
            told.say("decision", "refuse: the method is not served (405 Method Not Allowed)");
            return Ok(told);
        }
        if question.target.len() > question.longest_target {
            let what = "path and query are longer than server.limits.target_bytes";
            let most = question.longest_target;
            let status = StatusCode::URI_TOO_LONG;
            told.say("decision", format!("refuse: {what}, which is {most} ({status})"));
            return Ok(told);
        }
        let visitor = match question.claims {
            None => Visitor::Stranger,
            Some((id, claims)) => Visitor::Member(self.member(id, claims)?),
        };
        told.say("visitor", visitor.identity().map_or("not signed in".to_owned(), describe));
        if self.routes.below_prefix(path).is_some() {
            told.say("decision", "none: paths under this prefix are the gateway's own");
            return Ok(told);
        }
        match PathInterpretations::of(path) {
            Err(malformed) => told.refuse(&malformed.into()),
            Ok(interpretations) => match self.routes.find(host, &interpretations) {
                Err(error) => told.refuse(&error),
                Ok(route) => self.decide(question, route, &interpretations, visitor, &mut told),
            },
        }
        Ok(told)
    }

    fn decide(
        &self,
        question: &Question<'_>,
        route: &Route,
        interpretations: &PathInterpretations<'_>,
        visitor: Visitor,
        told: &mut Explanation,
    ) {
        told.say("route", &*route.name);
        if let Some(identity) =
            visitor.identity().filter(|who| !route.providers.contain(&who.provider))
        {
            let note =
                format!("provider {} does not sign in here: not signed in", identity.provider);
            told.say("", note);
        }
        let method = Some(question.method);
        let headers = question.destination.map(|value| (DESTINATION, value.clone()));
        let headers = HeaderMap::from_iter(headers);
        let origin = || self.origin(question).clone();
        let reach = Reach::of(method, &headers, &self.routes, route, origin);
        let asked = AccessRequest {
            route,
            method,
            interpretations,
            reach: &reach,
            client_address: question.client_address,
            narrowing: None,
            foreign_origin: false,
        };
        let rulings = rulings(&asked, visitor.clone());
        told.rules(&route.allow, &rulings);
        match decide(&asked, visitor) {
            Decision::Allow(permit) => {
                let by = rulings.iter().position(|ruling| *ruling == Ruling::Allows);
                self.admit(&permit, by, told);
            }
            Decision::SignIn => self.challenge(question, route, told),
            Decision::Deny(denied) => match denied.cause {
                Cause::Rules(denial) => {
                    told.say(
                        "decision",
                        format!("refuse: no rule admits; {}", keys(&denial.failed)),
                    );
                }
                Cause::ForeignOrigin => told.refuse(&Error::ForeignOrigin),
                Cause::SecondPath(fault) => told.refuse(&Error::SecondPath(fault)),
            },
            Decision::Ambiguous(interpretation) => {
                told.refuse(&Error::Ambiguous { interpretation })
            }
        }
    }

    fn origin<'q>(&'q self, question: &Question<'q>) -> &'q Origin {
        question.origin.unwrap_or(self.party.site().public_url())
    }

    /// What a challenge would be. Nothing is known of the fields that tell a page from a script; so it is
    /// taken for a page wherever it could be one.
    fn challenge(&self, question: &Question<'_>, route: &Route, told: &mut Explanation) {
        told.say("decision", "sign in: a rule may admit whoever signs in");
        let page = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/html"))]);
        let script = HeaderMap::new();
        let redirects = |headers| may_redirect(route, Some(question.method), headers);
        if !redirects(&page) {
            told.say("", "401 Unauthorized, with the login_url for a script's page");
            return;
        }
        let path = self.gate.sign_in_path(route, question.target);
        told.say("", format!("302 Found to {}", self.party.site().own_url(&path)));
        if !redirects(&script) {
            told.say("", "taken for a page that a browser opens: a script gets 401");
        }
    }

    fn admit(&self, permit: &Permit<'_>, by: Option<usize>, told: &mut Explanation) {
        let (route, mut headers) = (permit.route(), HeaderMap::new());
        if let Err(error) = self.gate.inject(permit, &mut headers) {
            return told.refuse(&error);
        }
        told.admitted = true;
        let by = by.map(|at| format!(" by allow[{at}]")).unwrap_or_default();
        told.say("decision", format!("admit{by}"));
        if route.upstream.is_none() {
            told.say(
                "",
                "without an upstream: a proxy that asks is told so, a request here gets 404",
            );
        }
        let member = permit.visitor().member();
        let rendered = member.map(|member| member.data.headers(&route.identity_headers));
        let too_long = |name| rendered.as_ref().is_some_and(|all| all.left_out.contains(name));
        for rule in route.identity_headers.iter() {
            let value = headers.get(&rule.name).map(|value| {
                let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                format!("{}: {text}", rule.name)
            });
            let why = if too_long(&rule.name) {
                "all of them together are too long, and it is the largest"
            } else {
                "it has no value"
            };
            let absent = || format!("{} is left out: {why}", rule.name);
            told.say("header", value.unwrap_or_else(absent));
        }
    }

    /// Somebody who signed in just now with these claims, and whose tokens never end.
    fn member(&self, id: &str, claims: &Map<String, Value>) -> Result<Member, NoVisitor> {
        let provider =
            self.party.providers().by_id(id).ok_or(NoVisitor::Provider(id.to_owned()))?;
        let identity = provider.identity(claims.clone())?;
        let binding = IdTokenBinding {
            subject: Arc::clone(&identity.subject),
            audience: Vec::new(),
            nonce: String::new(),
            auth_time: None,
        };
        let tokens = TokenSet {
            access_token: Secret::new("<access token>"),
            asked: self.party.clock().moment(),
            expires_in: None,
            refresh_token: None,
            id_token: Some(Secret::new("<ID token>")),
            scope: None,
        };
        let now = self.party.clock().moment();
        let tokens = Tokens::new(tokens, Duration::ZERO);
        let data =
            SessionData::new(identity, RefreshBaseline { binding, beside_userinfo: None }, tokens);
        let session = Session::new(&SessionId::generate(), data, now, Duration::MAX);
        let data = Arc::clone(&session.data());
        Ok(Member { session: Arc::new(session), data })
    }
}

impl Explanation {
    fn say(&mut self, what: impl Into<String>, text: impl Into<String>) {
        self.lines.push((what.into(), text.into()));
    }

    fn refuse(&mut self, error: &Error) {
        self.say("decision", format!("refuse: {error} ({})", error.status()));
    }

    fn rules(&mut self, allow: &Policy, rulings: &[Ruling]) {
        match allow {
            Policy::Public => self.say("allow", "public"),
            Policy::Authenticated => self.say("allow", "authenticated"),
            Policy::Rules(_) => {
                for (at, ruling) in rulings.iter().enumerate() {
                    let says = match ruling {
                        Ruling::Allows => "admits".to_owned(),
                        Ruling::NeedsSignIn => "asks who it is".to_owned(),
                        Ruling::Fails(failed) => keys(failed),
                    };
                    self.say(format!("allow[{at}]"), says);
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
    // As in a header: a comma inside of one would make two of it.
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
    let verb = if names.len() == 1 { "fails" } else { "fail" };
    format!("{} {verb}", names.join(", "))
}
