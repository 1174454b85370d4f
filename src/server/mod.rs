//! Sockets and the frame of one request; knows nothing of what it serves.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::secret::Secret;

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
}

/// Deadlines of a connection and of the end of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From accept (TLS included), or from the first byte of a later request, to the end of the head.
    pub request_headers: Duration,
    /// Without a byte of a request's body.
    pub request_body: Duration,
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
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            request_headers: Duration::from_secs(10),
            request_body: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            drain_delay: Duration::ZERO,
            drain: Duration::from_secs(30),
        }
    }
}
