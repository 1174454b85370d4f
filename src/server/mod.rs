//! Sockets, TLS and HTTP toward clients; independent of what is served.
//! Invariant: a [`Handler`] gets only requests whose framing, host and target are unambiguous.
//!
//! [`Server::bind`] opens the sockets. [`Bound::serve`] returns when the last request of a drain is answered.
//!
//! The path of a request: `listener` (`connection_limit`, `eviction`) → `connection` (`transport`, `stream`,
//! `deadlines`) → `service` (`request_head`, `client_info`, `request_body`) → [`Handler`] → `response_body`
//! (`exchange`). `shutdown` ends them all.

mod attached;
mod authority;
mod client_info;
mod client_limit;
mod connection;
mod connection_info;
mod connection_limit;
mod deadlines;
mod descriptor_limit;
mod error;
mod eviction;
mod exchange;
mod forward_auth;
mod forwarded_for;
mod h2_streams;
mod handler;
mod listen_address;
mod listener;
mod open_parts;
mod panic_guard;
mod peer;
mod protocol;
mod request_body;
mod request_head;
mod request_id;
mod response_body;
mod service;
mod settings;
mod shutdown;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod transport;

use std::sync::Arc;

use rustls::ServerConfig;

pub use authority::{Authority, is_name};
pub use client_info::ClientInfo;
pub use connection_limit::OpenConnections;
pub use error::Error;
pub use forward_auth::{ForwardAuth, ForwardAuthClient, ForwardAuthProxy};
pub use forwarded_for::ForwardedFor;
pub use handler::{Answered, Handler, Incoming, RejectedRequest};
pub use listen_address::{ListenAddress, LocalAddress};
pub use open_parts::RequestBinding;
pub use panic_guard::without_panic;
pub use peer::{Peer, TrustedProxies};
pub use protocol::Scheme;
pub use request_body::Stalled;
pub use request_head::{DroppedNames, is_served};
pub use request_id::RequestId;
pub use settings::{
    AccessLog, CertifiedPair, Limits, ListenerKind, ServerContext, ServerTimeouts, Settings,
};
pub use shutdown::{Shutdown, Tasks};
pub use tls::CertificateExpiry;

use connection::ConnectionServer;
use connection_limit::ConnectionLimit;
use listener::Listener;

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
        let connections = ConnectionServer::new(
            handler,
            self.frame.clone(),
            &self.settings,
            self.tls,
            tasks.clone(),
        );
        let connections = Arc::new(connections);
        let room = ConnectionLimit::new(&self.settings.limits, self.open, self.frame.metrics);
        for (listener, kind) in self.listeners {
            tasks.track(listener.run(kind, Arc::clone(&connections), room.clone(), tasks.clone()));
        }
        tasks.drain(&shutdown, &self.settings.timeouts).await;
    }
}
