//! The frame of one request: its name, its checks, a guard against panics, and its line in the access log.
//! Invariant: every request that hyper delivers is answered, and its end is counted exactly once.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming as Received;

use super::client_addr::{ClientInfo, ConnectionInfo};
use super::connection_limit::Admission;
use super::h2_streams::SendStall;
use super::panic_guard::without_panic;
use super::request_body;
use super::request_head::{self, HeadError};
use super::request_id::RequestId;
use super::shutdown::Stage;
use super::{AccessLog, Answered, Handler, Incoming, Limits, Refusal};
use crate::body::{Body, BodyError};
use crate::random;
use crate::telemetry::access_log::{self, Line, Outcome};
use crate::telemetry::metrics::{Metrics, RouteMeter};

/// One connection's service.
pub(super) struct Service<H> {
    handler: Arc<H>,
    connected: Arc<ConnectionInfo>,
    admission: Admission,
    limits: Limits,
    body_patience: Duration,
    access_log: AccessLog,
    metrics: Arc<Metrics>,
    /// Requests are named by this and their count.
    names: u128,
    count: AtomicU32,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a 405 of ours has to name (RFC 9110 §15.5.6).
const METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// Logged in place of a client's address that is not known.
const UNKNOWN: HeaderValue = HeaderValue::from_static("-");

/// Logged where the client left before its answer, as nginx does.
const CLIENT_LEFT: u16 = 499;

impl<H: Handler> Service<H> {
    pub(super) fn new(
        handler: Arc<H>,
        connected: Arc<ConnectionInfo>,
        admission: Admission,
        limits: Limits,
        body_patience: Duration,
        access_log: AccessLog,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let names = u128::from_be_bytes(random::bytes());
        let count = AtomicU32::new(0);
        Arc::new(Self {
            handler,
            connected,
            admission,
            limits,
            body_patience,
            access_log,
            metrics,
            names,
            count,
        })
    }

    /// Answers one request. What needs no waiting is done before the future is made, to keep it small; and it
    /// is boxed, as hyper moves it and keeps room for it while its client's connection is idle.
    pub(super) fn answer(
        self: &Arc<Self>,
        request: Request<Received>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>> {
        let (version, head) = (request.version(), request.method() == Method::HEAD);
        let request_id = self.name(request.headers());
        let mut exchange = Box::new(Exchange::begin(Arc::clone(&self.connected), &self.metrics));
        let framed = self.frame(request, request_id, &mut exchange);
        let service = Arc::clone(self);
        Box::pin(async move {
            let handover = SendStall::current();
            if let (Some(client), Some(handover)) = (&exchange.client, &handover) {
                client.open_parts().runs_in(handover);
            }
            let answered = match framed {
                Ok(incoming) => service.handle(incoming, request_id).await,
                Err(refused) => *refused,
            };
            let response = exchange.answered(answered, version, head);
            Ok(response.map(|body| Answer { body, broken: None, exchange, handover }))
        })
    }

    /// A trusted proxy's name for the request, else a new one.
    fn name(&self, headers: &HeaderMap) -> RequestId {
        let given = if self.connected.is_trusted() { headers.get(REQUEST_ID) } else { None };
        given.and_then(|given| RequestId::parse(given.as_bytes())).unwrap_or_else(|| {
            RequestId::of(self.names, self.count.fetch_add(1, Ordering::Relaxed))
        })
    }

    /// Checks a request and puts the frame around it, or makes its refusal.
    fn frame(
        &self,
        mut request: Request<Received>,
        request_id: RequestId,
        exchange: &mut Exchange,
    ) -> Result<Incoming, Box<Answered>> {
        let asked = (self.access_log == AccessLog::On)
            .then(|| (request.method().clone(), request.uri().path_and_query().cloned()));
        let checked = request_head::check(&mut request, &self.limits).and_then(|authority| {
            self.check_standing()?;
            let connected = Arc::clone(&self.connected);
            ClientInfo::of(connected, authority, request.headers(), request_id).map(Arc::new)
        });
        exchange.client = checked.as_ref().ok().map(Arc::clone);
        exchange.line = asked.map(|(method, target)| LoggedRequest { method, target, request_id });
        match checked {
            Ok(client) => {
                let request =
                    request.map(|body| request_body::wrap(body, self.body_patience, &client));
                Ok(Incoming { request: Box::new(request), client })
            }
            Err(flaw) => Err(Box::new(self.refuse(flaw, &request, request_id))),
        }
    }

    /// Whether the connection has a place, which an eviction takes away while no request is under way.
    fn check_standing(&self) -> Result<(), HeadError> {
        match self.admission {
            Admission::Accepted if self.connected.activity().is_evicted() => Err(HeadError::Full),
            Admission::Accepted => Ok(()),
            Admission::OverLimit => Err(HeadError::Full),
            Admission::OverClientLimit => Err(HeadError::ClientFull),
        }
    }

    fn refuse<B>(&self, flaw: HeadError, request: &Request<B>, request_id: RequestId) -> Answered {
        let (status, path, headers) = (flaw.status(), request.uri().path(), request.headers());
        let mut answered = self.handler.refuse(Refusal { status, path, headers, request_id });
        // The page keeps it to itself.
        answered.outcome.reason = Some(flaw.to_string().into());
        let headers = answered.response.headers_mut();
        if flaw == HeadError::Method {
            headers.insert(ALLOW, METHODS);
        }
        // SECURITY: where one message is in doubt, so is where the next one begins; and who is one too many leaves.
        if request.version() != Version::HTTP_2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answered
    }

    /// Lets the handler answer; where it panics, answers 500 in its stead.
    async fn handle(&self, incoming: Incoming, request_id: RequestId) -> Answered {
        if let Some(answered) = without_panic(self.handler.handle(incoming)).await {
            return answered;
        }
        tracing::error!(%request_id, "a request handler panicked");
        let (status, headers) = (StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new());
        self.handler.refuse(Refusal { status, path: "", headers, request_id })
    }
}

/// A request under way, until its answer is handed over or given up.
struct Exchange {
    connected: Arc<ConnectionInfo>,
    began: Duration,
    /// Counts the request unless its outcome names a route.
    unrouted: &'static RouteMeter,
    /// None where the request was refused for its head.
    client: Option<Arc<ClientInfo>>,
    /// Kept where there is an access log.
    line: Option<LoggedRequest>,
    status: Option<StatusCode>,
    bytes: u64,
    outcome: Outcome,
}

/// What the access log says of the request.
struct LoggedRequest {
    method: Method,
    target: Option<PathAndQuery>,
    request_id: RequestId,
}

impl Exchange {
    fn begin(connected: Arc<ConnectionInfo>, metrics: &Metrics) -> Self {
        let began = connected.activity().begin();
        metrics.request_began();
        let unrouted = metrics.unrouted();
        let outcome = Outcome::default();
        let (client, line) = (None, None);
        Self { connected, began, unrouted, client, line, status: None, bytes: 0, outcome }
    }

    fn answered(
        &mut self,
        answered: Answered,
        version: Version,
        head: bool,
    ) -> Box<Response<Body>> {
        let Answered { mut response, outcome } = answered;
        if head {
            withhold_body(&mut response);
        }
        self.status = Some(response.status());
        self.outcome = outcome;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS && version == Version::HTTP_11 {
            self.connected.activity().upgrade();
        } else if version != Version::HTTP_2 && self.connected.tasks().stage() != Stage::Open {
            // hyper says so too, but only once the order has reached this connection's own task.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Notes why there is not all of an answer: by whose fault, if not ours.
    #[cold]
    fn cut(&mut self, fault: &'static str) {
        let ended = self.client.as_ref().is_some_and(|client| client.open_parts().are_cut());
        let reason = match self.connected.tasks().stage() {
            Stage::Ending => "cut at shutdown",
            Stage::Open | Stage::Draining if ended => "the session has ended",
            Stage::Open | Stage::Draining => fault,
        };
        self.outcome.reason.get_or_insert(Cow::Borrowed(reason));
    }
}

/// What a HEAD is answered: the fields of a GET's answer, and no content (RFC 9110 §9.3.2). On HTTP/1 hyper sees
/// to it too, on HTTP/2 nobody else.
fn withhold_body(response: &mut Response<Body>) {
    if response.body().is_end_stream() {
        return;
    }
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    *response.body_mut() = Body::empty();
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.cut("the client left");
        }
        let duration = self.connected.activity().finish(self.began);
        let status = self.status.map_or(CLIENT_LEFT, |status| status.as_u16());
        let client = self.client.as_ref();
        // Who left before the answer is counted where the request went.
        let known = client.and_then(|client| client.route());
        self.outcome.route = self.outcome.route.or(known);
        self.outcome.route.unwrap_or(self.unrouted).ended(status, duration);
        let Some(LoggedRequest { method, target, request_id }) = &self.line else { return };
        let address = client.map_or_else(|| self.connected.address(), |client| client.address());
        let address = self.connected.text_of(address).unwrap_or(UNKNOWN);
        access_log::record(&Line {
            method: method.as_str(),
            host: client.map_or("", |client| client.host()),
            path: target.as_ref().map_or("", PathAndQuery::path),
            status,
            bytes: self.bytes,
            duration,
            client: address.to_str().unwrap_or_default(),
            request_id: request_id.as_str(),
            outcome: &self.outcome,
        });
    }
}

/// A response's body; the request ends with it.
pub(super) struct Answer {
    /// Empty once there is no more to come, for better or worse.
    body: Body,
    /// Why it broke off, until that is told.
    broken: Option<BodyError>,
    exchange: Box<Exchange>,
    /// On HTTP/2.
    handover: Option<Arc<SendStall>>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(handover) = &this.handover {
            handover.asked();
        }
        let frame = ready!(pin!(&mut this.body).poll_frame(cx));
        if let Some(handover) = &this.handover {
            handover.handed();
        }
        match frame {
            Some(Ok(frame)) => {
                match frame.data_ref() {
                    Some(data) => this.exchange.bytes += data.len() as u64,
                    None => this.body = Body::empty(),
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => this.break_off(error, cx),
            None => {
                this.body = Body::empty();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Answer {
    /// Ends a body before its end. On HTTP/1 what there is of the answer is sent first: a client takes a
    /// connection without any answer for a stale one, and sends its request again.
    #[cold]
    fn break_off(
        &mut self,
        error: BodyError,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.exchange.outcome.reason = Some(error.to_string().into());
        self.body = Body::empty();
        if self.handover.is_some() {
            return Poll::Ready(Some(Err(error)));
        }
        // hyper drops what it has not written when it hears of an error, and writes when it has to wait.
        self.broken = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            return;
        }
        let stalled = self.handover.as_ref().is_some_and(|handover| handover.is_overdue());
        self.exchange.cut(if stalled { "the client took no more" } else { "the client left" });
    }
}
