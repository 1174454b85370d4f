//! `/envoy.service.auth.v3.Authorization/Check`: external authorization over gRPC, by which Envoy sends auth
//! subrequests. The described request (`described`) -> the decision, the same as over HTTP (`auth::decision`) ->
//! a `CheckResponse` (`answer`).
//! Invariants: no attribute of the request is read from its headers. Every call ends with a decision and with
//! `grpc-status: 0`: an error of gRPC is permission for an Envoy with `failure_mode_allow`.

pub mod answer;
mod described;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Response, Version};

use crate::body::Body;
use crate::endpoints::Endpoints;
use crate::endpoints::auth::decision::{AnswerForm, Subrequest, SubrequestDecision};
use crate::endpoints::auth::original::Original;
use crate::endpoints::auth::{report_call, report_fault};
use crate::endpoints::ext_authz::answer::{allowed, denied};
use crate::error::{Error, SubrequestError};
use crate::gate::challenge::{SubrequestChallenge, SubrequestMode, answered};
use crate::grpc::{
    self, CallFailure, CheckRequest, HealthRequest, ServiceHealth, is_grpc, message_of,
};
use crate::pages;
use crate::server::{
    Answered, ClientInfo, ForwardAuthProxy, ListenerKind, Peer, RejectedRequest, RequestId,
};

pub use crate::endpoints::auth::decision::user_of;
pub use crate::endpoints::ext_authz::described::DescribedRequest;

/// A remote procedure of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Procedure {
    /// An auth subrequest of Envoy.
    Check,
    /// A health check.
    Health,
    /// One of these, on a listener or from a peer that it is not for.
    Absent,
}

/// The parts of a request that make it a remote procedure call.
#[derive(Clone, Copy, Debug)]
pub struct ProcedureCall<'a> {
    /// The method.
    pub method: &'a Method,
    /// The version of HTTP.
    pub version: Version,
    /// The path.
    pub path: &'a str,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The other end of the socket.
    pub peer: Peer,
    /// The listener.
    pub listener: ListenerKind,
    /// The ID of the request.
    pub request_id: &'a RequestId,
}

impl<'a> From<&'a RejectedRequest<'_>> for ProcedureCall<'a> {
    fn from(rejected: &'a RejectedRequest<'_>) -> Self {
        let RejectedRequest { method, version, path, headers, peer, listener, .. } = *rejected;
        Self { method, version, path, headers, peer, listener, request_id: &rejected.request_id }
    }
}

impl Endpoints {
    /// The procedure that a request calls; `None`: its path is a path like any other.
    pub fn procedure(&self, call: ProcedureCall<'_>) -> Option<Procedure> {
        // Nearly every request ends here.
        let procedure = match call.path {
            CHECK => Procedure::Check,
            HEALTH => Procedure::Health,
            _ => return None,
        };
        let is_call = call.method == Method::POST
            && call.version == Version::HTTP_2
            && call.headers.get(CONTENT_TYPE).is_some_and(is_grpc);
        // SECURITY: a peer that may describe any request could describe an allowed one, and send another (T54).
        let client = self.clients.of_peer(call.peer);
        let is_envoy = client.is_some_and(|client| client.proxy() == ForwardAuthProxy::Envoy);
        match (procedure, call.listener) {
            _ if !is_call => None,
            (_, ListenerKind::Redirect) => None,
            (Procedure::Health, ListenerKind::ForwardAuth) => Some(procedure),
            (_, ListenerKind::ForwardAuth) if !is_envoy => {
                match client {
                    Some(client) => report_call(client, call.request_id),
                    None => self.report_undeclared(call.peer, call.request_id),
                }
                Some(Procedure::Absent)
            }
            (_, ListenerKind::ForwardAuth) => Some(procedure),
            (_, ListenerKind::Public) if !is_envoy => {
                if let (Procedure::Check, Some(client)) = (procedure, client) {
                    report_call(client, call.request_id);
                }
                None
            }
            (_, ListenerKind::Public) if self.clients.have_own_listener() => {
                Some(Procedure::Absent)
            }
            (_, ListenerKind::Public) => Some(procedure),
        }
    }

    /// Reads the request that a `Check` describes. `caller` is Envoy.
    pub async fn described(
        &self,
        body: Body,
        caller: &ClientInfo,
    ) -> Result<DescribedRequest, Error> {
        let read = async {
            let limit = ATTRIBUTES.saturating_add(caller.limits().header_bytes);
            let message = message_of(body, limit).await.map_err(SubrequestError::from)?;
            let check = CheckRequest::decode(&message).map_err(SubrequestError::from)?;
            DescribedRequest::of(check, &self.clients, self.party.site().public_url(), caller)
        };
        let read = read.await;
        if let Err(error) = &read {
            self.report_check(caller, error);
        }
        read
    }

    /// Decides about a described request.
    pub async fn check(
        &self,
        described: &DescribedRequest,
        caller: &ClientInfo,
    ) -> Result<Answered, Error> {
        let subrequest = Subrequest {
            original: Original {
                client: Box::new(described.client.clone()),
                method: described.method.clone(),
                target: Ok(&described.target),
            },
            headers: &described.headers,
            dropped: &described.dropped,
            narrowing: None,
            mode: SubrequestMode::Redirects,
            form: AnswerForm::Changes,
        };
        let decision = match self.decide_subrequest(caller, &subrequest).await {
            SubrequestDecision::Allow(allow) => Ok(allowed(allow, described, caller)),
            SubrequestDecision::SignIn(SubrequestChallenge::Redirect(to)) => {
                let to = pages::redirect(to, None).map_err(|_| Error::Malformed);
                to.map(|to| denied(answered(to), None, caller))
            }
            SubrequestDecision::SignIn(SubrequestChallenge::Unauthorized {
                login_url,
                at_stake,
            }) => Err(Error::NotSignedIn { login_url, at_stake, cookies: None }),
            SubrequestDecision::Deny(error) => Err(error),
        };
        if let Err(error) = &decision {
            self.report_check(caller, error);
        }
        decision
    }

    fn report_check(&self, caller: &ClientInfo, error: &Error) {
        if let Some(client) = self.clients.of_peer(caller.peer()) {
            report_fault(client, caller.request_id(), error);
        }
    }
}

/// Answers a health check.
pub async fn health(body: Body, client: &ClientInfo) -> Response<Body> {
    let message = message_of(body, SERVICE_NAME).await;
    let Ok(request) = message.and_then(|message| HealthRequest::decode(&message)) else {
        return grpc::fail(CallFailure::InvalidArgument);
    };
    if !matches!(&*request.service, "" | SERVICE) {
        return grpc::fail(CallFailure::NotFound);
    }
    let health = if client.tasks().is_stopping() {
        ServiceHealth::NotServing
    } else {
        ServiceHealth::Serving
    };
    grpc::answer(&health.encode())
}

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const SERVICE: &str = "envoy.service.auth.v3.Authorization";
/// The most bytes of a message apart from the header fields of the request that it describes.
const ATTRIBUTES: usize = 64 * 1024;
/// The most bytes of a health check: a name.
const SERVICE_NAME: usize = 1024;
