//! Who may pass: every key of a rule, end to end, and what they meet who may not.

mod challenge;
mod refusal;
mod rules;

use crate::support::faults::{Account, IdentityProvider};
use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::provider;
use crate::support::upstream::Upstream;
use crate::support::wire::{answers_to, status};

/// A provider, an application, and a gateway with a route per line: its path and who may pass.
struct House {
    _provider: IdentityProvider,
    upstream: Upstream,
    gateway: Gateway,
}

impl House {
    async fn of(accounts: Vec<Account>, server: &str, routes: &[(&str, &str)]) -> Self {
        let provider = provider::start_for(accounts).await;
        let upstream = Upstream::start().await;
        let routes: String = routes
            .iter()
            .map(|(path, keys)| {
                format!(
                    "  - {{ path: {path}, upstream: \"http://{}\", {keys} }}\n",
                    upstream.address
                )
            })
            .collect();
        let gateway = Gateway::start_with(&format!(
            "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\"{server} }}\n\
             admin: {{ listen: \"off\" }}\n{}routes:\n{routes}",
            provider::section(&provider)
        ));
        Self { _provider: provider, upstream, gateway }
    }

    async fn cookie_of(&self, username: &str) -> String {
        provider::cookie_of(&self.gateway, "company", username).await
    }

    /// `METHOD /target` with these fields is answered with a status; the application hears of it
    /// exactly where that is 200.
    async fn check(&self, fields: &str, request: &str, expected: u16) {
        let before = self.upstream.asked();
        let sent = format!("{request} HTTP/1.1\r\nHost: wiki.localhost\r\n{fields}\r\n");
        let answer = answers_to(&self.gateway, sent).await;
        assert_eq!(status(&answer), expected, "{request} {fields}: {answer}");
        let heard = self.upstream.asked() - before;
        assert_eq!(heard, usize::from(expected == 200), "{request} {fields}");
    }
}
