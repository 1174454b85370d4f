//! Two instances of the gateway with their sessions in one Redis, each behind a network of its own.
//! Invariant: a test waits for answers, and an answer after its bound fails it.

mod ends;
mod errors;
mod outage;
mod records;
mod refresh;
mod sessions;
mod stored;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::component::link::{Link, LinkFault};
use crate::component::redis::{RealRedis, RedisKind, RedisOptions};
use crate::support::browser::{Answer, Browser};
use crate::support::faults::IdentityProvider;
use crate::support::gateway::Gateway;
use crate::support::provider;
use crate::support::stack::{Application, Builder, Stack};
use crate::support::upstream::Upstream;
use crate::support::wait::Patience;
use crate::support::wire::{Wire, request};

/// Two instances, and what they stand between.
struct Pair<A = Upstream> {
    redis: RealRedis,
    provider: Arc<IdentityProvider>,
    application: A,
    first: Instance,
    second: Instance,
}

/// One instance, and its network to Redis.
struct Instance {
    gateway: Gateway,
    link: Link,
    configuration: String,
}

impl Pair {
    /// With the routes of [`Stack::builder`].
    async fn start() -> Self {
        Self::with(Stack::builder(), "").await
    }

    /// The same after more settings, and with more keys of the section `session`, each behind a comma.
    async fn with(builder: Builder, session: &str) -> Self {
        Self::in_front_of(Upstream::start().await, builder, session).await
    }
}

impl<A: Application> Pair<A> {
    async fn in_front_of(application: A, builder: Builder, session: &str) -> Self {
        let redis = durable_redis().await;
        let links = [Link::to(redis.address()).await, Link::to(redis.address()).await];
        let builder = builder.admin().sections(&sessions_in(&links[0], session));
        let stack = builder.start_with(application).await;
        let configuration = stack.configuration().to_owned();
        let Stack { provider, upstream, gateway, .. } = stack;
        let [link, other] = links;
        let addresses = [&link, &other].map(|link| link.address.to_string());
        let first = Instance { gateway, link, configuration };
        let configuration = first.configuration.replace(&addresses[0], &addresses[1]);
        let gateway = Gateway::start_with(&configuration);
        let second = Instance { gateway, link: other, configuration };
        let pair = Self { redis, provider, application: upstream, first, second };
        for instance in pair.instances() {
            instance.ready("ready\n").await;
        }
        pair
    }

    fn instances(&self) -> [&Instance; 2] {
        [&self.first, &self.second]
    }

    /// Waits until the instances ask Redis for nothing.
    async fn is_quiet(&self) {
        const COMMANDS: [&str; 5] = ["get", "pexpire", "zadd", "exists", "pttl"];
        let (patience, mut counts) = (Patience::until("Redis has nothing to do"), Vec::new());
        while !counts.ends_with(&[counts.last().copied().unwrap_or(0); 10]) {
            patience.pause().await;
            counts.push(stored::count(&self.redis, &COMMANDS));
        }
    }

    /// The same fault in both networks.
    fn set(&self, fault: LinkFault) {
        for instance in self.instances() {
            instance.link.set(fault);
        }
    }
}

impl Instance {
    /// Signs in here.
    async fn browser_of(&self, username: &str) -> Browser {
        let mut browser = Browser::new(&self.gateway);
        let answer = provider::sign_in(&mut browser, "/", username).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        browser
    }

    /// What a script of this browser gets here.
    async fn fetch(&self, browser: &Browser, path: &str) -> Answer {
        let mut browser = browser.clone();
        browser.moved_to(&self.gateway);
        browser.fetch(path).await
    }

    /// What this browser gets here when a person opens an address.
    async fn navigate(&self, browser: &Browser, path: &str) -> Answer {
        let mut browser = browser.clone();
        browser.moved_to(&self.gateway);
        browser.navigate(path).await
    }

    /// The status of the protected page for a script of this browser.
    async fn status(&self, browser: &Browser) -> u16 {
        self.fetch(browser, "/").await.status.as_u16()
    }

    /// Waits until that is `status`, and was one of `before` till then; within `limit`. Returns how long it took.
    async fn becomes(
        &self,
        status: u16,
        before: &[u16],
        browser: &Browser,
        limit: Duration,
    ) -> Duration {
        let (began, patience) = (Instant::now(), Patience::until(format!("{status} is answered")));
        loop {
            let (asked, answer) = (began.elapsed(), self.fetch(browser, "/").await);
            if answer.status == status {
                return asked;
            }
            assert!(before.contains(&answer.status.as_u16()), "instead of {status}: {answer:?}");
            assert!(asked < limit, "after {asked:?} still: {answer:?}");
            patience.pause().await;
        }
    }

    /// Waits until this session has ended here, within `limit`.
    async fn ends(&self, browser: &Browser, limit: Duration) {
        self.becomes(401, &[200], browser, limit).await;
    }

    /// Opens a connection that asks for an endless answer of this session.
    async fn open(&self, browser: &Browser, line: &str, fields: &str) -> Wire {
        let mut wire = Wire::to(&self.gateway).await;
        let cookie = browser.cookie("/", "portcullis").unwrap();
        wire.say(request(line, &format!("Cookie: portcullis={cookie}\r\n{fields}"))).await;
        wire
    }

    async fn ready(&self, says: &str) {
        crate::support::operator::ready(&self.gateway, says).await;
    }

    /// `/readyz`.
    async fn readiness(&self) -> Answer {
        crate::support::operator::ask(&self.gateway, "/readyz").await
    }

    /// Ends it, and starts it again with its configuration after this change.
    fn restarted(self, from: &str, to: &str) -> Self {
        let configuration = self.configuration.replace(from, to);
        assert!(self.gateway.stop().success());
        Self { gateway: Gateway::start_with(&configuration), configuration, ..self }
    }
}

/// A server that keeps its data over a crash.
async fn durable_redis() -> RealRedis {
    let lines = vec!["appendonly yes", "appendfsync no", "maxmemory-policy noeviction"];
    RealRedis::start(RedisKind::Redis, RedisOptions { lines, ..RedisOptions::default() }).await
}

/// The section `session` of an instance behind this network.
fn sessions_in(link: &Link, keys: &str) -> String {
    format!(
        "session: {{ secret: {SECRET}, store: {{ redis: {{ url: \"redis://{}\", outage_cache: 2s }} }}{keys} }}",
        link.address
    )
}

/// A browser signs out where it is, which is confirmed.
async fn sign_out(browser: &mut Browser) {
    let answer = browser.navigate("/oauth2/sign_out").await;
    assert_eq!(answer.status, 302, "{answer:?}");
    assert_eq!(browser.cookie("/", "portcullis"), None);
}

/// The answer while a session cannot be looked up. It takes no cookie away.
fn assert_cannot_be_looked_up(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("set-cookie"), "", "{answer:?}");
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The bound of an end where nothing is wrong.
const A_SECOND: Duration = Duration::from_secs(1);
/// `outage_cache` of these instances.
const OUTAGE_CACHE: Duration = Duration::from_secs(2);
/// More than it takes to connect again, and to look once more.
const RECOVERY: Duration = Duration::from_secs(5);
