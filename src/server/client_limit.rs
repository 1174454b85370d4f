//! The limit of open connections of one client: `limits.connections_per_client`.
//! Invariants: peers that carry many clients (trusted proxies, forward-auth clients, unix sockets) are not
//! counted. A client is removed with its last connection, so the map is never larger than the number of open
//! connections.

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

/// A client's connections, the new one included, compared with the limit.
#[derive(Debug)]
pub(super) enum ClientCount {
    /// The client is not counted.
    Exempt,
    /// The client is within its limit.
    Within(ClientPlace),
    /// The client is over its limit: the connection gets 503.
    Over(ClientPlace),
    /// Many connections of the client are over the limit already: close this one without a response.
    FarOver,
}

/// One connection of a client; dropped when its socket closes.
#[derive(Debug)]
pub(super) struct ClientPlace {
    counts: Arc<Counts>,
    client: ClientAddress,
}

impl ClientLimit {
    /// Counts a connection, unless its client is far over the limit.
    pub(super) fn count(&self, connected: &ConnectionInfo) -> ClientCount {
        let limit = connected.settings().limits.connections_per_client;
        let Some(limit) = limit else { return ClientCount::Exempt };
        if connected.is_shared() {
            return ClientCount::Exempt;
        }
        let client = connected.peer().address().network();
        let mut open = self.0.entry(client).or_default();
        if *open >= limit.saturating_add(AWAITING_503) {
            return ClientCount::FarOver;
        }
        *open += 1;
        let over = *open > limit;
        drop(open);
        let place = ClientPlace { counts: Arc::clone(&self.0), client };
        if over { ClientCount::Over(place) } else { ClientCount::Within(place) }
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

/// Connections over the limit that may wait for their 503 at a time, for each client.
const AWAITING_503: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::peer::{Peer, TrustedProxies};
    use crate::server::protocol::Scheme;
    use crate::server::settings::{Limits, Settings};

    /// Counts a new connection of a peer.
    fn count(open: &ClientLimit, limit: Option<usize>, peer: &str) -> ClientCount {
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
        open.count(&ConnectionInfo::fixed(peer, Scheme::Http, &settings))
    }

    #[test]
    fn over_limit_client_is_accepted_again_when_one_of_its_connections_closes() {
        let open = ClientLimit::default();
        let count = |peer| count(&open, Some(2), peer);
        let first = count("192.0.2.1");
        let _second = count("192.0.2.1");
        assert!(matches!(
            (&first, count("192.0.2.1")),
            (ClientCount::Within(_), ClientCount::Over(_))
        ));
        assert!(matches!(count("192.0.2.2"), ClientCount::Within(_)), "another client");
        drop(first);
        assert!(matches!(count("192.0.2.1"), ClientCount::Within(_)));
    }

    #[test]
    fn ipv6_client_is_counted_by_its_64_bit_prefix() {
        let open = ClientLimit::default();
        let count = |peer| count(&open, Some(1), peer);
        let _first = count("2001:db8::1");
        assert!(matches!(count("2001:db8::2"), ClientCount::Over(_)));
        assert!(matches!(count("2001:db8:0:1::1"), ClientCount::Within(_)));
    }

    #[test]
    fn proxy_and_unix_peer_are_exempt() {
        let open = ClientLimit::default();
        for peer in ["10.0.0.1", "unix"] {
            let both = [count(&open, Some(1), peer), count(&open, Some(1), peer)];
            assert!(matches!(both, [ClientCount::Exempt, ClientCount::Exempt]), "{peer}");
        }
        assert!(matches!(count(&open, None, "192.0.2.1"), ClientCount::Exempt));
        assert!(open.0.is_empty());
    }

    #[test]
    fn over_limit_connections_are_limited_and_removed_from_the_map() {
        let open = ClientLimit::default();
        let count = || count(&open, Some(1), "192.0.2.1");
        let mut counted: Vec<_> = (0..=AWAITING_503).map(|_| count()).collect();
        assert!(matches!(count(), ClientCount::FarOver));
        counted.pop();
        assert!(matches!(count(), ClientCount::Over(_)));
        counted.clear();
        assert!(open.0.is_empty());
    }
}
