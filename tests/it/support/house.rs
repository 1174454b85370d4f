//! A house with three doors: a provider, an application, and the gateway between them.

use std::time::Duration;

use super::browser::Browser;
use super::faults::IdentityProvider;
use super::gateway::{Gateway, PUBLIC_URL};
use super::provider;
use super::upstream::Upstream;

/// `/open` is for anyone, `/staff` for staff, and the rest for whoever is signed in.
pub(crate) struct House {
    pub(crate) provider: IdentityProvider,
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Gateway,
}

impl House {
    /// A gateway that everybody reaches by themselves.
    pub(crate) async fn start() -> Self {
        Self::with("[]").await
    }

    /// A gateway that believes `trusted_proxies`.
    pub(crate) async fn with(trusted_proxies: &str) -> Self {
        let provider = provider::start(Duration::from_secs(60)).await;
        let upstream = Upstream::start().await;
        let to = format!("upstream: \"http://{}\"", upstream.address);
        let gateway = Gateway::start_with(&format!(
            "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\", \
             trusted_proxies: {trusted_proxies} }}\nadmin: {{ listen: \"off\" }}\n\
             {}routes:\n  - {{ {to}, allow: authenticated }}\n  \
             - {{ path: /open, {to}, allow: public }}\n  \
             - {{ path: /staff, {to}, allow: [{{ groups: [staff] }}] }}\n",
            provider::section(&provider)
        ));
        Self { provider, upstream, gateway }
    }

    /// Signs somebody in, by the front door.
    pub(crate) async fn browser_of(&self, username: &str) -> Browser {
        let mut browser = Browser::new(&self.gateway);
        let answer = provider::sign_in(&mut browser, "/", username).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        browser
    }

    /// A `Cookie` field of somebody who is signed in.
    pub(crate) async fn cookie_of(&self, username: &str) -> String {
        provider::cookie_of(&self.gateway, "company", username).await
    }
}
