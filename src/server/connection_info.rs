//! Facts about one connection, shared by all of its requests.
//! Invariant: made once, when the connection is accepted.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use http::header::HeaderValue;
use tokio::time::Instant;

use crate::client_address::ClientAddress;
use crate::server::attached::Attached;
use crate::server::deadlines::ConnectionActivity;
use crate::server::forward_auth::ForwardAuth;
use crate::server::peer::{Peer, TrustedProxies};
use crate::server::protocol::Scheme;
use crate::server::settings::ListenerKind;
use crate::server::shutdown::Tasks;

/// Facts about one connection.
#[derive(Debug)]
pub(super) struct ConnectionInfo {
    peer: Peer,
    listener: ListenerKind,
    /// The peer as it is written in `X-Forwarded-For`.
    peer_text: HeaderValue,
    trusted: bool,
    /// Whether the connection carries many clients.
    shared: bool,
    /// `https` with TLS, else the scheme of `public_url`.
    scheme: Scheme,
    /// The networks, kept only where they are needed.
    proxies: Option<Arc<TrustedProxies>>,
    activity: ConnectionActivity,
    upstream_connections: Arc<AtomicUsize>,
    attached: Attached,
    tasks: Tasks,
}

const UNKNOWN: HeaderValue = HeaderValue::from_static("unknown");

impl ConnectionInfo {
    pub(super) fn new(
        peer: Peer,
        listener: ListenerKind,
        scheme: Scheme,
        proxies: &Arc<TrustedProxies>,
        forward_auth: &ForwardAuth,
        tasks: Tasks,
    ) -> Self {
        let trusted = proxies.includes(peer);
        let (peer_text, shared) = match peer {
            Peer::Ip(address) => (
                HeaderValue::try_from(address.to_string()).unwrap_or(UNKNOWN),
                trusted || forward_auth.contains(address),
            ),
            Peer::Unix => (UNKNOWN, true),
        };
        Self {
            peer,
            listener,
            peer_text,
            trusted,
            shared,
            scheme,
            proxies: trusted.then(|| Arc::clone(proxies)),
            activity: ConnectionActivity::new(Instant::now()),
            upstream_connections: Arc::default(),
            attached: Attached::default(),
            tasks,
        }
    }

    /// A connection to a public listener, for tests.
    #[cfg(test)]
    pub(super) fn fixed(peer: Peer, scheme: Scheme, proxies: TrustedProxies) -> Arc<Self> {
        let (public, none) = (ListenerKind::Public, ForwardAuth::default());
        Arc::new(Self::new(peer, public, scheme, &Arc::new(proxies), &none, Tasks::default()))
    }

    pub(super) fn activity(&self) -> &ConnectionActivity {
        &self.activity
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    pub(super) fn attached(&self) -> &Attached {
        &self.attached
    }

    pub(super) fn listener(&self) -> ListenerKind {
        self.listener
    }

    pub(super) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Counts the connections to upstreams that requests of this connection hold.
    pub(super) fn upstream_connections(&self) -> &Arc<AtomicUsize> {
        &self.upstream_connections
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The trusted proxies, if the peer is one of them.
    pub(super) fn proxies(&self) -> Option<&Arc<TrustedProxies>> {
        self.proxies.as_ref()
    }

    /// Whether the connection carries many clients: the peer is a proxy, or is on a unix socket.
    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }

    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// The peer as it is written in `X-Forwarded-For`.
    pub(super) fn peer_text(&self) -> &HeaderValue {
        &self.peer_text
    }

    /// A client's address as a field's value; `None` if it is unknown.
    pub(super) fn text_of(&self, address: ClientAddress) -> Option<HeaderValue> {
        if address == self.peer.address() {
            // Nearly every request that comes without a proxy.
            return address.known().map(|_| self.peer_text.clone());
        }
        HeaderValue::try_from(address.known()?.to_string()).ok()
    }
}
