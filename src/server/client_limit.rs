//! How many connections one client may have open: `limits.connections_per_client`.
//! Invariants: proxies that are trusted or that ask, and peers on unix sockets, carry many clients and are not counted; a client is forgotten
//! with its last connection, so that the map is bounded by the open connections.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::client_address::ClientAddress;
use crate::server::connection_info::ConnectionInfo;

/// Counts the open connections of each client. Costs nothing where there is no limit.
#[derive(Clone, Debug)]
pub(super) struct ClientLimit(Option<Arc<Counts>>);

#[derive(Debug)]
struct Counts {
    most: usize,
    /// By IPv4 address, or IPv6 /64.
    open: DashMap<ClientAddress, usize>,
}

/// Whether a client may have one more connection.
#[derive(Debug)]
pub(super) enum Admitted {
    /// It is not counted.
    Exempt,
    /// It may.
    Within(ClientPlace),
    /// It may not, and is told so.
    Over(ClientPlace),
    /// It may not, and many of its connections wait to be told so already.
    Refused,
}

/// One connection of a client; dropped when its socket closes.
#[derive(Debug)]
pub(super) struct ClientPlace {
    counts: Arc<Counts>,
    client: ClientAddress,
}

impl ClientLimit {
    /// At most this many for each client.
    pub(super) fn new(most: Option<usize>) -> Self {
        Self(most.map(|most| Arc::new(Counts { most, open: DashMap::new() })))
    }

    /// Counts a connection, unless there are too many.
    pub(super) fn admit(&self, connected: &ConnectionInfo) -> Admitted {
        let Some(counts) = &self.0 else { return Admitted::Exempt };
        if connected.is_shared() {
            return Admitted::Exempt;
        }
        let client = connected.peer().address().network();
        let mut open = counts.open.entry(client).or_default();
        if *open >= counts.most.saturating_add(TOLD) {
            return Admitted::Refused;
        }
        *open += 1;
        let over = *open > counts.most;
        drop(open);
        let place = ClientPlace { counts: Arc::clone(counts), client };
        if over { Admitted::Over(place) } else { Admitted::Within(place) }
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        let Entry::Occupied(mut open) = self.counts.open.entry(self.client) else { return };
        *open.get_mut() -= 1;
        if *open.get() == 0 {
            open.remove();
        }
    }
}

/// How many connections over the limit are told so at a time, for each client.
const TOLD: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::peer::{Peer, TrustedProxies};
    use crate::server::protocol::Scheme;

    fn connected(peer: &str) -> Arc<ConnectionInfo> {
        let networks = vec!["10.0.0.0/8".parse().unwrap()];
        let proxies = TrustedProxies { networks, unix: false };
        let peer = match peer {
            "unix" => Peer::Unix,
            address => Peer::Ip(address.parse().unwrap()),
        };
        ConnectionInfo::fixed(peer, Scheme::Http, proxies)
    }

    #[test]
    fn client_over_its_limit_is_told_until_one_of_its_connections_closes() {
        let limit = ClientLimit::new(Some(2));
        let admit = |peer| limit.admit(&connected(peer));
        let first = admit("192.0.2.1");
        let _second = admit("192.0.2.1");
        assert!(matches!((&first, admit("192.0.2.1")), (Admitted::Within(_), Admitted::Over(_))));
        assert!(matches!(admit("192.0.2.2"), Admitted::Within(_)), "another client");
        drop(first);
        assert!(matches!(admit("192.0.2.1"), Admitted::Within(_)));
    }

    #[test]
    fn ipv6_client_is_counted_by_its_64_bit_prefix() {
        let limit = ClientLimit::new(Some(1));
        let _first = limit.admit(&connected("2001:db8::1"));
        assert!(matches!(limit.admit(&connected("2001:db8::2")), Admitted::Over(_)));
        assert!(matches!(limit.admit(&connected("2001:db8:0:1::1")), Admitted::Within(_)));
    }

    #[test]
    fn proxy_and_unix_peer_are_exempt() {
        let limit = ClientLimit::new(Some(1));
        for peer in ["10.0.0.1", "unix"] {
            let both = [limit.admit(&connected(peer)), limit.admit(&connected(peer))];
            assert!(matches!(both, [Admitted::Exempt, Admitted::Exempt]), "{peer}");
        }
        let none = ClientLimit::new(None);
        assert!(matches!(none.admit(&connected("192.0.2.1")), Admitted::Exempt));
    }

    #[test]
    fn connections_that_are_told_are_bounded_and_forgotten() {
        let limit = ClientLimit::new(Some(1));
        let mut open: Vec<_> = (0..=TOLD).map(|_| limit.admit(&connected("192.0.2.1"))).collect();
        assert!(matches!(limit.admit(&connected("192.0.2.1")), Admitted::Refused));
        open.pop();
        assert!(matches!(limit.admit(&connected("192.0.2.1")), Admitted::Over(_)));
        open.clear();
        assert!(limit.0.unwrap().open.is_empty());
    }
}
