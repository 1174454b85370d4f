//! Sockets, TLS and HTTP toward clients; independent of what is served.
//! Invariant: a [`Handler`] gets only requests whose framing, host and target are unambiguous.
//!
//! [`Server::bind`] opens the sockets, and [`Bound::start`] serves. [`Running::stopped`] returns when the last request of
//! a drain is answered or cut. [`Running::switch`] replaces handler and settings while the server runs.
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
mod present;
mod protocol;
mod proxy_protocol;
mod request_body;
mod request_head;
mod request_id;
mod request_line;
mod response_body;
mod running;
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
pub use request_line::RequestLine;
pub use running::{Next, Running};
pub use settings::{
    AccessLog, CertifiedPair, Limits, ListenerKind, ProxyProtocol, ServerContext, ServerTimeouts,
    Settings, TlsVersion,
};
pub use shutdown::{Shutdown, Tasks};
pub use tls::CertificateExpiry;

use crate::server::active_settings::ActiveSettings;
use crate::server::connection::ConnectionServer;
use crate::server::connection_limit::ConnectionLimit;
use crate::server::present::Present;
use crate::server::running::OpenSockets;

/// Opens servers.
#[derive(Debug)]
pub struct Server;

/// A server with open sockets that does not serve yet: connections wait in the backlog.
#[derive(Debug)]
pub struct Bound {
    settings: ActiveSettings,
    limit: ConnectionLimit,
    sockets: Vec<OpenSockets>,
    tasks: Tasks,
}

impl Server {
    /// Opens the sockets and reads the certificates of `settings`. Takes its listeners out of the passed sockets.
    pub async fn bind(
        settings: &Settings,
        context: ServerContext,
        passed: &PassedSockets,
    ) -> Result<Bound, Error> {
        let (limit, tasks) = (
            ConnectionLimit::new(&settings.limits, Arc::clone(&context.metrics)),
            Tasks::default(),
        );
        let active = ActiveSettings::new(settings, context, &tasks)?;
        let sockets = running::open_all(settings, passed).await?;
        Ok(Bound { settings: active, limit, sockets, tasks })
    }
}

impl Bound {
    /// The addresses of the listeners of this kind, with actual ports.
    pub fn local_addresses(&self, kind: ListenerKind) -> Vec<LocalAddress> {
        let of_kind = self.sockets.iter().filter(|sockets| sockets.kind() == kind);
        of_kind.flat_map(|sockets| sockets.local.clone()).collect()
    }

    /// Starts to serve.
    pub fn start<H: Handler>(self, handler: Arc<H>) -> Running<H> {
        let present = Present { handler, settings: Arc::new(self.settings) };
        let connections = Arc::new(ConnectionServer::new(present, self.limit));
        Running::start(connections, self.sockets, self.tasks)
    }

    /// Serves until the order to stop, then until open requests are answered or cut.
    pub async fn serve(self, handler: Arc<impl Handler>, shutdown: Shutdown) {
        self.start(handler).stopped(&shutdown).await;
    }
}
