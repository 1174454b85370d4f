//! `server:` of the configuration: sockets, TLS, trusted proxies, limits and timeouts.
//! Invariant: data only.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use crate::routing::path::PathPrefix;
use crate::secret::Secret;
use crate::server::forward_auth::ForwardAuth;
use crate::server::listen_address::ListenAddress;
use crate::server::peer::TrustedProxies;
use crate::server::protocol::Scheme;
use crate::telemetry::metrics::Metrics;

/// The settings of a server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses to listen on; at least one.
    pub listen: Vec<ListenAddress>,
    /// A plain HTTP listener that redirects to https.
    pub redirect_http: Option<ListenAddress>,
    /// Threads that serve requests.
    pub workers: usize,
    /// If there are any, every TCP listener uses TLS. Unix sockets never do.
    pub certificates: Vec<CertifiedPair>,
    /// The oldest version of TLS that the listeners accept.
    pub min_tls_version: TlsVersion,
    /// Authorities of client certificates (PEM). If there are any, TLS clients must show a certificate of one of them.
    pub client_ca: Option<String>,
    /// Peers whose `X-Forwarded-*` fields are used.
    pub trusted_proxies: TrustedProxies,
    /// The field in which they send the client's address; `None`: `X-Forwarded-For`.
    pub client_address_header: Option<HeaderName>,
    /// Whether trusted proxies announce their clients at the start of a connection.
    pub proxy_protocol: ProxyProtocol,
    /// Proxies that may use the auth endpoints.
    pub forward_auth: ForwardAuth,
    /// Limits of requests and connections.
    pub limits: Limits,
    /// Timeouts of connections and of the shutdown.
    pub timeouts: ServerTimeouts,
}

impl Settings {
    /// Plain HTTP on these addresses, with one thread, no proxies, and all defaults.
    pub fn plain(listen: Vec<ListenAddress>) -> Self {
        Self {
            listen,
            redirect_http: None,
            workers: 1,
            certificates: Vec::new(),
            min_tls_version: TlsVersion::default(),
            client_ca: None,
            trusted_proxies: TrustedProxies::default(),
            client_address_header: None,
            proxy_protocol: ProxyProtocol::default(),
            forward_auth: ForwardAuth::default(),
            limits: Limits::default(),
            timeouts: ServerTimeouts::default(),
        }
    }

    /// The default settings, for tests.
    #[cfg(test)]
    pub(super) fn listening_nowhere() -> Self {
        Self::plain(Vec::new())
    }
}

/// Whether connections to the public listeners begin with a header of the PROXY protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// No header is read.
    #[default]
    Off,
    /// Trusted proxies must send one, and other peers must not.
    On,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// A certificate chain and its private key, both PEM texts.
#[derive(Clone, Debug)]
pub struct CertifiedPair {
    /// Source of the certificate, for messages: a path, or "inline".
    pub name: String,
    /// The chain, leaf first.
    pub certificate: String,
    /// PKCS#8, PKCS#1 or SEC1.
    pub key: Secret,
}

/// Limits of requests and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
    /// Fields of a request's head.
    pub header_count: usize,
    /// Bytes of the head of an upstream's response.
    pub response_header_bytes: usize,
    /// Bytes of all identity headers of a request.
    pub identity_header_bytes: usize,
    /// Open connections.
    pub connections: usize,
    /// Open connections of one client. A client is an IPv4 address or an IPv6 /64.
    pub connections_per_client: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 32 * 1024,
            target_bytes: 16 * 1024,
            header_count: 100,
            response_header_bytes: 64 * 1024,
            // Common servers accept a request head of 8 KiB.
            identity_header_bytes: 8 * 1024,
            connections: 20_000,
            connections_per_client: None,
        }
    }
}

/// Timeouts of connections and of the shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerTimeouts {
    /// From accept (TLS included), or from the first byte of a later request, to the end of the head.
    pub request_headers: Duration,
    /// Longest wait for the next byte of a request's body.
    pub request_body: Duration,
    /// Longest wait for a client that takes no byte of a response; per stream on HTTP/2.
    pub write: Duration,
    /// Longest time without a request.
    pub keep_alive: Duration,
    /// From the signal until the listeners close.
    pub drain_delay: Duration,
    /// From then until open requests are cut.
    pub drain: Duration,
}

impl Default for ServerTimeouts {
    fn default() -> Self {
        Self {
            request_headers: Duration::from_secs(10),
            request_body: Duration::from_secs(30),
            write: Duration::from_secs(60),
            keep_alive: Duration::from_secs(75),
            drain_delay: Duration::ZERO,
            drain: Duration::from_secs(30),
        }
    }
}

/// Settings from outside `server:` that apply to every request.
#[derive(Clone, Debug)]
pub struct ServerContext {
    /// The scheme of `public_url`, for requests without TLS and without a trusted `X-Forwarded-Proto`.
    pub plain_scheme: Scheme,
    /// Which requests are logged.
    pub access_log: AccessLog,
    /// Counters of requests and connections.
    pub metrics: Arc<Metrics>,
}

#[cfg(test)]
impl ServerContext {
    /// Plain HTTP without an access log, for tests.
    pub(super) fn unlogged() -> Self {
        let metrics = Arc::default();
        Self { plain_scheme: Scheme::Http, access_log: AccessLog::Off, metrics }
    }
}

/// Which requests are logged.
#[derive(Clone, Debug)]
pub enum AccessLog {
    /// One line for each request.
    On,
    /// One line for each request, except at and below these paths.
    Except(Arc<[PathPrefix]>),
    /// No line.
    Off,
}

impl AccessLog {
    /// Whether a request for this path is logged. The path is not validated.
    pub(super) fn includes(&self, path: &str) -> bool {
        match self {
            Self::On => true,
            Self::Off => false,
            Self::Except(excluded) => !excluded.iter().any(|prefix| prefix.surely_matches(path)),
        }
    }
}

/// The purpose of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// All requests: `server.listen`.
    Public,
    /// Auth subrequests of proxies only: `server.forward_auth.listen`.
    ForwardAuth,
    /// All requests, which are redirected to https: `server.redirect_http`. Never with TLS.
    Redirect,
}
