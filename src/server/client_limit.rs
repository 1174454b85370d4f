//! How many connections one client may have open: `limits.connections_per_client`.
//! Invariants: proxies that are trusted or that ask, and peers on unix sockets, carry many clients and are not counted; a client is forgotten
//! with its last connection, so that the map is bounded by the open connections.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::client_address::ClientAddress;
use crate::server::connection_info::ConnectionInfo;

/// Counts the open connections of each client. Costs nothing while there is no limit.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientLimit(Arc<Counts>);

/// By IPv4 address, or IPv6 /64.
type Counts = DashMap<ClientAddress, usize>;

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
    /// Counts a connection, unless there are too many.
    pub(super) fn admit(&self, connected: &ConnectionInfo) -> Admitted {
        let limit = connected.settings().limits.connections_per_client;
        let Some(limit) = limit else { return Admitted::Exempt };
        if connected.is_shared() {
            return Admitted::Exempt;
        }
        let client = connected.peer().address().network();
        let mut open = self.0.entry(client).or_default();
        if *open >= limit.saturating_add(TOLD) {
            return Admitted::Refused;
        }
        *open += 1;
        let over = *open > limit;
        drop(open);
        let place = ClientPlace { counts: Arc::clone(&self.0), client };
        if over { Admitted::Over(place) } else { Admitted::Within(place) }
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        let Entry::Occupied(mut open) = self.counts.entry(self.client) else { return };
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
    use crate::server::settings::{Limits, Settings};

    /// A new connection of a peer, while the limit is this.
    fn admit(open: &ClientLimit, limit: Option<usize>, peer: &str) -> Admitted {
        let peer = match peer {
            "unix" => Peer::Unix,
            address => Peer::Ip(address.parse().unwrap()),
        };
        let networks = vec!["10.0.0.0/8".parse().unwrap()];
        let settings = Settings {
            trusted_proxies: TrustedProxies { networks, unix: false },
            limits: Limits { connections_per_client: limit, ..Limits::default() },
            ..Settings::listening_nowhere()
        };
        open.admit(&ConnectionInfo::fixed(peer, Scheme::Http, &settings))
    }

    #[test]
    fn over_limit_client_is_accepted_again_when_one_of_its_connections_closes() {
        let open = ClientLimit::default();
        let admit = |peer| admit(&open, Some(2), peer);
        let first = admit("192.0.2.1");
        let _second = admit("192.0.2.1");
        assert!(matches!((&first, admit("192.0.2.1")), (Admitted::Within(_), Admitted::Over(_))));
        assert!(matches!(admit("192.0.2.2"), Admitted::Within(_)), "another client");
        drop(first);
        assert!(matches!(admit("192.0.2.1"), Admitted::Within(_)));
    }

    #[test]
    fn ipv6_client_is_counted_by_its_64_bit_prefix() {
        let open = ClientLimit::default();
        let admit = |peer| admit(&open, Some(1), peer);
        let _first = admit("2001:db8::1");
        assert!(matches!(admit("2001:db8::2"), Admitted::Over(_)));
        assert!(matches!(admit("2001:db8:0:1::1"), Admitted::Within(_)));
    }

    #[test]
    fn proxy_and_unix_peer_are_exempt() {
        let open = ClientLimit::default();
        for peer in ["10.0.0.1", "unix"] {
            let both = [admit(&open, Some(1), peer), admit(&open, Some(1), peer)];
            assert!(matches!(both, [Admitted::Exempt, Admitted::Exempt]), "{peer}");
        }
        assert!(matches!(admit(&open, None, "192.0.2.1"), Admitted::Exempt));
        assert!(open.0.is_empty());
    }

    #[test]
    fn over_limit_connections_are_limited_and_removed_from_the_map() {
        let open = ClientLimit::default();
        let admit = || admit(&open, Some(1), "192.0.2.1");
        let mut admitted: Vec<_> = (0..=TOLD).map(|_| admit()).collect();
        assert!(matches!(admit(), Admitted::Refused));
        admitted.pop();
        assert!(matches!(admit(), Admitted::Over(_)));
        admitted.clear();
        assert!(open.0.is_empty());
    }
}
