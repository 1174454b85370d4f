//! A request under way: its counters, its status, and its line in the access log.
//! Invariant: the end of every request is counted exactly once, when its [`Exchange`] is dropped.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use http::{Response, StatusCode, Version};
use http_body::Body as _;

use crate::body::Body;
use crate::server::client_info::ClientInfo;
use crate::server::connection_info::ConnectionInfo;
use crate::server::handler::Answered;
use crate::server::request_id::RequestId;
use crate::server::request_line::RequestLine;
use crate::server::shutdown::DrainStage;
use crate::telemetry::access_log::{self, Line, Outcome};

/// Logged if the client's address is unknown.
const UNKNOWN: HeaderValue = HeaderValue::from_static("-");

/// The status in the log if the client left before the response, as in nginx.
const CLIENT_LEFT: u16 = 499;

/// A request under way, until its response is complete or given up.
pub(super) struct Exchange {
    connected: Arc<ConnectionInfo>,
    began: Duration,
    /// `None` if the request was rejected.
    pub(super) client: Option<Arc<ClientInfo>>,
    pub(super) logged: LoggedLine,
    status: Option<StatusCode>,
    pub(super) bytes: u64,
    pub(super) outcome: Outcome,
}

/// From where the access log has the line and the ID of the request.
pub(super) enum LoggedLine {
    /// The request is not logged.
    Never,
    /// From the client.
    OfClient,
    /// From here, because the request was rejected.
    OfRejected(Box<(RequestLine, RequestId)>),
}

impl Exchange {
    pub(super) fn begin(connected: Arc<ConnectionInfo>) -> Self {
        let began = connected.activity().begin();
        connected.settings().context.metrics.request_began();
        let outcome = Outcome::default();
        let (client, logged) = (None, LoggedLine::Never);
        Self { connected, began, client, logged, status: None, bytes: 0, outcome }
    }

    pub(super) fn answered(
        &mut self,
        answered: Answered,
        version: Version,
        head: bool,
    ) -> Box<Response<Body>> {
        let Answered { mut response, outcome } = answered;
        if head {
            withhold_body(&mut response);
        }
        self.status = Some(outcome.visitor_status.unwrap_or(response.status()));
        self.outcome = outcome;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS && version == Version::HTTP_11 {
            self.connected.activity().upgrade();
        } else if version != Version::HTTP_2
            && self.connected.tasks().stage() >= DrainStage::Draining
        {
            // hyper does this, too, but only after the connection's task has seen the drain.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Records why a response is incomplete. It is `fault`, unless the server or the session has ended.
    #[cold]
    pub(super) fn cut(&mut self, fault: &'static str) {
        let ended = self.client.as_ref().is_some_and(|client| client.open_parts().are_cut());
        let reason = match self.connected.tasks().stage() {
            DrainStage::Ending => "cut at shutdown",
            // A stream whose client does not read, and no session: they rarely end in this moment.
            DrainStage::Draining if ended => "cut at shutdown",
            DrainStage::Open | DrainStage::Stopping if ended => "the session has ended",
            DrainStage::Open | DrainStage::Stopping | DrainStage::Draining => fault,
        };
        self.outcome.reason.get_or_insert(Cow::Borrowed(reason));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.cut("the client left");
        }
        let duration = self.connected.activity().finish(self.began);
        let status = self.status.map_or(CLIENT_LEFT, |status| status.as_u16());
        let client = self.client.as_ref();
        let route = client.and_then(|client| client.route());
        self.connected.settings().context.metrics.request_ended(route, status, duration);
        let (line, request_id) = match (&self.logged, client) {
            (LoggedLine::OfClient, Some(client)) => (client.line(), client.request_id()),
            (LoggedLine::OfRejected(rejected), _) => (&rejected.0, &rejected.1),
            (LoggedLine::OfClient, None) | (LoggedLine::Never, _) => return,
        };
        let address =
            client.map_or_else(|| self.connected.peer().address(), |client| client.address());
        let address = self.connected.text_of(address).unwrap_or(UNKNOWN);
        access_log::record(&Line {
            method: line.method.as_str(),
            host: client.map_or("", |client| client.host()),
            path: line.path(),
            status,
            bytes: self.bytes,
            duration,
            client: address.to_str().unwrap_or_default(),
            request_id: request_id.as_str(),
            route,
            outcome: &self.outcome,
        });
    }
}

/// Removes the content of the response to a HEAD and keeps the fields of a GET's (RFC 9110 §9.3.2). hyper does it
/// on HTTP/1 only.
fn withhold_body(response: &mut Response<Body>) {
    if response.body().is_end_stream() {
        return;
    }
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    *response.body_mut() = Body::empty();
}
