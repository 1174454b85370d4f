//! The admin listener: what an operator and their machines ask, on a socket of its own.
//! Invariants: nothing here is served on a public listener, whatever its host and path (T58); a page in
//! a browser on this machine neither reads nor changes anything here.

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
    AccessLog, Answered, CertificateExpiry, ClientInfo, ForwardAuth, Handler, Incoming, Limits,
    ListenAddress, LocalAddress, OpenConnections, RejectedRequest, Scheme, ServerContext,
    ServerTimeouts, Settings, TrustedProxies,
};
use crate::telemetry::metrics::Metrics;
use crate::upstream::TargetPools;

/// Answers on the admin listener.
#[derive(Debug)]
pub struct Admin {
    /// How the process is.
    pub health: Arc<Health>,
    /// All that is counted.
    pub metrics: Arc<Metrics>,
    /// The providers and sessions that are shown.
    pub party: Arc<RelyingParty>,
    /// The connections to upstreams that are shown.
    pub upstreams: TargetPools,
    /// Of the public listeners.
    pub connections: OpenConnections,
    /// Until when their certificates are good.
    pub certificates: Vec<CertificateExpiry>,
    /// Which hosts it answers to.
    pub hosts: AllowedHosts,
}

/// The hosts that an admin listener answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowedHosts {
    /// All, where other machines ask, by names that only their operator knows.
    Any,
    /// `localhost`, names below it, and loopback addresses.
    Loopback,
}

impl AllowedHosts {
    /// Those of a listener at these addresses.
    // SECURITY: a page at a name that its owner resolves to 127.0.0.1 is of the same origin as what it
    // reads there (DNS rebinding). No browser reaches a Unix socket.
    pub fn of(addresses: &[LocalAddress]) -> Self {
        let loopback = |address: &LocalAddress| match address {
            LocalAddress::Tcp(address) => address.ip().to_canonical().is_loopback(),
            LocalAddress::Unix(_) => false,
        };
        if addresses.iter().all(loopback) { Self::Loopback } else { Self::Any }
    }

    fn contain(self, client: &ClientInfo) -> bool {
        match self {
            Self::Any => true,
            Self::Loopback => client.origin().is_loopback(),
        }
    }
}

impl Handler for Admin {
    async fn handle(&self, incoming: Incoming) -> Answered {
        if !self.hosts.contain(&incoming.client) {
            let text = "on loopback the admin listener answers to localhost, 127.0.0.1 and [::1]\n";
            return plain_text(StatusCode::MISDIRECTED_REQUEST, text).into();
        }
        self.answer(&incoming.request).into()
    }

    fn reject(&self, rejected: RejectedRequest<'_>) -> Answered {
        plain_text(rejected.status, "refused\n").into()
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

/// Whether a page in a browser sent the request, and not a person or a program.
// SECURITY: a page of any site may send a POST to loopback without being able to read the answer.
fn is_from_page(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    headers.contains_key(ORIGIN) || sites.any(|site| site != "none")
}

/// What the listener is opened with: plain HTTP, for few.
pub fn settings(address: &ListenAddress) -> Settings {
    Settings {
        listen: vec![address.clone()],
        workers: 1,
        certificates: Vec::new(),
        trusted_proxies: TrustedProxies::default(),
        forward_auth: ForwardAuth::default(),
        limits: Limits { connections: MOST_CONNECTIONS, ..Limits::default() },
        timeouts: ServerTimeouts::default(),
    }
}

/// Its requests are neither logged nor counted: a probe comes every few seconds.
pub fn frame() -> ServerContext {
    ServerContext {
        plain_scheme: Scheme::Http,
        access_log: AccessLog::Off,
        metrics: Arc::default(),
    }
}

/// More than all probes and scrapers of one process, and few enough to be no burden.
const MOST_CONNECTIONS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_on_loopback_alone_answers_to_loopback_hosts_alone() {
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
