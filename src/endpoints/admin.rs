//! The admin listener: what an operator and their machines ask, on a socket of its own.
//! Invariant: nothing here is served on a public listener, whatever its host and path (T58).

use std::sync::Arc;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};

use crate::body::Body;
use crate::endpoints::health::Health;
use crate::gate::routes::Routes;
use crate::login::Login;
use crate::pages::harden;
use crate::server::{
    AccessLog, Answered, CertificateExpiry, Frame, Handler, Incoming, Limits, ListenAddress,
    OpenConnections, Refusal, Scheme, Settings, Timeouts, TrustedProxies,
};
use crate::telemetry::metrics::Metrics;

/// Answers on the admin listener.
#[derive(Debug)]
pub struct Admin {
    /// How the process is.
    pub health: Arc<Health>,
    /// All that is counted.
    pub metrics: Arc<Metrics>,
    /// Knows the providers and the sessions.
    pub login: Arc<Login>,
    /// Know the upstreams.
    pub routes: Arc<Routes>,
    /// Of the public listeners.
    pub connections: OpenConnections,
    /// Until when their certificates are good.
    pub certificates: Vec<CertificateExpiry>,
}

impl Handler for Admin {
    async fn handle(&self, incoming: Incoming) -> Answered {
        self.answer(&incoming.request).into()
    }

    fn refuse(&self, refusal: Refusal<'_>) -> Answered {
        plain(refusal.status, "refused\n").into()
    }
}

impl Admin {
    fn answer(&self, request: &Request<Body>) -> Response<Body> {
        let answer = match request.uri().path() {
            "/healthz" => Self::healthz,
            "/readyz" => Self::readyz,
            "/metrics" => Self::scrape,
            _ => return plain(StatusCode::NOT_FOUND, "not found\n"),
        };
        if *request.method() == Method::GET || *request.method() == Method::HEAD {
            return answer(self);
        }
        let mut response =
            plain(StatusCode::METHOD_NOT_ALLOWED, "the method is not allowed here\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        response
    }
}

/// What the listener is opened with: plain HTTP, for few.
pub fn settings(address: &ListenAddress) -> Settings {
    Settings {
        listen: vec![address.clone()],
        workers: 1,
        certificates: Vec::new(),
        trusted_proxies: TrustedProxies::default(),
        limits: Limits { connections: MOST_CONNECTIONS, ..Limits::default() },
        timeouts: Timeouts::default(),
    }
}

/// Its requests are neither logged nor counted: a probe comes every few seconds.
pub fn frame() -> Frame {
    Frame { plain_scheme: Scheme::Http, access_log: AccessLog::Off, metrics: Arc::default() }
}

/// A line or more of text.
pub(super) fn plain(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::full(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    harden(headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// More than all probes and scrapers of one process, and few enough to be no burden.
const MOST_CONNECTIONS: usize = 100;
