//! The declared proxies at run time: which one sends a subrequest, and which headers are read from it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::endpoints::auth::described::DescribingHeader;
use crate::endpoints::auth::ignored_headers::{IgnoredHeaders, IgnoredParts};
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
    ignored: Arc<IgnoredParts>,
    /// Throttles the log line about their subrequests with a fault in the form.
    pub(super) faults: LogThrottle,
    /// Throttles the log line about gRPC calls, which visitors can cause.
    pub(super) calls: LogThrottle,
}

impl DeclaredClients {
    /// The declared proxies, with what is `ignored` from them. In `X-Forwarded-For`, those in `trusted` count as
    /// proxies too.
    pub fn new(settings: &ForwardAuth, trusted: &TrustedProxies, ignored: &IgnoredHeaders) -> Self {
        let declared = settings.clients.iter();
        Self {
            declared: declared.map(|client| DeclaredClient::new(client, ignored)).collect(),
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
    fn new(settings: &ForwardAuthClient, ignored: &IgnoredHeaders) -> Self {
        Self {
            settings: settings.clone(),
            ignored: ignored.of(settings),
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
        !self.ignored.has(part)
    }

    /// Notes that a subrequest came without the header for this part.
    // SECURITY: if the operator forgot to set a header, the proxy passes on the visitor's own. A subrequest
    // without the header shows that, and from then on the header is ignored.
    pub(super) fn ignore(&self, part: Part) {
        if !self.ignored.add(part) {
            return;
        }
        let (proxy, header) = (self.proxy(), ProxyHeaders::of(self.proxy()).header(part));
        tracing::warn!(
            proxy = proxy.as_str(),
            "an auth subrequest came without {}, so visitors could forge it: Portcullis ignores it until \
             SIGHUP, `portcullis reload` or a restart. Write {}",
            header.map_or("", DescribingHeader::as_str),
            line(proxy, part)
        );
    }
}
