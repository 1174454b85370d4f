//! A server with an application behind it, and the gateway to which it sends auth subrequests.

use std::sync::Arc;
use std::time::Duration;

use crate::component::{Server, Site};
use crate::support::browser::Browser;
use crate::support::faults::IdentityProvider;
use crate::support::gateway::Gateway;
use crate::support::provider;
use crate::support::stack::{Application, Stack};
use crate::support::upstream::Upstream;

pub(crate) const A_MINUTE: Duration = Duration::from_secs(60);

/// How the gateway's configuration declares the server.
#[derive(Clone, Copy)]
pub(crate) enum Declared {
    /// As a trusted proxy and a client of the auth endpoints, which are on the public listener.
    Shared,
    /// The same, with the auth endpoints on a listener of their own.
    Apart,
    /// As a client only.
    NotTrusted,
    /// As a trusted proxy only.
    NoClient,
}

impl Declared {
    /// Keys of the section `server`.
    fn keys(self, proxy: &str) -> String {
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

/// A [`Stack`] with a server in front.
pub(crate) struct Deployment<A = Upstream> {
    pub(crate) provider: Arc<IdentityProvider>,
    pub(crate) upstream: A,
    pub(crate) gateway: Gateway,
    pub(crate) server: Server,
}

/// No route has an upstream: the server forwards by itself.
const ROUTES: [&str; 8] = [
    "allow: authenticated",
    "path: /open, allow: public",
    "path: /staff, allow: [{ groups: [staff] }]",
    "path: /gets, allow: [{ methods: [GET] }]",
    "path: /preflight, allow: [{ public: true, methods: [OPTIONS] }, { groups: [staff] }]",
    "path: /near, allow: [{ public: true, client_addresses: [127.0.0.2/32] }, { groups: [staff] }]",
    "path: /inside, allow: [{ public: true, client_addresses: [10.0.0.0/8] }, { groups: [staff] }]",
    "host: status.localhost, allow: public",
];

impl Deployment {
    /// A server that `start` starts, declared as a `proxy` of that kind.
    pub(crate) async fn start(
        proxy: &str,
        declared: Declared,
        start: impl AsyncFnOnce(&Site) -> Server,
    ) -> Self {
        Self::with_tokens_for(A_MINUTE, proxy, declared, start).await
    }

    /// The same, where access tokens are valid for this long.
    pub(crate) async fn with_tokens_for(
        lifetime: Duration,
        proxy: &str,
        declared: Declared,
        start: impl AsyncFnOnce(&Site) -> Server,
    ) -> Self {
        Self::in_front_of(Upstream::start().await, lifetime, proxy, declared, start).await
    }

    /// The browser of a user who has signed in.
    pub(crate) async fn member(&self, username: &str) -> Browser {
        let mut browser = self.server.browser();
        let answer = provider::sign_in(&mut browser, "/page", username).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        browser
    }
}

impl<A: Application> Deployment<A> {
    pub(crate) async fn in_front_of(
        application: A,
        token_lifetime: Duration,
        proxy: &str,
        declared: Declared,
        start: impl AsyncFnOnce(&Site) -> Server,
    ) -> Self {
        let builder = Stack::builder().token_lifetime(token_lifetime).routes(ROUTES);
        let stack = builder.server(&declared.keys(proxy)).start_with(application).await;
        let auth = match declared {
            Declared::Apart => stack.gateway.address_of("forward auth listening"),
            Declared::Shared | Declared::NotTrusted | Declared::NoClient => stack.gateway.address,
        };
        let (gateway, application) = (stack.gateway.address, stack.upstream.address());
        let server = start(&Site { gateway, auth, application }).await;
        let Stack { provider, upstream, gateway, .. } = stack;
        Self { provider, upstream, gateway, server }
    }
}
