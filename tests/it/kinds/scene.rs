//! A gateway with one provider of some kind, and an application behind it.

use std::time::Duration;

use http::HeaderValue;
use portcullis::clock::Clock;
use serde_json::Value;

use super::row::Row;
use crate::support::browser::{Answer, Browser};
use crate::support::clocked::ClockedGateway;
use crate::support::kinds::client::{CLIENT_ID, client_key, service_account_file};
use crate::support::kinds::engine::Engine;
use crate::support::stack::Application as _;
use crate::support::upstream::Upstream;

/// All of them, on one clock.
pub(super) struct Scene {
    pub(super) engine: Engine,
    public_url: &'static str,
    clock: Clock,
    upstream: Upstream,
    gateway: ClockedGateway,
}

impl Scene {
    /// A gateway with this kind. Routes: `/` for every user, `/staff` for those of the first group, `/mail` for those
    /// with the address, `/other` for a group that the user does not have.
    pub(super) async fn of(row: &Row) -> Self {
        Self::varied(row, &[]).await
    }

    /// The same at a provider that is as these variants of its data say.
    pub(super) async fn varied(row: &Row, variants: &[&str]) -> Self {
        let keys = format!("kind: {}, {}, {}", row.kind, row.credentials, row.keys);
        Self::with(row, row.kind, &keys, variants).await
    }

    /// The same with other keys of the provider, at the provider of another data file.
    pub(super) async fn with(row: &Row, at: &str, keys: &str, variants: &[&str]) -> Self {
        let clock = Clock::manual();
        let (engine, upstream) = (Engine::start(at, &clock).await, Upstream::start().await);
        engine.becomes(variants);
        let keys = keys.replace("ORIGIN", engine.origin());
        let route = format!("upstream: \"http://{}\"", upstream.address());
        let group = row.groups.and_then(|groups| groups.split(',').next()).unwrap_or("none");
        let email = row.email.unwrap_or("none@example.com");
        let yaml = format!(
            "server: {{ listen: \"127.0.0.1:0\", public_url: \"{}\", trusted_proxies: [127.0.0.1] }}\n\
             admin: {{ listen: \"off\" }}\n\
             session: {{ outage_grace: {}s, lifetime: 90d{} }}\n{}\
             providers: {{ company: {{ client_id: {CLIENT_ID}, {keys} }} }}\n\
             routes:\n\
             \x20 - {{ {route}, allow: authenticated }}\n\
             \x20 - {{ path: /staff, {route}, allow: [{{ groups: [\"{group}\"] }}] }}\n\
             \x20 - {{ path: /other, {route}, allow: [{{ groups: [no-such-group] }}] }}\n\
             \x20 - {{ path: /mail, {route}, allow: [{{ emails: [\"{email}\"] }}] }}\n",
            row.public_url,
            OUTAGE_GRACE.as_secs(),
            row.session,
            row.sections
        );
        let account = service_account_file(engine.origin());
        let files = [("/etc/client_key.pem", client_key()), ("/etc/account.json", &account)];
        let gateway = ClockedGateway::start(&yaml, &files, &clock).await;
        Self { engine, public_url: row.public_url, clock, upstream, gateway }
    }

    /// A browser without cookies, behind a proxy that speaks TLS where the gateway's users do.
    pub(super) fn browser(&self) -> Browser {
        let mut browser = Browser::at(self.gateway.address);
        if self.public_url.starts_with("https:") {
            browser.extra.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        }
        browser
    }

    /// The URL of a path of the gateway.
    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    /// Opens a page and signs in on the way, and tells where that ended.
    pub(super) async fn sign_in(&self) -> (Browser, Answer) {
        let mut browser = self.browser();
        let mut answer = browser.open(&self.at("/")).await;
        if answer.url.as_str().starts_with(self.engine.origin()) && answer.body.contains("<form") {
            // The provider's page submits its form by itself, from another site.
            let before = browser.extra.clone();
            browser.extra.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
            let origin = HeaderValue::try_from(self.engine.origin()).unwrap();
            browser.extra.insert("origin", origin);
            let (action, fields) = answer.form();
            let fields: Vec<_> = fields.iter().map(|(a, b)| (&**a, &**b)).collect();
            answer = browser.submit(action.as_str(), &fields).await;
            browser.extra = before;
            while let Some(next) = answer.redirect() {
                answer = browser.navigate(next.as_str()).await;
            }
        }
        (browser, answer)
    }

    /// A browser that has signed in, which must succeed.
    pub(super) async fn signed_in(&self) -> Browser {
        let (browser, answer) = self.sign_in().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        browser
    }

    /// The status of a path.
    pub(super) async fn status(&self, browser: &mut Browser, path: &str) -> u16 {
        browser.fetch(&self.at(path)).await.status.as_u16()
    }

    /// The header fields of a request that the application received.
    pub(super) async fn received(&self, browser: &mut Browser) -> Value {
        let answer = browser.fetch(&self.at("/")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["headers"].clone()
    }

    /// How many requests the application has received.
    pub(super) fn request_count(&self) -> usize {
        self.upstream.request_count()
    }

    /// Advances the clock until every access token has expired.
    pub(super) fn expire(&self) {
        self.advance(self.engine.token_lifetime());
    }

    pub(super) fn advance(&self, by: Duration) {
        self.clock.advance(by + Duration::from_secs(1));
    }
}

/// How long a session lives while its provider fails. No token lives as long.
pub(super) const OUTAGE_GRACE: Duration = Duration::from_secs(6 * 24 * 3600);
