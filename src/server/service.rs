//! Requests between hyper and the handler: their ID, their checks, and a guard against panics.
//! Invariant: every request from hyper gets a response, also if it is rejected or its handler panics.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use http::header::{ALLOW, CONNECTION, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming as Received;

use crate::random;
use crate::server::client_info::ClientInfo;
use crate::server::connection_info::ConnectionInfo;
use crate::server::connection_limit::Admission;
use crate::server::exchange::{Exchange, LoggedLine};
use crate::server::h2_streams::SendStall;
use crate::server::handler::{Answered, Handler, Incoming, RejectedRequest};
use crate::server::panic_guard::without_panic;
use crate::server::peer::TrustedProxies;
use crate::server::present::Present;
use crate::server::request_body;
use crate::server::request_head::{self, HeadError};
use crate::server::request_id::RequestId;
use crate::server::request_line::RequestLine;
use crate::server::response_body::ResponseBody;

/// Serves the requests of one connection.
pub(super) struct Service<H> {
    /// The handler and the settings in effect.
    present: Arc<ArcSwap<Present<H>>>,
    connected: Arc<ConnectionInfo>,
    admission: Admission,
    /// The IDs of requests are made of this and their count.
    id_base: u128,
    count: AtomicU32,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// `Allow` of a 405 (RFC 9110 §15.5.6).
const METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

impl<H: Handler> Service<H> {
    pub(super) fn new(
        present: Arc<ArcSwap<Present<H>>>,
        connected: Arc<ConnectionInfo>,
        admission: Admission,
    ) -> Arc<Self> {
        let id_base = u128::from_be_bytes(random::bytes());
        Arc::new(Self { present, connected, admission, id_base, count: AtomicU32::new(0) })
    }

    /// Answers one request. Work that does not wait is done before the future is created, to keep it small. It is
    /// boxed, because hyper moves it and keeps space for it while the connection is idle.
    pub(super) fn answer(
        self: &Arc<Self>,
        request: Request<Received>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Infallible>> + Send>> {
        let (version, head) = (request.version(), request.method() == Method::HEAD);
        let present = self.present.load_full();
        let mut exchange = Box::new(Exchange::begin(Arc::clone(&self.connected)));
        let prepared = self.prepare(request, &present, &mut exchange);
        let service = Arc::clone(self);
        Box::pin(async move {
            let stall = SendStall::current();
            if let (Some(client), Some(stall)) = (&exchange.client, &stall) {
                client.open_parts().runs_in(stall);
            }
            let answered = match prepared {
                Ok(incoming) => service.handle(&*present.handler, incoming).await,
                Err(rejected) => *rejected,
            };
            let response = exchange.answered(answered, version, head);
            Ok(response.map(|body| ResponseBody { body, broken: None, exchange, stall }))
        })
    }

    /// The request ID of a trusted proxy, else a new one.
    fn request_id(&self, headers: &HeaderMap, proxies: Option<&TrustedProxies>) -> RequestId {
        let given = proxies.and_then(|_| headers.get(REQUEST_ID));
        given.and_then(|given| RequestId::parse(given.as_bytes())).unwrap_or_else(|| {
            RequestId::of(self.id_base, self.count.fetch_add(1, Ordering::Relaxed))
        })
    }

    /// Checks a request and prepares it for the handler, or rejects it.
    fn prepare(
        &self,
        mut request: Request<Received>,
        present: &Present<H>,
        exchange: &mut Exchange,
    ) -> Result<Incoming, Box<Answered>> {
        let current = &present.settings;
        let proxies = self.connected.trusted_proxies(current);
        let request_id = self.request_id(request.headers(), proxies);
        let checked = self.check(&mut request, present, request_id, proxies);
        let is_logged = current.context.access_log.includes(request.uri().path());
        match checked {
            Ok(client) => {
                exchange.client = Some(Arc::clone(&client));
                if is_logged {
                    exchange.logged = LoggedLine::OfClient;
                }
                let timeout = self.connected.settings().timeouts.request_body;
                let request = request.map(|body| request_body::wrap(body, timeout, &client));
                Ok(Incoming { request: Box::new(request), client })
            }
            Err(reason) => {
                if is_logged {
                    let rejected = Box::new((RequestLine::of(&request), request_id));
                    exchange.logged = LoggedLine::OfRejected(rejected);
                }
                Err(Box::new(self.reject(&present.handler, reason, &request, request_id)))
            }
        }
    }

    fn check<B>(
        &self,
        request: &mut Request<B>,
        present: &Present<H>,
        request_id: RequestId,
        proxies: Option<&TrustedProxies>,
    ) -> Result<Arc<ClientInfo>, Rejection> {
        let needs_no_host = |path: &str| present.handler.needs_no_host(path);
        let limits = &self.connected.settings().limits;
        let authority = request_head::check(request, limits, needs_no_host)?;
        self.check_admission()?;
        let (connected, line) = (Arc::clone(&self.connected), RequestLine::of(request));
        let of = (&*present.settings, proxies);
        let client = ClientInfo::of(connected, authority, line, request.headers(), request_id, of)?;
        Ok(Arc::new(client))
    }

    /// Whether the connection is within the limits. An eviction may have taken its permit since the last request.
    fn check_admission(&self) -> Result<(), Rejection> {
        match self.admission {
            Admission::Accepted if self.connected.activity().is_evicted() => Err(Rejection::Full),
            Admission::Accepted => Ok(()),
            Admission::OverLimit => Err(Rejection::Full),
            Admission::OverClientLimit => Err(Rejection::ClientFull),
        }
    }

    fn reject<B>(
        &self,
        handler: &H,
        reason: Rejection,
        request: &Request<B>,
        request_id: RequestId,
    ) -> Answered {
        let mut answered = handler.reject(RejectedRequest {
            status: reason.status(),
            method: request.method(),
            version: request.version(),
            path: request.uri().path(),
            headers: request.headers(),
            peer: self.connected.peer(),
            listener: self.connected.listener(),
            request_id,
        });
        // For the log only: the page does not show it.
        answered.outcome.reason = Some(reason.to_string().into());
        let headers = answered.response.headers_mut();
        if reason == Rejection::Head(HeadError::Method) {
            headers.insert(ALLOW, METHODS);
        }
        // SECURITY: after an ambiguous message, the start of the next one is unknown.
        if request.version() != Version::HTTP_2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answered
    }

    /// Calls the handler; if it panics, the response is 500.
    async fn handle(&self, handler: &H, incoming: Incoming) -> Answered {
        let client = Arc::clone(&incoming.client);
        if let Some(answered) = without_panic(pin!(handler.handle(incoming))).await {
            return answered;
        }
        let request_id = *client.request_id();
        tracing::error!(%request_id, "a request handler panicked");
        handler.reject(RejectedRequest {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            method: &Method::GET,
            version: Version::HTTP_11,
            path: "",
            headers: &HeaderMap::new(),
            peer: self.connected.peer(),
            listener: self.connected.listener(),
            request_id,
        })
    }
}

/// The reason why a request does not reach the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Rejection {
    /// The request's head is invalid.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The connection has no slot.
    #[error("server.limits.connections is reached")]
    Full,
    /// The client of the connection has too many.
    #[error("server.limits.connections_per_client is reached")]
    ClientFull,
}

impl Rejection {
    fn status(self) -> StatusCode {
        match self {
            Self::Head(error) => error.status(),
            Self::Full | Self::ClientFull => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}
