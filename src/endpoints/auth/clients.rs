//! The declared proxies at run time: which one sends a subrequest, and which headers it failed to send.
//! Invariant: a header that a proxy once failed to send is not read from it again until a restart.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::endpoints::auth::described::DescribingHeader;
use crate::endpoints::auth::table::{Part, ProxyHeaders, line};
use crate::server::{
    ForwardAuth, ForwardAuthClient, ForwardAuthProxy, ListenAddress, Peer, TrustedProxies,
};
use crate::telemetry::log_throttle::LogThrottle;

/// All declared proxies.
#[derive(Debug, Default)]
pub struct DeclaredClients {
    declared: Vec<DeclaredClient>,
    trusted: TrustedProxies,
    own_listener: Option<ListenAddress>,
    /// Throttles the log line about peers that are not declared.
    pub(super) undeclared: LogThrottle,
}

/// The proxies of one entry of `server.forward_auth.clients`.
#[derive(Debug)]
pub(in crate::endpoints) struct DeclaredClient {
    settings: ForwardAuthClient,
    method_ignored: AtomicBool,
    scheme_ignored: AtomicBool,
    address_ignored: AtomicBool,
    /// Throttles the log line about their subrequests with a fault in the form.
    pub(super) faults: LogThrottle,
    /// Throttles the log line about gRPC calls, which visitors can cause.
    pub(super) calls: LogThrottle,
}

impl DeclaredClients {
    /// The declared proxies. In `X-Forwarded-For`, those in `trusted` count as proxies too.
    pub fn new(settings: &ForwardAuth, trusted: &TrustedProxies) -> Self {
        Self {
            declared: settings.clients.iter().cloned().map(DeclaredClient::new).collect(),
            trusted: trusted.clone(),
            own_listener: settings.listen.clone(),
            undeclared: LogThrottle::default(),
        }
    }

    /// Whether the auth endpoints have a listener of their own.
    pub fn have_own_listener(&self) -> bool {
        self.own_listener.is_some()
    }

    /// Whether an address is a trusted proxy's.
    pub(in crate::endpoints) fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.contains(address)
    }

    /// The entry of a peer.
    pub(in crate::endpoints) fn of_peer(&self, peer: Peer) -> Option<&DeclaredClient> {
        self.declared.iter().find(|client| client.settings.includes(peer))
    }

    /// Whether an address in a forwarded chain is a proxy's, not a visitor's.
    pub(in crate::endpoints) fn is_proxy(&self, address: IpAddr) -> bool {
        self.trusted.contains(address)
            || self.declared.iter().any(|client| client.settings.contains(address))
    }
}

impl DeclaredClient {
    pub(super) fn new(settings: ForwardAuthClient) -> Self {
        Self {
            settings,
            method_ignored: AtomicBool::new(false),
            scheme_ignored: AtomicBool::new(false),
            address_ignored: AtomicBool::new(false),
            faults: LogThrottle::default(),
            calls: LogThrottle::default(),
        }
    }

    /// The kind of these proxies.
    pub(in crate::endpoints) fn proxy(&self) -> ForwardAuthProxy {
        self.settings.proxy
    }

    /// Whether the header for this part is read from them.
    pub(super) fn is_read(&self, part: Part) -> bool {
        self.flag(part).is_none_or(|ignored| !ignored.load(Ordering::Relaxed))
    }

    /// Notes that a subrequest came without the header for this part.
    // SECURITY: if the operator forgot to set a header, the proxy passes on the visitor's own. A subrequest
    // without the header shows that, and from then on the header is ignored.
    pub(super) fn ignore(&self, part: Part) {
        let Some(ignored) = self.flag(part) else { return };
        if ignored.swap(true, Ordering::Relaxed) {
            return;
        }
        let (proxy, header) = (self.proxy(), ProxyHeaders::of(self.proxy()).header(part));
        tracing::warn!(
            proxy = proxy.as_str(),
            "an auth subrequest came without {}, so visitors could forge it: Portcullis ignores it until \
             a restart. Write {}",
            header.map_or("", DescribingHeader::as_str),
            line(proxy, part)
        );
    }

    fn flag(&self, part: Part) -> Option<&AtomicBool> {
        match part {
            // Without a URI the subrequest has a fault of its own.
            Part::Uri => None,
            Part::Method => Some(&self.method_ignored),
            Part::Scheme => Some(&self.scheme_ignored),
            Part::Address => Some(&self.address_ignored),
        }
    }
}
