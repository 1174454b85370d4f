//! What outlives a configuration.
//! Invariant: an [`App`](super::App) is made of a configuration and this, and nothing here is configured. A second
//! `App` made with the same `Lasting` has the same sessions and used states, the same connections to each target
//! that both name, and what is known of each provider that both name. Names of which no `App` is left are forgotten.

use std::sync::{Arc, OnceLock};

use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::endpoints::auth::ignored_headers::IgnoredHeaders;
use crate::gate::present_rules::PresentRules;
use crate::gate::session_bound::SessionBound;
use crate::login::browser_sessions::BrowserSessions;
use crate::login::sign_in_rounds::SignInRounds;
use crate::login::used_states::UsedStates;
use crate::providers::ProviderStates;
use crate::session::redis::RedisStore;
use crate::session::seal::Root;
use crate::session::table::SessionMaps;
use crate::telemetry::metrics::Metrics;
use crate::upstream::TargetPools;

/// The state of the process that a changed configuration keeps.
#[derive(Debug)]
pub struct Lasting {
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    /// Owns what runs without a request: refreshes, revocations, keeping providers fresh.
    pub(super) tasks: TaskTracker,
    /// All sessions. The refresh under way of each is in the session itself.
    pub(super) sessions: Arc<SessionMaps>,
    /// The server that has the sessions, if the first configuration names one. Another one needs a restart.
    pub(super) store: OnceLock<Arc<RedisStore>>,
    /// Requests that end with their session.
    pub(super) session_bound: Arc<SessionBound>,
    /// The rules in effect.
    pub(super) rules: Arc<PresentRules>,
    /// States whose code was sent.
    pub(super) used_states: Arc<UsedStates>,
    /// Sign-ins of the last minute whose session no page has accepted.
    pub(super) sign_in_rounds: Arc<SignInRounds>,
    /// The sessions that browsers got in the last minutes by a callback with `form_post`.
    pub(super) browser_sessions: Arc<BrowserSessions>,
    /// Headers that declared proxies failed to send. A reload that an operator asks for forgets them.
    pub(super) ignored_headers: IgnoredHeaders,
    /// Encrypts what leaves the process if no `session.secret` is configured.
    pub(super) generated_root: Root,
    /// Metadata, keys, rate limits and circuit breakers of providers.
    pub(super) providers: ProviderStates,
    /// Connections to upstreams, and the limit on them.
    pub(super) upstreams: TargetPools,
}

impl Lasting {
    /// The state of a process that starts, with at most `upstream_connections` connections to upstreams.
    pub fn new(clock: &Clock, metrics: &Arc<Metrics>, upstream_connections: usize) -> Self {
        Self {
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
            tasks: TaskTracker::new(),
            sessions: Arc::new(SessionMaps::new(clock.clone())),
            store: OnceLock::new(),
            session_bound: Arc::default(),
            rules: Arc::default(),
            used_states: Arc::default(),
            sign_in_rounds: Arc::default(),
            browser_sessions: Arc::default(),
            ignored_headers: IgnoredHeaders::default(),
            generated_root: Root::generate(),
            providers: ProviderStates::new(clock, metrics),
            upstreams: TargetPools::new(upstream_connections),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use http::header::{COOKIE, LOCATION, SET_COOKIE};
    use http::{HeaderMap, Request};
    use serde_json::json;
    use url::Url;

    use super::*;
    use crate::app::App;
    use crate::body::Body;
    use crate::config::{HostEnv, load};
    use crate::oauth::loopback::{Loopback, Reply};
    use crate::server::{ClientInfo, Handler as _, Incoming, Scheme};
    use crate::session::SessionKey;
    use crate::session::tests::session_at;
    use crate::telemetry::metrics::Gauges;

    const CONFIG: &str = r#"
server: { public_url: https://wiki.example }
providers: { company: { issuer: ISSUER, client_id: wiki, client_secret: s } }
session: { idle_timeout: 1h }
routes: [{ upstream: "http://127.0.0.1:1", allow: authenticated }]
"#;

    struct Process {
        lasting: Lasting,
        provider: Loopback,
    }

    impl Process {
        async fn start() -> Self {
            let provider = Loopback::start(|base, seen| {
                let at = |path| base.join(path).unwrap();
                let metadata = json!({
                    "issuer": base.as_str().trim_end_matches('/'), "jwks_uri": at("jwks"),
                    "authorization_endpoint": at("auth"), "token_endpoint": at("token"),
                });
                match seen.path.as_str() {
                    "/token" => Reply::json(400, &json!({"error": "invalid_grant"})),
                    "/jwks" => Reply::json(200, &json!({"keys": []})),
                    _ => Reply::json(200, &metadata),
                }
            })
            .await;
            let lasting = Lasting::new(&Clock::manual(), &Arc::default(), usize::MAX);
            Self { lasting, provider }
        }

        /// An app of the configuration with this change.
        fn app(&self, from: &str, to: &str) -> App {
            let text = CONFIG.replace("ISSUER", &self.provider.issuer()).replace(from, to);
            let source = HostEnv::fixed([("a.yaml".into(), text.into_bytes())], []);
            let (config, _) = load(Path::new("a.yaml"), &source).unwrap();
            App::new(&config, &self.lasting).unwrap()
        }
    }

    impl Process {
        /// Adds a session of the app's provider, and returns its key.
        fn sign_in(&self, app: &App) -> SessionKey {
            let provider = app.party.providers().all()[0].fingerprint();
            let now = self.lasting.clock.moment();
            let session = session_at(provider, "alice", 9000, None, now);
            let key = session.key();
            app.party.sessions().table().insert(Arc::new(session));
            key
        }
    }

    /// The fields of a response.
    async fn get(app: &App, target: &str, cookie: &str) -> HeaderMap {
        let request = Request::get(target).header(COOKIE, cookie).body(Body::empty()).unwrap();
        let client =
            ClientInfo::direct("192.0.2.1".parse().unwrap(), Scheme::Https, "wiki.example");
        let client = Arc::new(client.sending(&request));
        let incoming = Incoming { request: Box::new(request), client: Arc::clone(&client) };
        app.metrics.request_began();
        let answer = app.handle(incoming).await.response.into_parts().0;
        app.metrics.request_ended(client.route(), answer.status.as_u16(), Duration::ZERO);
        answer.headers
    }

    #[tokio::test]
    async fn second_app_has_the_sessions_under_its_own_limits() {
        let process = Process::start().await;
        let (first, second) = (process.app("", ""), process.app("1h", "2h"));
        let key = process.sign_in(&first);
        assert!(second.party.sessions().table().find(key).is_some());
        process.lasting.clock.advance(Duration::from_secs(3600));
        assert!(
            first.party.sessions().len() == 1
                && second.party.sessions().table().find(key).is_none()
        );
        assert!(first.party.sessions().is_empty());
    }

    #[tokio::test]
    async fn lifetime_that_becomes_shorter_counts_from_the_sign_in() {
        let process = Process::start().await;
        let first = process.app("idle_timeout: 1h", "lifetime: 2h");
        let key = process.sign_in(&first);
        process.lasting.clock.advance(Duration::from_secs(1800));
        assert!(first.party.sessions().table().find(key).is_some());
        let second = process.app("idle_timeout: 1h", "lifetime: 30m");
        assert!(second.party.sessions().table().find(key).is_none());
    }

    #[tokio::test]
    async fn session_ends_if_its_provider_is_gone_or_another() {
        let process = Process::start().await;
        let first = process.app("", "");
        for (from, to) in [("client_id: wiki", "client_id: other"), ("company: {", "other: {")] {
            let key = process.sign_in(&first);
            let changed = process.app(from, to);
            assert!(first.party.sessions().table().find(key).is_some(), "{to}");
            assert!(changed.party.sessions().table().find(key).is_none(), "{to}");
            assert!(first.party.sessions().table().find(key).is_none(), "{to}");
        }
        let key = process.sign_in(&first);
        let same = process.app("client_secret: s", "client_secret: rotated, name: Other");
        assert!(same.party.sessions().table().find(key).is_some());
    }

    #[tokio::test]
    async fn second_app_has_the_connections_to_a_target_that_both_name() {
        let process = Process::start().await;
        let targets = || process.lasting.upstreams.connections().count();
        let first = process.app("", "");
        let second = process.app("authenticated }", "authenticated, timeouts: { idle: 1m } }");
        assert_eq!(targets(), 1);
        let third = process.app("127.0.0.1:1", "127.0.0.1:2");
        assert_eq!(targets(), 2);
        drop((first, second));
        assert_eq!(targets(), 1);
        drop(third);
        assert_eq!(targets(), 0);
    }

    #[tokio::test]
    async fn second_app_knows_a_provider_with_the_same_fingerprint() {
        let process = Process::start().await;
        let discoveries = || process.provider.seen("/.well-known/openid-configuration").len();
        let first = process.app("", "");
        get(&first, "/oauth2/start", "").await;
        assert_eq!(discoveries(), 1);
        let same = process.app("client_secret: s", "client_secret: rotated");
        assert!(get(&same, "/oauth2/start", "").await.contains_key(LOCATION));
        assert_eq!(discoveries(), 1);
        get(&process.app("client_id: wiki", "client_id: other"), "/oauth2/start", "").await;
        assert_eq!(discoveries(), 2);
    }

    #[tokio::test]
    async fn counters_of_a_name_continue_in_the_second_app_and_end_with_the_last() {
        let process = Process::start().await;
        let scrape = || process.lasting.metrics.exposition(Gauges::default()).unwrap();
        let challenged = |route: &str| -> Option<u64> {
            let series = format!("portcullis_requests_total{{route=\"{route}\",status=\"4xx\"}} ");
            scrape().lines().find_map(|line| line.strip_prefix(&series)?.parse().ok())
        };
        let first =
            process.app("[{", "[{ name: blog, path: /blog, allow: authenticated }, { name: wiki,");
        get(&first, "/", "").await;
        get(&first, "/blog", "").await;
        let second = process.app("[{", "[{ name: wiki,");
        drop(first);
        assert_eq!((challenged("wiki"), challenged("blog")), (Some(1), None));
        get(&second, "/", "").await;
        assert_eq!(challenged("wiki"), Some(2));
        assert!(scrape().contains("provider=\"company\""));
        drop(second);
        assert!(!scrape().contains("wiki") && !scrape().contains("company"));
    }

    #[tokio::test]
    async fn state_of_the_first_app_is_good_once_for_all_apps() {
        let process = Process::start().await;
        let (first, second) = (process.app("", ""), process.app("1h", "2h"));
        let started = get(&first, "/oauth2/start", "").await;
        let location = Url::parse(started[LOCATION].to_str().unwrap()).unwrap();
        let (_, state) = location.query_pairs().find(|(name, _)| name == "state").unwrap();
        let callback = format!("/oauth2/callback?code=c&state={state}");
        let cookie = started[SET_COOKIE].to_str().unwrap().split(';').next().unwrap();
        for app in [&second, &first] {
            get(app, &callback, cookie).await;
            assert_eq!(process.provider.seen("/token").len(), 1);
        }
    }
}
