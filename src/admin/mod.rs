//! The admin listener: health, readiness, metrics and reloads for the operator's machines, on a socket of its own.
//! Invariants: no public listener serves any of it, on any host or path; a web page that is open on this
//! machine can neither read nor change anything here.

mod access;
pub mod health;
mod metrics;
mod reload;

use std::sync::Arc;

use http::header::{ALLOW, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

pub use access::{Access, AdminSettings};
pub use reload::{OrderedReloads, ReloadOrders, reload_orders};

use crate::admin::health::Health;
use crate::body::Body;
use crate::login::relying_party::RelyingParty;
use crate::pages::plain_text;
use crate::server::{
    AccessLog, Answered, CertificateExpiry, Handler, Incoming, Limits, ListenAddress,
    OpenConnections, RejectedRequest, Scheme, ServerContext, ServerTimeouts, Settings,
};
use crate::telemetry::metrics::Metrics;
use crate::upstream::TargetPools;

/// Answers requests on the admin listener.
#[derive(Debug)]
pub struct Admin {
    /// The state of the process.
    pub health: Arc<Health>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The providers and sessions that are shown.
    pub party: Arc<RelyingParty>,
    /// The connections to upstreams that are shown.
    pub upstreams: TargetPools,
    /// The open connections of the public listeners.
    pub connections: OpenConnections,
    /// When the certificates of the public listeners expire.
    pub certificates: Vec<CertificateExpiry>,
    /// Which requests are answered.
    pub access: Access,
    /// Takes orders to reload; `None` if there is nothing to reload.
    pub reloads: Option<ReloadOrders>,
}

impl Handler for Admin {
    async fn handle(&self, incoming: Incoming) -> Answered {
        if !self.access.has_host(&incoming.client) {
            let text = "on loopback the admin listener answers only requests for localhost, 127.0.0.1 or [::1]\n";
            return plain_text(StatusCode::MISDIRECTED_REQUEST, text).into();
        }
        let (head, _) = incoming.request.into_parts();
        self.answer(&head).await.into()
    }

    fn needs_no_host(&self, _path: &str) -> bool {
        true
    }

    fn reject(&self, rejected: RejectedRequest<'_>) -> Answered {
        plain_text(rejected.status, "request rejected\n").into()
    }
}

impl Admin {
    async fn answer(&self, head: &Parts) -> Response<Body> {
        let reads = head.method == Method::GET || head.method == Method::HEAD;
        if !reads && is_from_page(&head.headers) {
            return plain_text(
                StatusCode::FORBIDDEN,
                "requests from web pages are not allowed here\n",
            );
        }
        let read = match head.uri.path() {
            "/healthz" => Self::healthz,
            "/readyz" => Self::readyz,
            "/metrics" => Self::scrape,
            "/reload" if head.method != Method::POST => return not_allowed("POST"),
            "/reload" => {
                return match self.access.check_operator(&head.headers) {
                    Ok(()) => self.reload().await,
                    Err(no_operator) => no_operator.response(),
                };
            }
            _ => return plain_text(StatusCode::NOT_FOUND, "not found\n"),
        };
        if reads { read(self) } else { not_allowed("GET, HEAD") }
    }
}

/// 405 (RFC 9110 §15.5.6).
fn not_allowed(methods: &'static str) -> Response<Body> {
    let mut response =
        plain_text(StatusCode::METHOD_NOT_ALLOWED, "the method is not allowed here\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// Whether a web page sent the request, rather than the user or an API client.
// SECURITY: a page of any site can send a POST to loopback, although it cannot read the answer.
fn is_from_page(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    headers.contains_key(ORIGIN) || sites.any(|site| site != "none")
}

/// The settings of the listener: plain HTTP, one worker, few connections. It drains as the public listeners do.
pub fn settings(address: Option<&ListenAddress>, public: ServerTimeouts) -> Settings {
    let ServerTimeouts { drain_delay, drain, .. } = public;
    Settings {
        limits: Limits { connections: MOST_CONNECTIONS, ..Limits::default() },
        timeouts: ServerTimeouts { drain_delay, drain, ..ServerTimeouts::default() },
        ..Settings::plain(address.into_iter().cloned().collect())
    }
}

/// The context of the listener. Its requests are neither logged nor counted, because probes come every few
/// seconds.
pub fn context() -> ServerContext {
    ServerContext {
        plain_scheme: Scheme::Http,
        access_log: AccessLog::Off,
        metrics: Arc::default(),
    }
}

/// More than all probes and scrapers need, and few enough to cost nothing.
const MOST_CONNECTIONS: usize = 100;
