//! The other end of a socket, and which peers are trusted proxies.
//! Invariant: an IPv4-mapped IPv6 address counts as its IPv4 address. By default no peer is trusted.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::client_address::ClientAddress;

/// The other end of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An IP address, unmapped.
    Ip(IpAddr),
    /// A process on this machine, connected through a unix socket.
    Unix,
    /// A client whose address the PROXY header of its load balancer does not say.
    Unknown,
}

impl Peer {
    /// The peer's address, if it has one and it is known.
    pub(super) fn address(self) -> ClientAddress {
        match self {
            Self::Ip(address) => ClientAddress::Known(address),
            Self::Unix | Self::Unknown => ClientAddress::Unknown,
        }
    }
}

/// The peers whose `X-Forwarded-*` fields are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Networks of trusted peers.
    pub networks: Vec<IpNet>,
    /// Whether peers on unix sockets are trusted.
    pub unix: bool,
}

impl TrustedProxies {
    /// Whether a peer is a trusted proxy.
    pub(super) fn includes(&self, peer: Peer) -> bool {
        match peer {
            Peer::Ip(address) => self.contains(address),
            Peer::Unix => self.unix,
            Peer::Unknown => false,
        }
    }

    /// Whether an address lies in a trusted network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_address_is_in_an_ipv4_network() {
        let proxies = TrustedProxies { networks: vec!["10.0.0.0/8".parse().unwrap()], unix: false };
        assert!(proxies.contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!proxies.includes(Peer::Unix) && !proxies.contains("11.0.0.1".parse().unwrap()));
    }
}
