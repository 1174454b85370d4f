//! `server.forward_auth`: which proxies may use the auth endpoints, and on which listener.
//! Invariant: only declared proxies may use them; being one of `trusted_proxies` is not enough.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::server::listen_address::ListenAddress;
use crate::server::peer::Peer;

/// The settings of `server.forward_auth`. By default no proxy may use the auth endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardAuth {
    /// Proxies that may use the auth endpoints. No peer belongs to two entries that differ in `proxy`.
    pub clients: Vec<ForwardAuthClient>,
    /// A listener for auth subrequests only; `None`: the public listeners serve them.
    pub listen: Option<ListenAddress>,
}

/// Proxies of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardAuthClient {
    /// Their networks; an IPv4-mapped IPv6 address counts as its IPv4 address.
    pub networks: Vec<IpNet>,
    /// Peers on unix sockets.
    pub unix: bool,
    /// Their kind. It determines the headers that describe the original request.
    pub proxy: ForwardAuthProxy,
}

/// A kind of proxy, by its name in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardAuthProxy {
    /// `auth_request` of nginx.
    Nginx,
    /// The Ingress controller of the Kubernetes project, with `auth-url`.
    IngressNginx,
    /// NGINX Gateway Fabric, with the filter `ExternalAuth`.
    NginxGatewayFabric,
    /// The middleware `forwardAuth`.
    Traefik,
    /// The directive `forward_auth`.
    Caddy,
    /// A Lua script that sends auth subrequests.
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

    /// Its name in the configuration.
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

    /// The kind with this name.
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
            Peer::Unknown => false,
        }
    }

    /// Whether an address lies in their networks.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

impl ForwardAuth {
    /// Whether a peer may use the auth endpoints.
    pub(super) fn includes(&self, peer: Peer) -> bool {
        self.clients.iter().any(|client| client.includes(peer))
    }

    /// Whether a proxy with this address may use the auth endpoints.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.clients.iter().any(|client| client.contains(address))
    }
}
