//! The frame of one request: its name, its checks, a guard against panics, and its line in the access log.
//! Invariant: every request that hyper delivers is answered, and its end is counted exactly once.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::header::{ALLOW, CONNECTION, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming as Received;

use crate::random;
use crate::server::client_info::ClientInfo;
use crate::server::connection_info::ConnectionInfo;
use crate::server::connection_limit::Admission;
use crate::server::exchange::{Exchange, LoggedRequest};
use crate::server::h2_streams::SendStall;
use crate::server::handler::{Answered, Handler, Incoming, RejectedRequest};
use crate::server::panic_guard::without_panic;
use crate::server::peer::TrustedProxies;
use crate::server::request_body;
use crate::server::request_head::{self, HeadError};
use crate::server::request_id::RequestId;
use crate::server::response_body::ResponseBody;
use crate::server::settings::AccessLog;

/// Serves the requests of one connection.
pub(super) struct Service<H> {
    handler: Arc<H>,
    connected: Arc<ConnectionInfo>,
    admission: Admission,
    /// Requests are named by this and their count.
    names: u128,
    count: AtomicU32,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a 405 of ours has to name (RFC 9110 §15.5.6).
const METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

impl<H: Handler> Service<H> {
    pub(super) fn new(
        handler: Arc<H>,
        connected: Arc<ConnectionInfo>,
        admission: Admission,
    ) -> Arc<Self> {
        let names = u128::from_be_bytes(random::bytes());
        Arc::new(Self { handler, connected, admission, names, count: AtomicU32::new(0) })
    }

    /// Answers one request. What needs no waiting is done before the future is made, to keep it small; and it
    /// is boxed, as hyper moves it and keeps room for it while its client's connection is idle.
    pub(super) fn answer(
        self: &Arc<Self>,
        request: Request<Received>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Infallible>> + Send>> {
        let (version, head) = (request.version(), request.method() == Method::HEAD);
        let current = self.connected.current_settings();
        let proxies = self.connected.trusted_proxies(&current);
        let request_id = self.name(request.headers(), proxies);
        let mut exchange = Box::new(Exchange::begin(Arc::clone(&self.connected)));
        let framed = self.frame(request, request_id, proxies, &mut exchange);
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
            Ok(response.map(|body| ResponseBody { body, broken: None, exchange, handover }))
        })
    }

    /// A trusted proxy's name for the request, else a new one.
    fn name(&self, headers: &HeaderMap, proxies: Option<&TrustedProxies>) -> RequestId {
        let given = proxies.and_then(|_| headers.get(REQUEST_ID));
        given.and_then(|given| RequestId::parse(given.as_bytes())).unwrap_or_else(|| {
            RequestId::of(self.names, self.count.fetch_add(1, Ordering::Relaxed))
        })
    }

    /// Checks a request and puts the frame around it, or makes its refusal.
    fn frame(
        &self,
        mut request: Request<Received>,
        request_id: RequestId,
        proxies: Option<&TrustedProxies>,
        exchange: &mut Exchange,
    ) -> Result<Incoming, Box<Answered>> {
        let settings = self.connected.settings();
        let asked = (settings.context.access_log == AccessLog::On)
            .then(|| (request.method().clone(), request.uri().path_and_query().cloned()));
        let checked = self.check(&mut request, request_id, proxies);
        exchange.client = checked.as_ref().ok().map(Arc::clone);
        exchange.line = asked.map(|(method, target)| LoggedRequest { method, target, request_id });
        match checked {
            Ok(client) => {
                let request = request
                    .map(|body| request_body::wrap(body, settings.timeouts.request_body, &client));
                Ok(Incoming { request: Box::new(request), client })
            }
            Err(reason) => Err(Box::new(self.reject(reason, &request, request_id))),
        }
    }

    fn check<B>(
        &self,
        request: &mut Request<B>,
        request_id: RequestId,
        proxies: Option<&TrustedProxies>,
    ) -> Result<Arc<ClientInfo>, Rejection> {
        let authority = request_head::check(request, &self.connected.settings().limits)?;
        self.check_admission()?;
        let connected = Arc::clone(&self.connected);
        let client = ClientInfo::of(connected, authority, request.headers(), request_id, proxies)?;
        Ok(Arc::new(client))
    }

    /// Whether the connection has a slot. It may lose it by an eviction while no request is under way.
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
        reason: Rejection,
        request: &Request<B>,
        request_id: RequestId,
    ) -> Answered {
        let (status, path, headers) = (reason.status(), request.uri().path(), request.headers());
        let rejected = RejectedRequest { status, path, headers, request_id };
        let mut answered = self.handler.reject(rejected);
        // For the log only: the page does not show it.
        answered.outcome.reason = Some(reason.to_string().into());
        let headers = answered.response.headers_mut();
        if reason == Rejection::Head(HeadError::Method) {
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
        self.handler.reject(RejectedRequest { status, path: "", headers, request_id })
    }
}

/// The reason why a request does not reach the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Rejection {
    /// The request's head is invalid.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The connection has no slot.
    #[error("as many connections as allowed are open")]
    Full,
    /// The client of the connection has too many.
    #[error("as many connections of one client as allowed are open")]
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
