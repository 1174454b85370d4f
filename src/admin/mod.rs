//! The admin listener: health, readiness and metrics for the operator's machines, on a socket of its own.
//! Invariants: no public listener serves any of it, on any host or path; a web page that is open on this
//! machine can neither read nor change anything here.

pub mod health;
mod metrics;

use std::sync::Arc;

use http::header::{ALLOW, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use crate::admin::health::Health;
use crate::body::Body;
use crate::login::relying_party::RelyingParty;
use crate::pages::plain_text;
use crate::server::{
    AccessLog, Answered, CertificateExpiry, ClientInfo, Handler, Incoming, Limits, ListenAddress,
    LocalAddress, OpenConnections, RejectedRequest, Scheme, ServerContext, ServerTimeouts,
    Settings,
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
    /// The hosts that a request may name.
    pub hosts: AllowedHosts,
}

/// The hosts that a request to an admin listener may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowedHosts {
    /// All: other machines reach the listener, by names that only the operator knows.
    Any,
    /// `localhost`, names below it, and loopback addresses.
    Loopback,
}

impl AllowedHosts {
    /// The hosts for a listener at these addresses.
    // SECURITY: an attacker's page can resolve its own name to 127.0.0.1, so that the listener is of the page's
    // origin (DNS rebinding). Browsers cannot reach a Unix socket.
    pub fn of(addresses: &[LocalAddress]) -> Self {
        let loopback = |address: &LocalAddress| match address {
            LocalAddress::Tcp(address) => address.ip().to_canonical().is_loopback(),
            LocalAddress::Unix(_) => false,
        };
        if addresses.iter().all(loopback) { Self::Loopback } else { Self::Any }
    }

    fn contains(self, client: &ClientInfo) -> bool {
        match self {
            Self::Any => true,
            // A browser always sends a host.
            Self::Loopback => client.host().is_empty() || client.origin().is_loopback(),
        }
    }
}

impl Handler for Admin {
    async fn handle(&self, incoming: Incoming) -> Answered {
        if !self.hosts.contains(&incoming.client) {
            let text = "on loopback the admin listener answers only requests for localhost, 127.0.0.1 or [::1]\n";
            return plain_text(StatusCode::MISDIRECTED_REQUEST, text).into();
        }
        self.answer(&incoming.request).into()
    }

    fn needs_no_host(&self, _path: &str) -> bool {
        true
    }

    fn reject(&self, rejected: RejectedRequest<'_>) -> Answered {
        plain_text(rejected.status, "request rejected\n").into()
    }
}

impl Admin {
    fn answer(&self, request: &Request<Body>) -> Response<Body> {
        let reads = *request.method() == Method::GET || *request.method() == Method::HEAD;
        if !reads && is_from_page(request.headers()) {
            return plain_text(
                StatusCode::FORBIDDEN,
                "requests from web pages are not allowed here\n",
            );
        }
        let answer = match request.uri().path() {
            "/healthz" => Self::healthz,
            "/readyz" => Self::readyz,
            "/metrics" => Self::scrape,
            _ => return plain_text(StatusCode::NOT_FOUND, "not found\n"),
        };
        if reads {
            return answer(self);
        }
        let mut response =
            plain_text(StatusCode::METHOD_NOT_ALLOWED, "the method is not allowed here\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        response
    }
}

/// Whether a web page sent the request, rather than the user or an API client.
// SECURITY: a page of any site can send a POST to loopback, although it cannot read the answer.
fn is_from_page(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    headers.contains_key(ORIGIN) || sites.any(|site| site != "none")
}

/// The settings of the listener: plain HTTP, one worker, few connections. It drains as the public listeners do.
pub fn settings(address: &ListenAddress, public: ServerTimeouts) -> Settings {
    let ServerTimeouts { drain_delay, drain, .. } = public;
    Settings {
        limits: Limits { connections: MOST_CONNECTIONS, ..Limits::default() },
        timeouts: ServerTimeouts { drain_delay, drain, ..ServerTimeouts::default() },
        ..Settings::plain(vec![address.clone()])
    }
}

/// The context of the listener. Its requests are neither logged nor counted, because probes come every few
/// seconds.
pub fn frame() -> ServerContext {
    ServerContext {
        plain_scheme: Scheme::Http,
        access_log: AccessLog::Off,
        metrics: Arc::default(),
    }
}

/// More than all probes and scrapers need, and few enough to cost nothing.
const MOST_CONNECTIONS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_on_loopback_addresses_answers_only_loopback_hosts() {
        let tcp = |text: &str| LocalAddress::Tcp(text.parse().unwrap());
        let check = |addresses: &[LocalAddress], expected| {
            assert_eq!(AllowedHosts::of(addresses), expected, "{addresses:?}");
        };
        check(&[tcp("127.0.0.1:4181")], AllowedHosts::Loopback);
        check(&[tcp("127.0.0.2:4181"), tcp("[::1]:4181")], AllowedHosts::Loopback);
        check(&[tcp("[::ffff:127.0.0.1]:4181")], AllowedHosts::Loopback);
        check(&[tcp("0.0.0.0:4181")], AllowedHosts::Any);
        check(&[tcp("127.0.0.1:4181"), tcp("192.0.2.7:4181")], AllowedHosts::Any);
        check(&[LocalAddress::Unix("/run/admin.sock".into())], AllowedHosts::Any);
    }
}
