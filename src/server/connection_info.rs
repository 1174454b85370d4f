//! Facts about one connection, shared by all of its requests.
//! Invariant: made once, when the connection is accepted. Only the peer changes: a PROXY header may announce another
//! one, once and before the first request.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use http::header::HeaderValue;
use tokio::time::Instant;

use crate::client_address::ClientAddress;
use crate::server::active_settings::ActiveSettings;
use crate::server::attached::Attached;
use crate::server::deadlines::ConnectionActivity;
use crate::server::forwarded_for::FORWARDED_FOR;
use crate::server::peer::{Peer, TrustedProxies};
use crate::server::protocol::Scheme;
use crate::server::proxy_protocol::ProxyHeader;
use crate::server::settings::{ListenerKind, ProxyProtocol};
#[cfg(test)]
use crate::server::settings::{ServerContext, Settings};
use crate::server::shutdown::Tasks;

/// Facts about one connection.
#[derive(Debug)]
pub(super) struct ConnectionInfo {
    /// The other end of the socket.
    accepted: KnownPeer,
    /// The client that a PROXY header announced in its place.
    announced: OnceLock<KnownPeer>,
    listener: ListenerKind,
    /// `None`: the scheme of `public_url`.
    scheme: Option<Scheme>,
    /// The settings of its accept.
    settings: Arc<ActiveSettings>,
    /// The tasks of its listener.
    tasks: Tasks,
    activity: ConnectionActivity,
    upstream_connections: Arc<AtomicUsize>,
    attached: Attached,
    /// Whether the peer has sent `X-Forwarded-For` without being trusted.
    has_sent_chain: AtomicBool,
}

/// A peer, and what follows from the settings of the accept.
#[derive(Debug)]
struct KnownPeer {
    peer: Peer,
    /// As it is written in `X-Forwarded-For`.
    text: HeaderValue,
    /// Whether it was a trusted proxy at accept.
    trusted: bool,
    /// Whether its connection carries many clients.
    shared: bool,
}

impl KnownPeer {
    fn of(peer: Peer, settings: &ActiveSettings) -> Self {
        let trusted = settings.trusted_proxies.includes(peer);
        let (text, shared) = match peer {
            Peer::Ip(address) => (
                HeaderValue::try_from(address.to_string()).unwrap_or(UNKNOWN),
                trusted || settings.forward_auth.contains(address),
            ),
            Peer::Unix | Peer::Unknown => (UNKNOWN, true),
        };
        Self { peer, text, trusted, shared }
    }
}

const UNKNOWN: HeaderValue = HeaderValue::from_static("unknown");

impl ConnectionInfo {
    pub(super) fn new(
        peer: Peer,
        listener: ListenerKind,
        scheme: Option<Scheme>,
        settings: Arc<ActiveSettings>,
        tasks: Tasks,
    ) -> Self {
        Self {
            accepted: KnownPeer::of(peer, &settings),
            announced: OnceLock::new(),
            listener,
            scheme,
            settings,
            tasks,
            activity: ConnectionActivity::new(Instant::now()),
            upstream_connections: Arc::default(),
            attached: Attached::default(),
            has_sent_chain: AtomicBool::new(false),
        }
    }

    /// A connection to a public listener, for tests.
    #[cfg(test)]
    pub(super) fn fixed(peer: Peer, scheme: Scheme, settings: &Settings) -> Arc<Self> {
        Self::fixed_at(peer, ListenerKind::Public, scheme, settings)
    }

    /// The same to a listener of this kind, for tests.
    #[cfg(test)]
    pub(super) fn fixed_at(
        peer: Peer,
        listener: ListenerKind,
        scheme: Scheme,
        settings: &Settings,
    ) -> Arc<Self> {
        let tasks = Tasks::default();
        let settings = ActiveSettings::new(settings, ServerContext::unlogged(), &tasks).unwrap();
        Arc::new(Self::new(peer, listener, Some(scheme), Arc::new(settings), tasks))
    }

    /// Replaces the peer by the client that its PROXY header announces. The first call counts.
    pub(super) fn announce(&self, peer: Peer) {
        self.announced.get_or_init(|| KnownPeer::of(peer, &self.settings));
    }

    fn known_peer(&self) -> &KnownPeer {
        self.announced.get().unwrap_or(&self.accepted)
    }

    /// Whether the connection begins with a PROXY header.
    pub(super) fn proxy_header(&self) -> ProxyHeader {
        match (self.settings.proxy_protocol, self.listener) {
            (ProxyProtocol::Off, _) | (ProxyProtocol::On, ListenerKind::ForwardAuth) => {
                ProxyHeader::Ignored
            }
            (ProxyProtocol::On, ListenerKind::Public | ListenerKind::Redirect)
                if self.accepted.trusted =>
            {
                ProxyHeader::Required
            }
            (ProxyProtocol::On, ListenerKind::Public | ListenerKind::Redirect) => {
                ProxyHeader::Forbidden
            }
        }
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

    /// `https` with TLS, else that of `public_url`, but `http` at the redirect to https.
    pub(super) fn scheme(&self, current: &ActiveSettings) -> Scheme {
        self.scheme.unwrap_or(current.context.plain_scheme)
    }

    /// Counts the connections to upstreams that requests of this connection hold.
    pub(super) fn upstream_connections(&self) -> &Arc<AtomicUsize> {
        &self.upstream_connections
    }

    /// The settings of its accept.
    pub(super) fn settings(&self) -> &Arc<ActiveSettings> {
        &self.settings
    }

    /// The trusted proxies of the settings in effect, if the peer is one of them.
    pub(super) fn trusted_proxies<'c>(
        &self,
        current: &'c Arc<ActiveSettings>,
    ) -> Option<&'c TrustedProxies> {
        let proxies = &current.trusted_proxies;
        // Until the settings are replaced, the networks are searched once per connection.
        let unchanged = Arc::ptr_eq(current, &self.settings);
        let known = self.known_peer();
        let trusted = if unchanged { known.trusted } else { proxies.includes(known.peer) };
        trusted.then_some(proxies)
    }

    /// Whether [`Self::note_untrusted_chain`] was called.
    pub(super) fn has_noted_chain(&self) -> bool {
        self.has_sent_chain.load(Ordering::Relaxed)
    }

    /// Reports a peer that sends the field with the client's address and is not trusted: it may be a proxy that the
    /// operator forgot.
    pub(super) fn note_untrusted_chain(&self) {
        // Once per connection, so that a busy proxy does not contend for the throttle.
        if self.has_sent_chain.swap(true, Ordering::Relaxed) {
            return;
        }
        let sends_subrequests = match self.listener {
            ListenerKind::ForwardAuth => true,
            // With a listener of their own there are no auth subrequests here: these are requests that the proxy forwards.
            ListenerKind::Public | ListenerKind::Redirect => {
                let settings = &self.settings.forward_auth;
                settings.listen.is_none() && settings.includes(self.peer())
            }
        };
        if sends_subrequests || !self.settings.untrusted_chain.allow() {
            return;
        }
        let (peer, entry) = match self.peer() {
            Peer::Ip(address) => (address.to_string(), "it"),
            Peer::Unix => ("a unix socket".to_owned(), "`unix`"),
            Peer::Unknown => ("an unknown address".to_owned(), "it"),
        };
        let name = match &self.settings.address_header {
            name if *name == FORWARDED_FOR => "X-Forwarded-For",
            name => name.as_str(),
        };
        tracing::warn!(
            "{name} of a peer that is not trusted is ignored: every visitor through {peer} counts as one \
             client; if it is your proxy, add {entry} to server.trusted_proxies"
        );
    }

    /// Whether the connection carries many clients, as seen at accept: the peer is a proxy, or is on a unix socket.
    pub(super) fn is_shared(&self) -> bool {
        self.known_peer().shared
    }

    pub(super) fn peer(&self) -> Peer {
        self.known_peer().peer
    }

    /// The peer as it is written in `X-Forwarded-For`.
    pub(super) fn peer_text(&self) -> &HeaderValue {
        &self.known_peer().text
    }

    /// A client's address as a field's value; `None` if it is unknown.
    pub(super) fn text_of(&self, address: ClientAddress) -> Option<HeaderValue> {
        let known = self.known_peer();
        if address == known.peer.address() {
            // Nearly every request that comes without a proxy.
            return address.known().map(|_| known.text.clone());
        }
        HeaderValue::try_from(address.known()?.to_string()).ok()
    }
}
