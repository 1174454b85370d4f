//! `auth` and `forward_auth`: a proxy asks over HTTP whether its visitor's request may pass.
//! What was asked (`table`, `original`, `narrowing`) -> `decision`, as for our own proxying -> an answer.
//! Invariant: the answer is 202 (200 for Envoy), 401 or 403, and 302 at `forward_auth`. It never sets a
//! cookie, for not every proxy hands one on; and only one that grants has a `Cookie`, for proxies hand the
//! others to the browser, where script may read them.

pub mod clients;
mod decision;
mod narrowing;
mod original;
mod table;

use http::header::COOKIE;
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::body::Body;
use crate::endpoints::query::Query;
use crate::endpoints::{Call, Endpoints, redirect};
use crate::error::{Error, SecondPathFault, SubrequestError};
use crate::gate::challenge::{SubrequestChallenge, SubrequestMode, answered};
use crate::pages::harden;
use crate::server::{Answered, ForwardAuthProxy, Peer};
use crate::telemetry::metrics::RouteMeter;
use clients::DeclaredClient;
use decision::{Grant, Subrequest, SubrequestDecision};
use original::Original;

impl Endpoints {
    /// Any method at `auth[/PATH]` or `forward_auth[/PATH]`; counted at the route that is asked about.
    pub(super) async fn auth(
        &self,
        asker: SubrequestMode,
        suffix: Option<&str>,
        call: Call<'_>,
    ) -> (Option<&'static RouteMeter>, Result<Answered, Error>) {
        // SECURITY: who may ask about any request could ask about one that passes, and mean another (T54).
        let Some(client) = self.clients.of_peer(call.client.peer()) else {
            return (None, Err(self.distrust(call)));
        };
        let (meter, answer) = match self.subrequest(client, asker, suffix, call) {
            Ok(subrequest) => {
                let (meter, decision) = self.decide_subrequest(&subrequest).await;
                (meter, answer(decision, client.proxy()))
            }
            Err(fault) => (None, Err(fault.into())),
        };
        if let Err(error) = &answer {
            complain(client, call, error);
        }
        (meter, answer)
    }

    /// What is asked.
    fn subrequest<'a>(
        &self,
        client: &DeclaredClient,
        asker: SubrequestMode,
        suffix: Option<&'a str>,
        call: Call<'a>,
    ) -> Result<Subrequest<'a>, SubrequestError> {
        let public_url = self.party.site().public_url();
        let original = Original::of(client, &self.clients, public_url, suffix, call)?;
        let narrowing = match (client.proxy(), suffix) {
            // The query is the original request's.
            (ForwardAuthProxy::Envoy, Some(_)) => None,
            _ => narrowing::of(&Query::parse(call.uri.query().unwrap_or_default()))?,
        };
        let (headers, dropped, listener) = (call.headers, call.dropped, call.client.listener());
        Ok(Subrequest { original, headers, dropped, narrowing, asker, listener })
    }

    /// Tells the operator, who may just have forgotten a line; tells a stranger nothing new.
    fn distrust(&self, call: Call<'_>) -> Error {
        let fault = SubrequestError::Undeclared;
        if self.clients.undeclared.allow() {
            let address = match call.client.peer() {
                Peer::Ip(address) => address.to_string(),
                Peer::Unix => "unix".to_owned(),
            };
            tracing::warn!(
                request_id = %call.client.request_id(),
                "{fault}: if it is a proxy of yours, add {address} to server.forward_auth.clients"
            );
        }
        match self.party.session(call.headers) {
            Some(_) => fault.into(),
            None => {
                Error::NotSignedIn { login_url: self.party.site().own_url("/start"), cookies: None }
            }
        }
    }
}

/// The decision as this kind of proxy understands it.
fn answer(decision: SubrequestDecision, proxy: ForwardAuthProxy) -> Result<Answered, Error> {
    match decision {
        SubrequestDecision::Granted(grant) => Ok(granted(grant, proxy)),
        SubrequestDecision::Challenge(SubrequestChallenge::Redirect(to)) => {
            redirect(to.into()).map(answered)
        }
        SubrequestDecision::Challenge(SubrequestChallenge::Unauthorized(login_url)) => {
            Err(Error::NotSignedIn { login_url, cookies: None })
        }
        SubrequestDecision::Denied(error) => Err(error),
    }
}

/// All that an upstream may be told of its visitor, and the visitor's cookies without ours in place of all.
// SECURITY: an upstream that learns the session id can act as the visitor (T92).
fn granted(grant: Grant, proxy: ForwardAuthProxy) -> Answered {
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = grant.headers;
    let headers = response.headers_mut();
    harden(headers);
    let status = match (proxy, grant.cookies) {
        // An empty value would be an empty field at its upstream.
        (ForwardAuthProxy::Envoy, None) => {
            headers.insert(AUTH_HEADERS_TO_REMOVE, HeaderValue::from_static("cookie"));
            StatusCode::OK
        }
        (ForwardAuthProxy::Envoy, Some(cookies)) => {
            headers.insert(COOKIE, cookies);
            StatusCode::OK
        }
        // Absent, it would be the text of the placeholder at upstreams of Caddy 2.6.
        (_, cookies) => {
            headers.insert(COOKIE, cookies.unwrap_or(HeaderValue::from_static("")));
            StatusCode::ACCEPTED
        }
    };
    *response.status_mut() = status;
    Answered::new(response, grant.outcome)
}

/// Tells the operator of a question that cannot be granted for its form. Visitors can ask so at will.
fn complain(client: &DeclaredClient, call: Call<'_>, error: &Error) {
    let by_rules = matches!(
        error,
        Error::NotSignedIn { .. }
            | Error::Denied(_)
            | Error::DeniedForEveryone { .. }
            | Error::ForeignOrigin
    );
    if !by_rules && client.complaints.allow() {
        let (request_id, proxy) = (call.client.request_id(), client.proxy().as_str());
        let why: String = error.to_string().chars().take(LONGEST).collect();
        let remedy = if matches!(error, Error::SecondPath(SecondPathFault::NoDestination)) {
            ". Let the proxy pass Destination on with its question"
        } else {
            ""
        };
        tracing::warn!(%request_id, proxy, "a question at an auth endpoint is denied: {why}{remedy}");
    }
}

const AUTH_HEADERS_TO_REMOVE: HeaderName =
    HeaderName::from_static("x-envoy-auth-headers-to-remove");
/// Characters of a reason in the log: a path can be long.
const LONGEST: usize = 400;
