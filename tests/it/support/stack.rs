//! The usual setup of a test: an identity provider, an application, and the gateway between them.
//! Invariant: the gateway is the real binary; a test writes only the keys of its configuration that matter to it.

use std::net::SocketAddr;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::Clock;
use serde_json::Value;

use super::browser::Browser;
use super::faults::{Account, Fault, IdentityProvider, RefreshTokens, Settings};
use super::gateway::{Gateway, PUBLIC_URL};
use super::provider;
use super::upstream::Upstream;
use super::wire::{Peer, answers_to, request, status};

/// A running provider, application and gateway. The application is an [`Upstream`] unless a test brings its own.
pub(crate) struct Stack<A = Upstream> {
    pub(crate) provider: Arc<IdentityProvider>,
    pub(crate) upstream: A,
    pub(crate) gateway: Gateway,
    configuration: String,
}

/// What a test wants of a [`Stack`] before it starts.
pub(crate) struct Builder {
    provider: Option<Arc<IdentityProvider>>,
    settings: Settings,
    faults: Vec<Fault>,
    provider_keys: Vec<String>,
    more_providers: String,
    server: Vec<String>,
    admin: &'static str,
    sections: String,
    routes: String,
}

/// Something that a route can forward to.
pub(crate) trait Application {
    fn address(&self) -> SocketAddr;
}

impl Application for Upstream {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Application for Peer {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Application for SocketAddr {
    fn address(&self) -> SocketAddr {
        *self
    }
}

impl Builder {
    /// Lets these accounts sign in at the provider, in place of `alice`, `bob` and `carol`.
    pub(crate) fn accounts(mut self, accounts: Vec<Account>) -> Self {
        self.settings.accounts = accounts;
        self
    }

    /// How long an access token is valid, in place of a minute.
    pub(crate) fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.access_token_lifetime = lifetime;
        self
    }

    /// How refresh tokens behave, in place of [`RefreshTokens::RotatingStrictly`].
    pub(crate) fn refresh_tokens(mut self, behaviour: RefreshTokens) -> Self {
        self.settings.refresh_tokens = behaviour;
        self
    }

    /// Makes the provider misbehave from the first request on.
    pub(crate) fn faults(mut self, faults: &[Fault]) -> Self {
        self.faults = faults.to_vec();
        self
    }

    /// Uses a provider that runs already, in place of one with the settings above.
    pub(crate) fn provider(mut self, provider: impl Into<Arc<IdentityProvider>>) -> Self {
        self.provider = Some(provider.into());
        self
    }

    /// Adds keys to the section of the provider, such as `timeout: 1s`.
    pub(crate) fn provider_keys(mut self, keys: &str) -> Self {
        self.provider_keys.push(keys.to_owned());
        self
    }

    /// Adds a second provider, as [`provider::entry`] writes it.
    pub(crate) fn second_provider(mut self, entry: &str) -> Self {
        self.more_providers.push_str(entry);
        self
    }

    /// Adds keys to the section `server`, such as `trusted_proxies: [127.0.0.1]`.
    pub(crate) fn server(mut self, keys: &str) -> Self {
        self.server.push(keys.to_owned());
        self
    }

    /// Opens the admin listener, which is off otherwise.
    pub(crate) fn admin(mut self) -> Self {
        self.admin = "127.0.0.1:0";
        self
    }

    /// Adds whole sections, such as `session: { lifetime: 1h }`.
    pub(crate) fn sections(mut self, yaml: &str) -> Self {
        self.sections.push_str(yaml.trim_end());
        self.sections.push('\n');
        self
    }

    /// Replaces the routes. Each is a list of keys; `UPSTREAM` stands for the key of that name with the address of
    /// the application.
    pub(crate) fn routes(mut self, routes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let items = routes.into_iter().map(|keys| format!("  - {{ {} }}\n", keys.as_ref()));
        self.routes = items.collect();
        self
    }

    /// Starts all three, with an application that records what it receives.
    pub(crate) async fn start(self) -> Stack {
        self.start_with(Upstream::start().await).await
    }

    /// Starts the provider and the gateway in front of an application that runs already.
    pub(crate) async fn start_with<A: Application>(self, upstream: A) -> Stack<A> {
        let provider = self.start_provider(Clock::system()).await;
        let configuration = self.configuration(provider.issuer(), upstream.address());
        let gateway = Gateway::start_with(&configuration);
        Stack { provider, upstream, gateway, configuration }
    }

    pub(super) async fn start_provider(&self, clock: Clock) -> Arc<IdentityProvider> {
        if let Some(running) = &self.provider {
            return Arc::clone(running);
        }
        let provider = IdentityProvider::start(self.settings.clone(), clock).await.unwrap();
        provider.set_faults(&self.faults);
        Arc::new(provider)
    }

    /// The configuration file.
    pub(crate) fn configuration(&self, issuer: &str, upstream: SocketAddr) -> String {
        let Self { admin, sections, more_providers, .. } = self;
        let server = self.server.join(", ");
        let providers = provider::section_with(issuer, &self.provider_keys.join(", "));
        let routes = self.routes.replace("UPSTREAM", &format!("upstream: \"http://{upstream}\""));
        format!(
            "server: {{ {server} }}\n\
             admin: {{ listen: \"{admin}\" }}\n{providers}{more_providers}{sections}routes:\n{routes}"
        )
    }
}

impl Stack {
    /// An honest provider, and three routes: `/` for signed-in users, `/open` for everyone, `/staff` for staff.
    pub(crate) fn builder() -> Builder {
        let builder = Builder {
            provider: None,
            settings: provider::settings(),
            faults: Vec::new(),
            provider_keys: Vec::new(),
            more_providers: String::new(),
            server: vec![
                "listen: \"127.0.0.1:0\"".to_owned(),
                format!("public_url: \"{PUBLIC_URL}\""),
            ],
            admin: "off",
            sections: String::new(),
            routes: String::new(),
        };
        builder.routes([
            "UPSTREAM, allow: authenticated",
            "path: /open, UPSTREAM, allow: public",
            "path: /staff, UPSTREAM, allow: [{ groups: [staff] }]",
        ])
    }

    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    /// Signs in by the sign-in page, at `/`.
    pub(crate) async fn browser_of(&self, username: &str) -> Browser {
        let mut browser = self.browser();
        let answer = provider::sign_in(&mut browser, "/", username).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        browser
    }

    /// Sends a GET that must be allowed, and returns the request that the application received.
    pub(crate) async fn received(&self, target: &str, fields: &str) -> Value {
        let answer = self.answer(&format!("GET {target}"), fields).await;
        assert_eq!(status(&answer), 200, "{target} {fields}: {answer}");
        self.upstream.seen().pop().unwrap()
    }
}

impl<A> Stack<A> {
    /// A browser without cookies.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(&self.gateway)
    }

    /// The `Cookie` field of a user who has just signed in.
    pub(crate) async fn cookie_of(&self, username: &str) -> String {
        self.cookie_from("company", username).await
    }

    /// The same for a user of a certain provider.
    pub(crate) async fn cookie_from(&self, provider: &str, username: &str) -> String {
        provider::cookie_of(&self.gateway, provider, username).await
    }

    /// The answer to a request: `line` is its method and target, `fields` its fields after `Host`.
    pub(crate) async fn answer(&self, line: &str, fields: &str) -> String {
        answers_to(&self.gateway, request(line, fields)).await
    }

    /// How many authorization codes the gateway has sent to the provider.
    pub(crate) fn codes_sent(&self) -> usize {
        self.provider.counts().code_exchanges
    }

    /// The configuration of the gateway at its start.
    pub(crate) fn configuration(&self) -> &str {
        &self.configuration
    }

    /// Ends the gateway by this signal, and starts it again. Returns how it ended, too.
    pub(crate) fn restarted(self, signal: &str) -> (Self, ExitStatus) {
        self.restarted_by(signal, Gateway::command())
    }

    /// The same by a command, to which the arguments of the gateway are added.
    pub(crate) fn restarted_by(self, signal: &str, command: Command) -> (Self, ExitStatus) {
        self.gateway.signal(signal);
        let ended = self.gateway.wait();
        let gateway = Gateway::start_by(command, &self.configuration);
        (Self { gateway, ..self }, ended)
    }

    /// Starts another gateway with the same configuration.
    pub(crate) fn second_gateway(&self) -> Gateway {
        Gateway::start_with(&self.configuration)
    }
}
