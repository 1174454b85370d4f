//! A hostile or broken provider, with the real gateway and a browser: the outcome of each fault.
//! Each file is one part of the protocol with a table in it, or a `match` that a new fault does not pass
//! without an arm. What always holds is checked here, for each of them.
//! Source: OIDC Core §3.1.3.7, RFC 6749 §5, RFC 9207 §2.4, RFC 8725, RFC 9700.

mod authorization;
mod browser;
mod discovery;
mod jwks;
mod network;
mod outage;
mod tls;
mod token;
mod token_response;
mod userinfo;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use crate::support::browser::{Answer, Browser};
use crate::support::faults::Fault;
use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::stack::{Builder, Stack};
use crate::support::upstream::Upstream;
use crate::support::wait::Patience;

/// What a browser must see in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The page it wanted, with a session.
    SignedIn,
    /// A page of the gateway with this status, no session, and a log line that names the failed check.
    Failed(u16, &'static str),
}

use Outcome::{Failed, SignedIn};

/// A stack whose provider misbehaves, and sign-ins there.
struct Trials {
    stack: Stack,
    /// A proxy that the gateway would use for everything outside this machine: nothing may ever go there.
    outside: Upstream,
    tries: AtomicUsize,
}

/// A try to sign in.
struct Try {
    browser: Browser,
    /// Where it ended.
    answer: Answer,
}

impl Trials {
    async fn start() -> Self {
        Self::of(Stack::builder()).await
    }

    /// A gateway with a short timeout for requests to its provider, and which has the provider's documents.
    async fn hasty() -> Self {
        let trials = Self::of(Stack::builder().provider_keys(HASTY)).await;
        trials.mend("the start with a short timeout").await;
        trials
    }

    async fn of(builder: Builder) -> Self {
        let outside = Upstream::start().await;
        let stack = builder
            .provider_keys(&format!("proxy: \"http://{}\"", outside.address))
            .server("trusted_proxies: [127.0.0.1/32]")
            .routes([
                "UPSTREAM, allow: authenticated",
                "path: /open, UPSTREAM, allow: public",
                "path: /ours, UPSTREAM, allow: [{ email_domains: [example.com] }]",
            ])
            .start()
            .await;
        Self { stack, outside, tries: AtomicUsize::new(0) }
    }

    /// A browser at a new client address: failures are counted by address.
    fn stranger(&self) -> Browser {
        let number = self.tries.fetch_add(1, Ordering::Relaxed);
        let address = format!("192.0.{}.{}", number / 250, number % 250 + 1);
        let mut browser = self.stack.browser();
        browser.extra.insert("x-forwarded-for", HeaderValue::try_from(address).unwrap());
        browser
    }

    /// Tries to sign in as Alice while the provider misbehaves.
    async fn try_with(&self, faults: &[Fault]) -> Try {
        self.stack.provider.set_faults(faults);
        let before = self.stack.provider.counts();
        let mut browser = self.stranger();
        let answer = timeout(BOUND, self.sign_in(&mut browser)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{faults:?}: no answer within {BOUND:?}"));
        let sent = self.stack.provider.counts().code_exchanges - before.code_exchanges;
        assert!(sent <= 1, "{faults:?}: a code was sent {sent} times");
        Try { browser, answer }
    }

    async fn sign_in(&self, browser: &mut Browser) -> Answer {
        let page = browser.open("/").await;
        if is_ours(&page.url) {
            return page;
        }
        self.check_request(&page.url);
        browser.fill(&page, &[("username", "alice"), ("password", "alice")]).await
    }

    /// Checks what every authorization request must have.
    fn check_request(&self, url: &Url) {
        assert!(url.as_str().starts_with(self.stack.provider.issuer()), "{url}");
        let all = |name| url.query_pairs().filter(move |pair| pair.0 == name).map(|pair| pair.1);
        let one = |name| all(name).collect::<Vec<_>>().join(" twice: ");
        assert_eq!(one("response_type"), "code");
        assert_eq!(one("client_id"), "wiki");
        assert_eq!(one("redirect_uri"), format!("{PUBLIC_URL}/oauth2/callback"));
        assert_eq!(
            (one("code_challenge_method").as_str(), one("code_challenge").len()),
            ("S256", 43)
        );
        for name in ["state", "nonce"] {
            assert!((32..=800).contains(&one(name).len()), "{name} in {url}");
        }
    }

    /// Tries with some faults, says whether the outcome is the one expected, and that the next who signs
    /// in at an honest provider does so at once.
    async fn check(&self, faults: &[Fault], what: &str, expected: Outcome) -> Try {
        let tried = self.hold(faults, what, expected).await;
        let honest = self.try_with(&[]).await;
        self.check_outcome(honest, &format!("honest after {what}"), SignedIn).await;
        tried
    }

    /// The same, where the gateway may take its time to find the provider mended.
    async fn check_and_mend(&self, faults: &[Fault], what: &str, expected: Outcome) -> Try {
        let tried = self.hold(faults, what, expected).await;
        self.mend(what).await;
        tried
    }

    /// Signs in at an honest provider until that works.
    async fn mend(&self, what: &str) {
        let patience = Patience::until(format!("a sign-in works after {what}"));
        while self.try_with(&[]).await.answer.status != 200 {
            patience.pause().await;
        }
    }

    async fn hold(&self, faults: &[Fault], what: &str, expected: Outcome) -> Try {
        let before = self.stack.upstream.request_count();
        let tried = self.try_with(faults).await;
        let tried = self.check_outcome(tried, what, expected).await;
        if expected != SignedIn {
            assert_eq!(
                self.stack.upstream.request_count(),
                before,
                "{what}: the application received a request"
            );
        }
        assert_eq!(
            self.stack.provider.counts().evil,
            0,
            "{what}: something of a fault was fetched"
        );
        assert_eq!(self.outside.request_count(), 0, "{what}: something went elsewhere");
        assert_eq!(self.stack.browser().fetch("/open").await.status, 200, "{what}");
        tried
    }

    async fn check_outcome(&self, mut tried: Try, what: &str, expected: Outcome) -> Try {
        let (answer, has_session) = (&tried.answer, tried.browser.fetch("/").await.status == 200);
        match expected {
            SignedIn => {
                assert_eq!(
                    (answer.status.as_u16(), has_session),
                    (200, true),
                    "{what}: {answer:?}"
                );
                let received = answer.json();
                assert!(received["headers"]["x-injected"].is_null(), "{what}: {received}");
            }
            Failed(status, check) => {
                assert!(!has_session, "{what}: a session");
                assert_eq!(answer.status, status, "{what}: {answer:?}");
                check_page(answer, what);
                check_log(&self.stack.gateway, answer, check);
            }
        }
        tried
    }
}

/// A page of the gateway, in HTML, without any text of the provider.
fn check_page(page: &Answer, what: &str) {
    assert!(is_ours(&page.url), "{what}: {page:?}");
    assert!(page.header("content-type").starts_with("text/html"), "{what}: {page:?}");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{what}");
    assert_eq!(page.header("cache-control"), "no-store", "{what}");
    assert_eq!(page.header("retry-after").is_empty(), page.status != 503, "{what}: {page:?}");
    for theirs in ["<script", "alert(1)", "on demand", "evil.example", "eyJ"] {
        assert!(!page.body.contains(theirs), "{what}: {theirs} in {}", page.body);
    }
}

/// The page's reference leads to a line of the log that names the failed check.
fn check_log(gateway: &Gateway, page: &Answer, check: &str) {
    let (_, rest) = page.body.split_once("Reference <code>").unwrap();
    let (reference, _) = rest.split_once("</code>").unwrap();
    gateway.log_until_all(&[reference, check]);
}

fn is_ours(url: &Url) -> bool {
    url.as_str().starts_with(PUBLIC_URL)
}

/// Runs `case` for every one of `all`, a few at a time.
async fn each<T, F>(all: impl IntoIterator<Item = T>, case: impl Fn(T) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (mut running, places) = (JoinSet::new(), Arc::new(Semaphore::new(AT_A_TIME)));
    for one in all {
        let (case, places) = (case(one), Arc::clone(&places));
        running.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            case.await;
        });
    }
    running.join_all().await;
}

/// More than all deadlines of one sign-in together.
const BOUND: Duration = Duration::from_secs(30);
/// For providers that let us wait. Elsewhere the usual ten seconds outlast any load of the machine.
const HASTY: &str = "timeout: 1s";
const AT_A_TIME: usize = 5;
