//! External authorization over gRPC: a call -> the decision, or an error as the page of its denial.
//! Invariant: every call of Envoy gets a `CheckResponse` in time; whatever fails is a denial.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::sleep;

use crate::app::App;
use crate::endpoints::ext_authz::answer::{denied, rejected};
use crate::endpoints::ext_authz::{DescribedRequest, Procedure, ProcedureCall, health, user_of};
use crate::error::Error;
use crate::grpc::{DecisionMetadata, timeout_of};
use crate::pages::{Format, Language, ResponseContext, plain_text};
use crate::server::{Answered, ClientInfo, Incoming, RejectedRequest, without_panic};
use crate::telemetry::access_log::{LoggedDecision, Outcome};

impl App {
    /// The procedure that a request calls; `None`: its path is a path like any other.
    pub(super) fn procedure(&self, incoming: &Incoming) -> Option<Procedure> {
        let (request, client) = (&incoming.request, &incoming.client);
        self.endpoints.procedure(ProcedureCall {
            method: request.method(),
            version: request.version(),
            path: request.uri().path(),
            headers: request.headers(),
            peer: client.peer(),
            listener: client.listener(),
            request_id: client.request_id(),
        })
    }

    /// Answers a call.
    pub(super) async fn call(&self, procedure: Procedure, incoming: Incoming) -> Answered {
        let client = Arc::clone(&incoming.client);
        let answer = match procedure {
            Procedure::Check => {
                // SECURITY: an Envoy with `failure_mode_allow` takes an error as permission, so a panic must be a
                // denial.
                let answer = without_panic(pin!(self.check(incoming))).await;
                answer.unwrap_or_else(|| {
                    let request_id = client.request_id();
                    tracing::error!(%request_id, "panic in external authorization");
                    rejected(bare(), DecisionMetadata::default())
                })
            }
            Procedure::Health => health(incoming.request.into_body(), &client).await.into(),
            Procedure::Absent => {
                self.error_page(&Error::NoRoute, &context(None, client.request_id().as_str()))
            }
        };
        // Without effect if the route of a check was found: its note is the first.
        client.note_route(self.metrics.own());
        answer
    }

    /// Answers a check.
    async fn check(&self, incoming: Incoming) -> Answered {
        let Incoming { request, client } = incoming;
        let (head, body) = request.into_parts();
        let time = timeout_of(&head.headers).map_or(Duration::MAX, |time| time.mul_f64(SHARE));
        let mut described = None;
        let deciding = async {
            let described = described.insert(self.endpoints.described(body, &client).await?);
            self.endpoints.check(described, &client).await
        };
        // SECURITY: Envoy takes a call for an error that is too slow, or that is cut at the end of the drain.
        let decided = tokio::select! {
            biased;
            decided = deciding => decided,
            () = sleep(time) => Err(Error::Rejected(StatusCode::GATEWAY_TIMEOUT)),
            () = last_moment(&client) => Err(Error::Rejected(StatusCode::SERVICE_UNAVAILABLE)),
        };
        let error = match decided {
            Ok(answer) => return answer,
            Err(error) => error.in_subrequest(),
        };
        let request_id = client.request_id().as_str();
        let page = self.error_page(&error, &context(described.as_ref(), request_id));
        let user = if let Error::Denied(it) = &error { Some(user_of(&it.identity)) } else { None };
        denied(page, user, &client)
    }

    /// Renders the response to a rejected request, if it is a check.
    pub(super) fn reject_check(&self, request: &RejectedRequest<'_>) -> Option<Answered> {
        match self.endpoints.procedure(ProcedureCall::from(request))? {
            Procedure::Check => {
                let error = Error::Rejected(request.status).in_subrequest();
                let context = context(None, request.request_id.as_str());
                Some(rejected(self.error_page(&error, &context), DecisionMetadata::default()))
            }
            Procedure::Health | Procedure::Absent => None,
        }
    }
}

/// Waits until the process is about to cut its requests.
async fn last_moment(client: &ClientInfo) {
    client.tasks().draining().await;
    sleep(client.drain_time().mul_f64(SHARE)).await;
}

/// How the answer about a described request is shown; to Envoy itself as JSON.
fn context<'a>(described: Option<&DescribedRequest>, request_id: &'a str) -> ResponseContext<'a> {
    let headers = described.map(DescribedRequest::headers);
    let format = headers.map_or(Format::Json, Format::with_status);
    let language =
        headers.map_or(Language::default(), |headers| Language::of_page(format, headers));
    ResponseContext { format, language, request_id, retry: None }
}

/// The answer of last resort.
fn bare() -> Answered {
    let outcome = Outcome {
        decision: Some(LoggedDecision::Error),
        reason: Some("panic".into()),
        ..Outcome::default()
    };
    Answered::new(plain_text(StatusCode::FORBIDDEN, "Forbidden"), outcome)
}

/// The part of the time of a call after which it is answered.
const SHARE: f64 = 0.9;
