//! TCP connections to a host.
//! Invariants: the name is looked up for each connection; every address is tried; if the name cannot be resolved, or not
//! soon, its last addresses are used; one lookup of a name runs at a time.

mod names;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::tcp::names::Names;

/// A host and a port.
#[derive(Debug)]
pub struct TcpAddress {
    host: Arc<str>,
    port: u16,
    names: Names,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum TcpError {
    /// The name has no address.
    #[error("cannot resolve {host}: {source}")]
    Unresolved {
        /// The host.
        host: Arc<str>,
        /// The resolver's error.
        source: io::Error,
    },
    /// The connection is refused, or there is no route.
    #[error("cannot connect to {address}: {source}")]
    Unreachable {
        /// The address that was tried last.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// No address answered in time.
    #[error("no connection in time")]
    TooSlow,
}

impl TcpAddress {
    /// A DNS name or an IP address without brackets, and a port.
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.into(), port, names: Names::default() }
    }

    /// The name or IP address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Connects to the first of the host's addresses that answers. Each gets its share of the time that is left, so
    /// that an address that drops packets leaves time for the others.
    pub async fn connect(&self, limit: Duration) -> Result<TcpStream, TcpError> {
        let end = Instant::now() + limit;
        let (host, port) = (Arc::clone(&self.host), self.port);
        let lookup = async move { lookup_host((&*host, port)).await.map(Vec::from_iter) };
        let found = self.names.addresses(lookup).await;
        let unresolved = |source| TcpError::Unresolved { host: Arc::clone(&self.host), source };
        let mut addresses = found.map_err(unresolved)?.into_iter();
        let mut failure = TcpError::TooSlow;
        while let Some(address) = addresses.next() {
            let now = Instant::now();
            let waiting = u32::try_from(addresses.len()).unwrap_or(u32::MAX).saturating_add(1);
            let turn_ends = now + end.saturating_duration_since(now) / waiting;
            let unreachable = |source| TcpError::Unreachable { address, source };
            match timeout_at(turn_ends, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    return stream.set_nodelay(true).map(|()| stream).map_err(unreachable);
                }
                Ok(Err(error)) => failure = unreachable(error),
                Err(_) => failure = TcpError::TooSlow,
            }
        }
        Err(failure)
    }
}
