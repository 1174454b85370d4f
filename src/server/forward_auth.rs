//! `server.forward_auth`: which proxies may ask at the auth endpoints, and on which listener.
//! Invariant: a proxy asks only where it is declared; `trusted_proxies` has no part in it.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::server::listen_address::ListenAddress;
use crate::server::peer::Peer;

/// What `server.forward_auth` says. The default is that nobody may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardAuth {
    /// The proxies that may ask; no peer belongs to two that differ in `proxy`.
    pub clients: Vec<ForwardAuthClient>,
    /// Their own listener; `None`: they ask on the public ones.
    pub listen: Option<ListenAddress>,
}

/// Proxies of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardAuthClient {
    /// Their networks; addresses are compared with IPv4-mapped IPv6 unmapped.
    pub networks: Vec<IpNet>,
    /// Peers on unix sockets.
    pub unix: bool,
    /// Their kind, which says where they name the request that they ask about.
    pub proxy: ForwardAuthProxy,
}

/// A kind of proxy, by the word for it in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardAuthProxy {
    /// `auth_request` of nginx, as an operator writes it down.
    Nginx,
    /// The Ingress controller of the Kubernetes project, with `auth-url`.
    IngressNginx,
    /// NGINX Gateway Fabric, with the filter `ExternalAuth`.
    NginxGatewayFabric,
    /// The middleware `forwardAuth`.
    Traefik,
    /// The directive `forward_auth`.
    Caddy,
    /// A Lua script that asks over HTTP.
    Haproxy,
    /// `ext_authz` over HTTP: Envoy, Istio, Envoy Gateway, Cilium.
    Envoy,
}

impl ForwardAuthProxy {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Nginx,
        Self::IngressNginx,
        Self::NginxGatewayFabric,
        Self::Traefik,
        Self::Caddy,
        Self::Haproxy,
        Self::Envoy,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::IngressNginx => "ingress-nginx",
            Self::NginxGatewayFabric => "nginx-gateway-fabric",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }

    /// The kind that a word means.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|proxy| proxy.as_str() == word)
    }
}

impl ForwardAuthClient {
    /// Whether a peer is one of these proxies.
    pub fn includes(&self, peer: Peer) -> bool {
        match peer {
            Peer::Ip(address) => self.contains(address),
            Peer::Unix => self.unix,
        }
    }

    /// Whether an address lies in their networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

impl ForwardAuth {
    /// Whether an address is that of a proxy that may ask.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.clients.iter().any(|client| client.contains(address))
    }
}
