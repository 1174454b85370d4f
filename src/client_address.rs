//! The address of a client, if it is known.
//! Invariant: an unknown address is in no network, so no address rule matches it. For limits, all clients with an
//! unknown address count as one.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// The address of a client: that of the peer, or the one that a trusted proxy forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAddress {
    /// A known address. Compare it with IPv4-mapped IPv6 unmapped.
    Known(IpAddr),
    /// The peer is on a unix socket, or the forwarded chain has no valid address for the client.
    Unknown,
}

impl ClientAddress {
    /// The address, if it is known.
    pub fn known(self) -> Option<IpAddr> {
        match self {
            Self::Known(address) => Some(address),
            Self::Unknown => None,
        }
    }

    /// Whether the address lies in one of these networks, with IPv4-mapped IPv6 unmapped.
    // SECURITY: an unknown address must not match any rule that allows.
    pub fn is_in(self, networks: &[IpNet]) -> bool {
        let address = self.known().map(|address| address.to_canonical());
        address.is_some_and(|address| networks.iter().any(|network| network.contains(&address)))
    }

    /// The unit of limits per client: an IPv4 address, or an IPv6 /64, which one customer has.
    #[must_use]
    pub fn network(self) -> Self {
        match self.known().map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => Self::Known(IpAddr::V4(address)),
            Some(IpAddr::V6(address)) => {
                Self::Known(IpAddr::V6((address.to_bits() >> 64 << 64).into()))
            }
            None => Self::Unknown,
        }
    }
}

/// The form in the log: the address, or `-`.
impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(address) => address.fmt(f),
            Self::Unknown => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(text: &str) -> ClientAddress {
        ClientAddress::Known(text.parse().unwrap())
    }

    #[test]
    fn unknown_address_is_in_no_network() {
        let all = ["0.0.0.0/0", "::/0"].map(|network| network.parse().unwrap());
        assert!(known("192.0.2.1").is_in(&all) && known("2001:db8::1").is_in(&all));
        assert!(!ClientAddress::Unknown.is_in(&all));
        assert!(known("::ffff:192.0.2.1").is_in(&["192.0.2.0/24".parse().unwrap()]));
    }

    #[test]
    fn limits_count_an_ipv6_64_and_all_unknown_addresses_as_one_client() {
        assert_eq!(known("2001:db8::1").network(), known("2001:db8::2").network());
        assert_ne!(known("2001:db8::1").network(), known("2001:db8:0:1::1").network());
        assert_eq!(known("::ffff:192.0.2.1").network(), known("192.0.2.1"));
        assert_eq!(ClientAddress::Unknown.network(), ClientAddress::Unknown);
    }

    #[test]
    fn unknown_address_is_a_dash_in_the_log() {
        assert_eq!(ClientAddress::Unknown.to_string(), "-");
        assert_eq!(known("2001:db8::1").to_string(), "2001:db8::1");
    }
}
