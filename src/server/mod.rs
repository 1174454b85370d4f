//! Sockets and the frame of one request; knows nothing of what it serves.
//! Invariant: a [`Handler`] sees only requests whose framing, host and target are beyond doubt.
//! [`Server::bind`] opens the sockets, [`Bound::serve`] runs until the last request of a drain is answered.
//! On the way of a request: `listener`, `connection` (`tls`, `stream`, `deadlines`), `service` (`request_head`,
//! `client_addr`, `forwarded_for`, `request_body`, `h2_streams`), then the handler. `shutdown` ends it all.

mod attached;
mod authority;
mod client_addr;
mod client_limit;
mod connection;
mod connection_limit;
mod deadlines;
mod error;
mod eviction;
mod forward_auth;
mod forwarded_for;
mod h2_streams;
mod listener;
mod open_parts;
mod panic_guard;
mod request_body;
mod request_head;
mod request_id;
mod service;
mod shutdown;
mod stream;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode};
use ipnet::IpNet;
use rustls::ServerConfig;

pub use authority::{Authority, is_name};
pub use client_addr::{ClientInfo, Peer};
pub use connection_limit::OpenConnections;
pub use error::Error;
pub use forward_auth::{ForwardAuth, ForwardAuthClient, ForwardAuthProxy};
pub use forwarded_for::ForwardedFor;
pub use listener::LocalAddress;
pub use open_parts::Binding;
pub use panic_guard::without_panic;
pub use request_body::Stalled;
pub use request_head::{DroppedNames, is_served};
pub use request_id::RequestId;
pub use shutdown::{Shutdown, Tasks};
pub use tls::CertificateExpiry;

use crate::body::Body;
use crate::secret::Secret;
use crate::telemetry::access_log::Outcome;
use crate::telemetry::metrics::Metrics;
use connection::Connections;
use connection_limit::ConnectionLimit;
use listener::Listener;

/// Whoever answers: the application, the admin listener, the demo's parts.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request. Dropped where the client leaves first, so what must be finished is a task of its own.
    fn handle(&self, incoming: Incoming) -> impl Future<Output = Answered> + Send;

    /// Answers what the frame refuses, so that the page is the product's.
    fn refuse(&self, refusal: Refusal<'_>) -> Answered;
}

/// What a request came to.
#[derive(Debug)]
pub struct Answered {
    /// For the client; in one place, as it goes through many hands.
    pub response: Box<Response<Body>>,
    /// For the access log and the metrics.
    pub outcome: Outcome,
}

impl Answered {
    /// An answer, and what there is to say of it.
    pub fn new(response: Response<Body>, outcome: Outcome) -> Self {
        Self { response: Box::new(response), outcome }
    }
}

impl From<Response<Body>> for Answered {
    /// An answer of which there is no more to say.
    fn from(response: Response<Body>) -> Self {
        Self::new(response, Outcome::default())
    }
}

/// A request that passed the frame. Small, for it is moved through many futures, and keep-alive connections
/// hold those.
#[derive(Debug)]
pub struct Incoming {
    /// In origin-form; an upgrade can be taken from it by [`hyper::upgrade::on`].
    pub request: Box<Request<Body>>,
    /// Who asked.
    pub client: Arc<ClientInfo>,
}

impl Incoming {
    /// Where tasks are started that outlive the answer, such as tunnels.
    pub fn tasks(&self) -> &Tasks {
        self.client.tasks()
    }
}

/// What the frame has to refuse: a request in doubt or too many, or one whose handler panicked.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// 400, 405, 414, 431, 500 or 503.
    pub status: StatusCode,
    /// The path that was asked for, unchecked; empty after a panic.
    pub path: &'a str,
    /// The request's fields, unchecked, to choose a representation by; none after a panic.
    pub headers: &'a HeaderMap,
    /// The request's name.
    pub request_id: RequestId,
}

/// What the frame around each request needs to know of the product.
#[derive(Clone, Debug)]
pub struct ServerContext {
    /// The scheme of a request that came without TLS and without a trusted proxy's word: `public_url`'s.
    pub plain_scheme: Scheme,
    /// Whether each request gets a line.
    pub access_log: AccessLog,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
}

/// Whether each request gets a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Yes.
    On,
    /// No.
    Off,
}

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// Browsers and whatever else the gateway is for: `server.listen`.
    Public,
    /// Proxies that ask about their own requests: `server.forward_auth.listen`.
    ForwardAuth,
}

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// In lower case, without colon: `X-Forwarded-Proto`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// What a proxy names in `X-Forwarded-Proto`; Traefik names the scheme of a WebSocket, too.
    pub fn forwarded(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "http" | "ws" => Some(Self::Http),
            "https" | "wss" => Some(Self::Https),
            _ => None,
        }
    }
}

/// Opens servers.
#[derive(Debug)]
pub struct Server;

/// A server with its sockets open, not serving yet: connections wait in the backlog.
#[derive(Debug)]
pub struct Bound {
    settings: Settings,
    frame: ServerContext,
    tls: Option<Arc<ServerConfig>>,
    listeners: Vec<(Listener, ListenerKind)>,
    addresses: Vec<LocalAddress>,
    forward_auth_addresses: Vec<LocalAddress>,
    open: OpenConnections,
}

impl Server {
    /// Opens the sockets and reads the certificates of `settings`.
    pub async fn bind(settings: &Settings, frame: ServerContext) -> Result<Bound, Error> {
        let tls = tls::configure(&settings.certificates)?;
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        let mut forward_auth_addresses = Vec::new();
        let public = settings.listen.iter().map(|address| (address, ListenerKind::Public));
        let forward_auth = &settings.forward_auth.listen;
        let forward_auth = forward_auth.iter().map(|address| (address, ListenerKind::ForwardAuth));
        for (address, kind) in public.chain(forward_auth) {
            for listener in Listener::bind(address).await? {
                let local = listener.local_address();
                let local =
                    local.map_err(|source| Error::Bind { address: address.to_string(), source })?;
                match kind {
                    ListenerKind::Public => addresses.push(local),
                    ListenerKind::ForwardAuth => forward_auth_addresses.push(local),
                }
                listeners.push((listener, kind));
            }
        }
        let (settings, open) = (settings.clone(), OpenConnections::default());
        Ok(Bound { settings, frame, tls, listeners, addresses, forward_auth_addresses, open })
    }
}

impl Bound {
    /// Where it listens, with real ports.
    pub fn local_addresses(&self) -> &[LocalAddress] {
        &self.addresses
    }

    /// Where it listens for questions about requests alone, with real ports.
    pub fn forward_auth_addresses(&self) -> &[LocalAddress] {
        &self.forward_auth_addresses
    }

    /// A count of the open connections that goes on while the server runs.
    pub fn open_connections(&self) -> OpenConnections {
        self.open.clone()
    }

    /// Until when its certificates are good.
    pub fn certificates(&self) -> Vec<CertificateExpiry> {
        tls::expiries(&self.settings.certificates)
    }

    /// Serves until the order to stop, then until open requests are answered or cut.
    pub async fn serve(self, handler: Arc<impl Handler>, shutdown: Shutdown) {
        let tasks = Tasks::default();
        let connections =
            Connections::new(handler, self.frame.clone(), &self.settings, self.tls, tasks.clone());
        let connections = Arc::new(connections);
        let room = ConnectionLimit::new(&self.settings.limits, self.open, self.frame.metrics);
        for (listener, kind) in self.listeners {
            tasks.track(listener.run(kind, Arc::clone(&connections), room.clone(), tasks.clone()));
        }
        tasks.drain(&shutdown, &self.settings.timeouts).await;
    }
}

/// What `server:` says of sockets, limits and deadlines.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; at least one.
    pub listen: Vec<ListenAddress>,
    /// Threads that serve requests.
    pub workers: usize,
    /// With certificates every TCP listener speaks TLS; unix sockets never do.
    pub certificates: Vec<CertifiedPair>,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// Who may ask at the auth endpoints.
    pub forward_auth: ForwardAuth,
    /// Bounds of a request and of the connections.
    pub limits: Limits,
    /// Deadlines of a connection and of the end.
    pub timeouts: Timeouts,
}

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `HOST:PORT`; port 0 lets the system choose.
    Tcp(String),
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(text) => f.write_str(text),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A certificate chain and its private key, both PEM texts.
#[derive(Clone, Debug)]
pub struct CertifiedPair {
    /// Where it came from, for messages: a path, or "inline".
    pub name: String,
    /// The chain, leaf first.
    pub certificate: String,
    /// PKCS#8, PKCS#1 or SEC1.
    pub key: Secret,
}

/// The peers whose `X-Forwarded-*` is believed. The default is nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Networks; addresses are compared with IPv4-mapped IPv6 unmapped.
    pub networks: Vec<IpNet>,
    /// Peers on unix sockets.
    pub unix: bool,
}

impl TrustedProxies {
    /// Whether an address lies in a trusted network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

/// Bounds of a request and of the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
    /// Fields of a request's head.
    pub header_count: usize,
    /// Open connections.
    pub connections: usize,
    /// Open connections of one client: by address, IPv6 by /64.
    pub connections_per_client: Option<usize>,
}

/// Deadlines of a connection and of the end of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From accept (TLS included), or from the first byte of a later request, to the end of the head.
    pub request_headers: Duration,
    /// Without a byte of a request's body.
    pub request_body: Duration,
    /// With bytes of an answer to send and none taken; per stream on HTTP/2.
    pub write: Duration,
    /// Without a request.
    pub keep_alive: Duration,
    /// From the signal until listeners close.
    pub drain_delay: Duration,
    /// From then until open requests are cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 32 * 1024,
            target_bytes: 16 * 1024,
            header_count: 100,
            connections: 20_000,
            connections_per_client: None,
        }
    }
}

impl Default for Timeouts {
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
