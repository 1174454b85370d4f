//! The declared proxies at run time: who of them asks, and what each was seen to lack.
//! Invariant: a header that a proxy once failed to send is not read from it again until a restart.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::table::{Part, Row, canonical, line};
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
    /// When a peer that is not declared was last in the log.
    pub(super) undeclared: LogThrottle,
}

/// The proxies of one entry of `server.forward_auth.clients`.
#[derive(Debug)]
pub(super) struct DeclaredClient {
    settings: ForwardAuthClient,
    method_ignored: AtomicBool,
    scheme_ignored: AtomicBool,
    address_ignored: AtomicBool,
    /// When a question of theirs that was denied for its form was last in the log.
    pub(super) complaints: LogThrottle,
}

impl DeclaredClients {
    /// The proxies that are declared; `trusted` are proxies too wherever they stand in `X-Forwarded-For`.
    pub fn new(settings: &ForwardAuth, trusted: &TrustedProxies) -> Self {
        Self {
            declared: settings.clients.iter().cloned().map(DeclaredClient::new).collect(),
            trusted: trusted.clone(),
            own_listener: settings.listen.clone(),
            undeclared: LogThrottle::default(),
        }
    }

    /// Whether they ask on a listener of their own, and nowhere else.
    pub fn have_own_listener(&self) -> bool {
        self.own_listener.is_some()
    }

    /// The entry that a peer belongs to.
    pub(super) fn of_peer(&self, peer: Peer) -> Option<&DeclaredClient> {
        self.declared.iter().find(|client| client.settings.includes(peer))
    }

    /// Whether an address in a chain is a proxy's, not a visitor's.
    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
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
            complaints: LogThrottle::default(),
        }
    }

    /// Which kind of proxy these are.
    pub(super) fn proxy(&self) -> ForwardAuthProxy {
        self.settings.proxy
    }

    /// Whether a header of the row is read from them.
    pub(super) fn is_read(&self, part: Part) -> bool {
        self.flag(part).is_none_or(|ignored| !ignored.load(Ordering::Relaxed))
    }

    /// Notes that a question came without this header of the row.
    // SECURITY: a proxy whose operator forgot the line for a header passes the visitor's own on. A question
    // without it gives that away, and from then on nobody's counts.
    pub(super) fn lacks(&self, part: Part) {
        let Some(ignored) = self.flag(part) else { return };
        if ignored.swap(true, Ordering::Relaxed) {
            return;
        }
        let (proxy, name) = (self.proxy(), Row::of(self.proxy()).header(part).map(canonical));
        tracing::warn!(
            proxy = proxy.as_str(),
            "{} did not come with a question at an auth endpoint, so a visitor could send it: it is not \
             read until a restart. Write {}",
            name.unwrap_or_default(),
            line(proxy, part)
        );
    }

    fn flag(&self, part: Part) -> Option<&AtomicBool> {
        match part {
            // Without it there is no question.
            Part::Uri => None,
            Part::Method => Some(&self.method_ignored),
            Part::Scheme => Some(&self.scheme_ignored),
            Part::Address => Some(&self.address_ignored),
        }
    }
}
