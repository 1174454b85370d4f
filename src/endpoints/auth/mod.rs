//! `auth` and `forward_auth`: auth subrequests, by which a proxy gets the decision on its visitor's request.
//! The original request (`table`, `described`, `original`, `narrowing`) -> `decision`, the same as for proxying -> an
//! answer.
//! Invariants: the answer is 202 (200 for Envoy), 401 or 403, and 302 at `forward_auth`. It sets no cookie,
//! because not every proxy passes cookies on. Only an answer that allows has `Cookie`: proxies pass the other
//! answers to the browser, where script could read it.

pub mod clients;
pub(in crate::endpoints) mod decision;
mod described;
pub mod ignored_headers;
mod narrowing;
pub(in crate::endpoints) mod original;
mod table;

use http::header::COOKIE;
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::body::Body;
use crate::endpoints::auth::clients::DeclaredClient;
use crate::endpoints::auth::decision::{
    AllowedSubrequest, AnswerForm, Subrequest, SubrequestDecision,
};
use crate::endpoints::auth::original::Original;
use crate::endpoints::query::Query;
use crate::endpoints::{Call, Endpoints, redirect};
use crate::error::{AtStake, Error, SecondPathFault, SubrequestError};
use crate::gate::challenge::{SubrequestChallenge, SubrequestMode, answered};
use crate::server::{Answered, ForwardAuthProxy, Peer, RequestId};

impl Endpoints {
    /// Any method at `auth[/PATH]` or `forward_auth[/PATH]`.
    pub(super) async fn auth(
        &self,
        mode: SubrequestMode,
        suffix: Option<&str>,
        call: Call<'_>,
    ) -> Result<Answered, Error> {
        // SECURITY: a peer that may describe any request could describe an allowed one, and send another.
        let Some(client) = self.clients.of_peer(call.client.peer()) else {
            return Err(self.undeclared(call).await);
        };
        let subrequest = self.subrequest(client, mode, suffix, call);
        // By reference: a copy would enlarge the future.
        let answer = match &subrequest {
            Ok(subrequest) => {
                let decision = self.decide_subrequest(call.client, subrequest).await;
                let is_decided = !matches!(decision, SubrequestDecision::Deny(_));
                if let (true, Err(fault)) = (is_decided, &subrequest.original.target) {
                    report_without_uri(client, call.client.request_id(), fault);
                }
                answer(decision, client.proxy())
            }
            Err(fault) => Err(fault.clone().into()),
        };
        if let Err(error) = &answer {
            report_fault(client, call.client.request_id(), error);
        }
        answer
    }

    /// Reads the subrequest.
    fn subrequest<'a>(
        &self,
        client: &DeclaredClient,
        mode: SubrequestMode,
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
        let (headers, dropped, form) = (call.headers, call.dropped, AnswerForm::Fields);
        Ok(Subrequest { original, headers, dropped, narrowing, mode, form })
    }

    /// The error for a peer that is not declared. It says nothing new to an attacker; the log says to the
    /// operator which line may be missing.
    async fn undeclared(&self, call: Call<'_>) -> Error {
        let fault = SubrequestError::Undeclared;
        self.report_undeclared(call.client.peer(), call.client.request_id());
        match self.party.session(call.headers).await {
            Ok(Some(_)) => fault.into(),
            Err(unavailable) => unavailable.into(),
            Ok(None) => {
                let login_url = self.party.site().own_url("/start");
                Error::NotSignedIn { login_url, at_stake: AtStake::Nothing, cookies: None }
            }
        }
    }

    /// Names the line of the configuration that may be missing. Throttled.
    pub(in crate::endpoints) fn report_undeclared(&self, peer: Peer, request_id: &RequestId) {
        if self.clients.undeclared.allow() {
            let address = match peer {
                Peer::Ip(address) => address.to_string(),
                Peer::Unix => "unix".to_owned(),
                Peer::Unknown => "its address".to_owned(),
            };
            tracing::warn!(
                %request_id,
                "{}: if this is your proxy, add {address} to server.forward_auth.clients",
                SubrequestError::Undeclared
            );
        }
    }
}

/// The answer to a subrequest, for this kind of proxy.
fn answer(decision: SubrequestDecision, proxy: ForwardAuthProxy) -> Result<Answered, Error> {
    match decision {
        SubrequestDecision::Allow(allowed) => Ok(allow(allowed, proxy)),
        SubrequestDecision::SignIn(SubrequestChallenge::Redirect(to)) => {
            redirect(to.into()).map(answered)
        }
        SubrequestDecision::SignIn(SubrequestChallenge::Unauthorized { login_url, at_stake }) => {
            Err(Error::NotSignedIn { login_url, at_stake, cookies: None })
        }
        SubrequestDecision::Deny(error) => Err(error),
    }
}

/// The identity headers, and the visitor's cookies without the gateway's.
// SECURITY: an upstream that learns the session id can act as the user.
fn allow(allowed: AllowedSubrequest, proxy: ForwardAuthProxy) -> Answered {
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = allowed.headers;
    let headers = response.headers_mut();
    let status = match (proxy, allowed.cookies) {
        // Envoy would send an empty value to the upstream as an empty field.
        (ForwardAuthProxy::Envoy, None) => {
            headers.remove(COOKIE);
            headers.insert(AUTH_HEADERS_TO_REMOVE, HeaderValue::from_static("cookie"));
            StatusCode::OK
        }
        (ForwardAuthProxy::Envoy, Some(cookies)) => {
            headers.insert(COOKIE, cookies);
            StatusCode::OK
        }
        (_, Some(cookies)) => {
            headers.insert(COOKIE, cookies);
            StatusCode::ACCEPTED
        }
        (_, None) => StatusCode::ACCEPTED,
    };
    *response.status_mut() = status;
    Answered::new(response, allowed.outcome)
}

/// Logs a subrequest that is denied for its form. Throttled, because visitors can cause it at will.
pub(in crate::endpoints) fn report_fault(
    client: &DeclaredClient,
    request_id: &RequestId,
    error: &Error,
) {
    let by_rules = matches!(
        error,
        Error::NotSignedIn { .. }
            | Error::Denied(_)
            | Error::DeniedForEveryone { .. }
            | Error::ForeignOrigin
    );
    if !by_rules && client.faults.allow() {
        let proxy = client.proxy().as_str();
        let why: String = error.to_string().chars().take(MAX_REASON).collect();
        let remedy = if matches!(error, Error::SecondPath(SecondPathFault::NoDestination)) {
            ". Configure the proxy to send Destination with its auth subrequests"
        } else {
            ""
        };
        tracing::warn!(%request_id, proxy, "auth subrequest denied: {why}{remedy}");
    }
}

/// Logs that a subrequest without a URI was decided nevertheless, if another kind of proxy may have sent it. Throttled.
fn report_without_uri(client: &DeclaredClient, request_id: &RequestId, fault: &SubrequestError) {
    if fault.is_like_another_kind() && client.faults.allow() {
        let proxy = client.proxy().as_str();
        tracing::warn!(
            %request_id,
            proxy,
            "auth subrequest decided by its host alone, so that a sign-in ends at /: {fault}"
        );
    }
}

/// Logs a gRPC call of a proxy that is declared as one of another kind. Throttled.
pub(in crate::endpoints) fn report_call(client: &DeclaredClient, request_id: &RequestId) {
    if client.calls.allow() {
        let proxy = client.proxy().as_str();
        // SECURITY: a proxy that forwards such calls of visitors must not be declared as Envoy (T54).
        tracing::warn!(
            %request_id,
            proxy,
            "a gRPC call for a decision came from a proxy that is declared as {proxy}: if it is Envoy and has sent the \
             call itself, declare it as `proxy`: envoy; if it has forwarded a visitor's request, change nothing"
        );
    }
}

const AUTH_HEADERS_TO_REMOVE: HeaderName =
    HeaderName::from_static("x-envoy-auth-headers-to-remove");
/// The most characters of a reason in the log, which may have a long path in it.
const MAX_REASON: usize = 400;
