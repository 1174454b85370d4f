//! A server, the gateway that it asks, and an application behind it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::component::{Server, Site};
use crate::support::browser::Browser;
use crate::support::faults::IdentityProvider;
use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::provider;
use crate::support::upstream::Upstream;

pub(crate) const A_MINUTE: Duration = Duration::from_secs(60);

/// What the gateway's configuration says of the server.
#[derive(Clone, Copy)]
pub(crate) enum Declared {
    /// All that is needed, with the auth endpoints on the public listener.
    Shared,
    /// The same, with the auth endpoints on a listener of their own.
    Apart,
    /// Not that it is a trusted proxy.
    NotTrusted,
    /// Not that it may ask.
    NoClient,
}

impl Declared {
    /// The keys of the section `server`.
    fn written(self, proxy: &str) -> String {
        let trusted = "trusted_proxies: [127.0.0.1/32]";
        let clients = format!("clients: [{{ from: [127.0.0.1/32], proxy: {proxy} }}]");
        match self {
            Self::Shared => format!("{trusted}, forward_auth: {{ {clients} }}"),
            Self::Apart => {
                format!("{trusted}, forward_auth: {{ {clients}, listen: \"127.0.0.1:0\" }}")
            }
            Self::NotTrusted => format!("forward_auth: {{ {clients} }}"),
            Self::NoClient => trusted.to_owned(),
        }
    }
}

/// A server with an application behind it, and the gateway that it asks.
pub(crate) struct House {
    pub(crate) provider: IdentityProvider,
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Gateway,
    pub(crate) server: Server,
}

/// The same without the application.
pub(crate) struct Doors {
    pub(crate) provider: IdentityProvider,
    pub(crate) gateway: Gateway,
    pub(crate) server: Server,
}

const ROUTES: &str = "
routes:
  - { allow: authenticated }
  - { path: /open, allow: public }
  - { path: /staff, allow: [{ groups: [staff] }] }
  - { path: /gets, allow: [{ methods: [GET] }] }
  - { path: /preflight, allow: [{ public: true, methods: [OPTIONS] }, { groups: [staff] }] }
  - { path: /near, allow: [{ public: true, client_addresses: [127.0.0.2/32] }, { groups: [staff] }] }
  - { path: /inside, allow: [{ public: true, client_addresses: [10.0.0.0/8] }, { groups: [staff] }] }
  - { host: status.localhost, allow: public }
";

impl House {
    /// A server that starts by `start` and may ask as a `proxy` of that name.
    pub(crate) async fn start(
        proxy: &str,
        declared: Declared,
        start: impl AsyncFnOnce(&Site) -> Server,
    ) -> Self {
        Self::with(A_MINUTE, proxy, declared, start).await
    }

    /// The same, where access tokens live so long.
    pub(crate) async fn with(
        token_lifetime: Duration,
        proxy: &str,
        declared: Declared,
        start: impl AsyncFnOnce(&Site) -> Server,
    ) -> Self {
        let upstream = Upstream::start().await;
        let doors = Doors::start(token_lifetime, proxy, declared, upstream.address, start).await;
        let Doors { provider, gateway, server } = doors;
        Self { provider, upstream, gateway, server }
    }

    /// A visitor who is signed in.
    pub(crate) async fn member(&self, username: &str) -> Browser {
        let mut browser = self.server.browser();
        let answer = provider::sign_in(&mut browser, "/page", username).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        browser
    }
}

impl Doors {
    pub(crate) async fn start(
        token_lifetime: Duration,
        proxy: &str,
        declared: Declared,
        application: SocketAddr,
        start: impl AsyncFnOnce(&Site) -> Server,
    ) -> Self {
        let provider = provider::start(token_lifetime).await;
        let gateway = Gateway::start_with(&format!(
            "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\", {} }}\n\
             admin: {{ listen: \"off\" }}\n{}{ROUTES}",
            declared.written(proxy),
            provider::section(&provider)
        ));
        let auth = match declared {
            Declared::Apart => gateway.address_of("forward auth listening"),
            Declared::Shared | Declared::NotTrusted | Declared::NoClient => gateway.address,
        };
        let server = start(&Site { gateway: gateway.address, auth, application }).await;
        Self { provider, gateway, server }
    }
}
