//! Sockets, TLS and HTTP toward clients; independent of what is served.
//! Invariant: a [`Handler`] gets only requests whose framing, host and target are unambiguous.
//!
//! [`Server::bind`] opens the sockets. [`Bound::serve`] returns when the last request of a drain is answered or cut.
//!
//! The path of a request: `listener` (`connection_limit`, `eviction`) → `connection` (`proxy_protocol`, `transport`,
//! `stream`, `deadlines`) → `service` (`request_head`, `client_info`, `request_body`) → [`Handler`] → `response_body`
//! (`exchange`). `shutdown` ends them all.

mod active_settings;
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
mod passed_sockets;
mod peer;
mod protocol;
mod proxy_protocol;
mod request_body;
mod request_head;
mod request_id;
mod response_body;
mod service;
mod settings;
mod shutdown;
mod socket_file;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod transport;

use std::sync::Arc;

pub use active_settings::SettingsHandle;
pub use authority::Authority;
pub use client_info::ClientInfo;
pub use connection_limit::OpenConnections;
pub use error::Error;
pub use forward_auth::{ForwardAuth, ForwardAuthClient, ForwardAuthProxy};
pub use forwarded_for::ForwardedFor;
pub use handler::{Answered, Handler, Incoming, RejectedRequest};
pub use listen_address::{ListenAddress, LocalAddress, PassedSocketName, UnixSocket};
pub use open_parts::RequestBinding;
pub use panic_guard::without_panic;
pub use passed_sockets::PassedSockets;
pub use peer::{Peer, TrustedProxies};
pub use protocol::{ForwardedProto, Scheme};
pub use request_body::Stalled;
pub use request_head::{DroppedNames, is_served};
pub use request_id::RequestId;
pub use settings::{
    AccessLog, CertifiedPair, Limits, ListenerKind, ProxyProtocol, ServerContext, ServerTimeouts,
    Settings, TlsVersion,
};
pub use shutdown::{Shutdown, Tasks};
pub use tls::CertificateExpiry;

use crate::server::connection::ConnectionServer;
use crate::server::connection_limit::ConnectionLimit;
use crate::server::listener::Listener;

/// Opens servers.
#[derive(Debug)]
pub struct Server;

/// A server with open sockets that does not serve yet: connections wait in the backlog.
#[derive(Debug)]
pub struct Bound {
    settings: SettingsHandle,
    limit: ConnectionLimit,
    listeners: Vec<(Listener, ListenerKind)>,
    addresses: Vec<LocalAddress>,
    forward_auth_addresses: Vec<LocalAddress>,
    redirect_addresses: Vec<LocalAddress>,
    certificates: Vec<CertificateExpiry>,
}

impl Server {
    /// Opens the sockets and reads the certificates of `settings`. Takes its listeners out of the passed sockets.
    pub async fn bind(
        settings: &Settings,
        context: ServerContext,
        passed: &mut PassedSockets,
    ) -> Result<Bound, Error> {
        let limit = ConnectionLimit::new(&settings.limits, Arc::clone(&context.metrics));
        let mut bound = Bound {
            settings: SettingsHandle::new(settings, context)?,
            limit,
            listeners: Vec::new(),
            addresses: Vec::new(),
            forward_auth_addresses: Vec::new(),
            redirect_addresses: Vec::new(),
            certificates: tls::expiries(&settings.certificates),
        };
        for address in &settings.listen {
            let local = bound.listen(address, ListenerKind::Public, passed).await?;
            bound.addresses.extend(local);
        }
        if let Some(address) = &settings.forward_auth.listen {
            let local = bound.listen(address, ListenerKind::ForwardAuth, passed).await?;
            bound.forward_auth_addresses.extend(local);
        }
        if let Some(address) = &settings.redirect_http {
            let local = bound.listen(address, ListenerKind::Redirect, passed).await?;
            bound.redirect_addresses.extend(local);
        }
        Ok(bound)
    }
}

impl Bound {
    /// Listens on one more address, and returns the actual ones.
    async fn listen(
        &mut self,
        address: &ListenAddress,
        kind: ListenerKind,
        passed: &mut PassedSockets,
    ) -> Result<Vec<LocalAddress>, Error> {
        let listeners = Listener::bind(address, passed).await?;
        let local: Result<_, _> = listeners.iter().map(Listener::local_address).collect();
        self.listeners.extend(listeners.into_iter().map(|listener| (listener, kind)));
        local.map_err(|source| Error::Bind { address: address.to_string(), source })
    }

    /// Public addresses, with actual ports.
    pub fn local_addresses(&self) -> &[LocalAddress] {
        &self.addresses
    }

    /// Addresses for auth subrequests only, with actual ports.
    pub fn forward_auth_addresses(&self) -> &[LocalAddress] {
        &self.forward_auth_addresses
    }

    /// Addresses that redirect to https, with actual ports.
    pub fn redirect_addresses(&self) -> &[LocalAddress] {
        &self.redirect_addresses
    }

    /// Counts the open connections, also while the server runs.
    pub fn open_connections(&self) -> OpenConnections {
        self.limit.open_connections()
    }

    /// Replaces the settings while the server runs.
    pub fn settings(&self) -> SettingsHandle {
        self.settings.clone()
    }

    /// Certificates with their expiry.
    pub fn certificates(&self) -> Vec<CertificateExpiry> {
        self.certificates.clone()
    }

    /// Serves until the order to stop, then until open requests are answered or cut.
    pub async fn serve(self, handler: Arc<impl Handler>, shutdown: Shutdown) {
        let settings = self.settings;
        let connections = Arc::new(ConnectionServer::new(handler, settings.clone(), self.limit));
        let tasks = settings.tasks();
        for (listener, kind) in self.listeners {
            tasks.track(listener.run(kind, Arc::clone(&connections), tasks.clone()));
        }
        shutdown.begun().await;
        let timeouts = settings.now().timeouts;
        tasks.drain(&shutdown, &timeouts).await;
    }
}
