//! Limits of sign-ins per client address: junk codes, many at a time, or clients that leave early do not affect the
//! sign-ins of others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderValue;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

use crate::support::browser::{Answer, Browser, Door};
use crate::support::clocked::Clocked;
use crate::support::faults::{Fault, GrantType, TokenAnswer, TokenFault};
use crate::support::gateway::PUBLIC_URL;
use crate::support::operator::{until, value};
use crate::support::provider::{self, callback, junk_callback};
use crate::support::stack::{Builder, Stack};
use crate::support::upstream::Upstream;
use crate::support::wait;
use crate::support::wire::{Wire, field};

/// A stack whose gateway trusts a proxy on loopback, and has an admin listener.
fn builder() -> Builder {
    Stack::builder().server("trusted_proxies: [127.0.0.1/32]").admin()
}

impl Stack {
    /// A browser at this address.
    fn at(&self, address: &str) -> Browser {
        from(self.browser(), address)
    }

    /// Waits until this many codes have come to the provider.
    async fn codes(&self, count: usize) {
        wait::until(&format!("{count} codes are sent"), async || self.codes_sent() >= count).await;
    }

    /// Callbacks of as many browsers at one address, each at its last step before it is signed in.
    async fn callbacks(&self, address: &str, count: usize) -> Vec<(Browser, Url)> {
        let mut ready = Vec::new();
        for _ in 0..count {
            let mut browser = self.at(address);
            let callback = callback(&mut browser, "/", "alice").await;
            ready.push((browser, callback));
        }
        ready
    }
}

fn from(mut browser: Browser, address: &str) -> Browser {
    browser.extra.insert("x-forwarded-for", HeaderValue::try_from(address).unwrap());
    browser
}

fn open_all(callbacks: Vec<(Browser, Url)>) -> JoinSet<Answer> {
    let mut opening = JoinSet::new();
    for (mut browser, callback) in callbacks {
        opening.spawn(async move { browser.navigate(callback.as_str()).await });
    }
    opening
}

/// Sends junk from one address over many connections, while others sign in and a session is refreshed.
async fn others_sign_in_and_refresh_during_junk(faults: &[Fault], expected: &[u16]) {
    const PEOPLE: usize = 20;
    let stack = Arc::new(builder().token_lifetime(Duration::from_secs(1)).start().await);
    let mut member = stack.at("198.51.100.1");
    assert_eq!(provider::sign_in(&mut member, "/", "alice").await.status, 200);
    stack.provider.set_faults(faults);
    let over = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let mut attack = JoinSet::new();
    for _ in 0..100 {
        let (stack, over) = (Arc::clone(&stack), Arc::clone(&over));
        attack.spawn(async move {
            let mut statuses = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let mut mallory = stack.at("192.0.2.1");
                let junk = junk_callback(&mut mallory).await;
                statuses.push(mallory.navigate(junk.as_str()).await.status.as_u16());
            }
            statuses
        });
    }
    stack.codes(1 + 5).await;
    for number in 0..PEOPLE {
        let mut browser = stack.at(&format!("203.0.113.{number}"));
        let arrived = provider::sign_in(&mut browser, "/", "bob").await;
        assert_eq!(arrived.status, 200, "{number}: {arrived:?}");
    }
    let refreshes = stack.provider.counts().refreshes;
    wait::until("the session is refreshed", async || {
        assert_eq!(member.fetch("/").await.status, 200);
        stack.provider.counts().refreshes > refreshes + 1
    })
    .await;
    over.store(true, Ordering::Relaxed);
    // Read before the faults end: junk in flight would then be answered at once.
    let sent = stack.codes_sent() - PEOPLE - 1;
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 2;
    assert!(sent <= 10 * seconds, "{sent} codes of one address in {seconds} s");
    stack.provider.set_faults(&[]);
    for status in attack.join_all().await.concat() {
        assert!(expected.contains(&status), "{status}");
    }
    let refreshed = "refreshes_total{provider=\"company\",outcome=\"failure\"}";
    assert_eq!(value(&stack.gateway, refreshed).await.unwrap_or(0.0), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn slowly_rejected_junk_codes_of_one_address_delay_no_other() {
    let late = [Fault::Late(TokenAnswer::Error)];
    others_sign_in_and_refresh_during_junk(&late, &[400, 429]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_codes_with_invalid_request_of_one_address_delay_no_other() {
    let other = [Fault::Token(GrantType::SignIn, TokenFault::ErrorOther)];
    others_sign_in_and_refresh_during_junk(&other, &[400, 429, 502]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn junk_codes_that_fail_the_provider_of_one_address_delay_no_other() {
    let fails = [Fault::Token(GrantType::SignIn, TokenFault::ErrorFails)];
    others_sign_in_and_refresh_during_junk(&fails, &[400, 429, 503]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ninth_concurrent_sign_in_of_an_address_waits_and_succeeds() {
    let stack = builder().start().await;
    let mut callbacks = Vec::new();
    for (address, count) in [("192.0.2.1", 12), ("192.0.2.2", 1), ("2001:db8::1", 1)] {
        callbacks.push(stack.callbacks(address, count).await);
    }
    stack.provider.set_faults(&[Fault::Late(TokenAnswer::Tokens)]);
    let mut opened = Vec::new();
    for (callbacks, sent) in callbacks.into_iter().zip([8, 9, 10]) {
        opened.push(open_all(callbacks));
        stack.codes(sent).await;
        assert_eq!(stack.codes_sent(), sent, "an address with eight in flight waits");
    }
    stack.provider.set_faults(&[]);
    for opened in opened {
        for answer in opened.join_all().await {
            assert_eq!(answer.redirect().unwrap().path(), "/", "{answer:?}");
        }
    }
    assert_eq!(stack.codes_sent(), 14);
}

/// Tabs that a browser restores at its start share one connection, one address and their cookies.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_restored_tabs_of_one_browser_over_http2_all_sign_in() {
    let stack = builder().start().await;
    let browser = Browser::before(Door::http2(&stack.gateway).await);
    let mut browser = from(browser, "192.0.2.1");
    // The provider still has a session.
    assert_eq!(provider::sign_in(&mut browser, "/", "alice").await.status, 200);
    browser.forget("portcullis");
    browser.forget("portcullis-login");
    let before = stack.codes_sent();
    let jar = Mutex::new(browser);
    let mut tabs: Vec<(usize, Url)> = (0..50)
        .map(|tab| (tab, Url::parse(&format!("{PUBLIC_URL}/tab?number={tab}")).unwrap()))
        .collect();
    let mut arrived = 0;
    // All tabs take each step together, which is the worst case.
    while !tabs.is_empty() {
        let mut step = JoinSet::new();
        for (tab, url) in std::mem::take(&mut tabs) {
            let mut cold = jar.lock().unwrap().clone();
            step.spawn(async move { (tab, cold.navigate(url.as_str()).await) });
        }
        for (tab, answer) in step.join_all().await {
            jar.lock().unwrap().share(&answer);
            match answer.redirect() {
                Some(next) => tabs.push((tab, next)),
                None => {
                    assert_eq!(answer.status, 200, "{tab}: {answer:?}");
                    assert_eq!(answer.json()["target"], format!("/tab?number={tab}"));
                    arrived += 1;
                }
            }
        }
    }
    assert_eq!(arrived, 50);
    assert_eq!(stack.codes_sent() - before, 50, "none of them was spared its exchange");
}

/// A callback of a browser, as bytes.
fn request_of(browser: &Browser, callback: &Url) -> String {
    let cookies: Vec<String> =
        browser.cookies().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!(
        "GET {} HTTP/1.1\r\nHost: wiki.localhost\r\nCookie: {}\r\nAccept: text/html\r\n\r\n",
        &callback[url::Position::BeforePath..],
        cookies.join("; ")
    )
}

/// Sends the callback of a browser that leaves as soon as its code is at the provider.
async fn leave(stack: &Stack, leave: impl FnOnce(TcpStream)) -> (Browser, Url) {
    let mut browser = stack.browser();
    let callback = callback(&mut browser, "/", "alice").await;
    stack.provider.set_faults(&[Fault::Late(TokenAnswer::Tokens)]);
    let before = stack.codes_sent();
    let mut leaving = TcpStream::connect(stack.gateway.address).await.unwrap();
    leaving.write_all(request_of(&browser, &callback).as_bytes()).await.unwrap();
    stack.codes(before + 1).await;
    leave(leaving);
    (browser, callback)
}

fn outcome(outcome: &str) -> String {
    format!("sign_ins_total{{provider=\"company\",outcome=\"{outcome}\"}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn session_of_a_browser_that_left_is_removed_without_revocation() {
    let stack = builder().start().await;
    let (_, _) = leave(&stack, drop).await;
    stack.provider.set_faults(&[]);
    until(&stack.gateway, &outcome("success"), |count| count == 1.0).await;
    until(&stack.gateway, "sessions", |count| count == 0.0).await;
    assert_eq!(stack.provider.counts().revocations, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_whose_connection_was_reset_makes_no_session() {
    let stack = builder().start().await;
    let (mut browser, callback) = leave(&stack, |leaving| leaving.set_zero_linger().unwrap()).await;
    until(&stack.gateway, &outcome("abandoned"), |count| count == 1.0).await;
    stack.gateway.log_until_all(&["sign_in_failed", "\"reason\":\"abandoned\""]);
    stack.provider.set_faults(&[]);
    let token = "provider_request_duration_seconds_count{provider=\"company\",endpoint=\"token\"}";
    until(&stack.gateway, token, |ended| ended == 1.0).await;
    assert_eq!(value(&stack.gateway, "sessions").await, Some(0.0));
    // The state was used: the sign-in restarts.
    let again = browser.navigate(callback.as_str()).await;
    assert_eq!(again.redirect().unwrap().path(), "/oauth2/start");
    assert_eq!((stack.codes_sent(), stack.provider.counts().revocations), (1, 0));
}

/// Signs in with a client that closes its own side while its code is at the provider; returns its session cookie.
async fn half_close(stack: &Stack, username: &str) -> String {
    let mut browser = stack.browser();
    let callback = callback(&mut browser, "/", username).await;
    stack.provider.set_faults(&[Fault::Late(TokenAnswer::Tokens)]);
    let before = stack.codes_sent();
    let mut wire = Wire::to(&stack.gateway).await;
    wire.say(request_of(&browser, &callback)).await;
    wire.done().await;
    stack.codes(before + 1).await;
    stack.provider.set_faults(&[]);
    let answer = wire.rest().await;
    let cookie = field(&answer, "set-cookie").split(';').next().unwrap();
    cookie.strip_prefix("portcullis=").unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// A client that closes only its own side waits for the response, and its session is kept.
#[tokio::test(flavor = "multi_thread")]
async fn session_of_a_half_closed_client_is_kept_once_a_request_uses_it() {
    let stack = builder().start().await;
    let mut browser = stack.browser();
    browser.plant("portcullis", &half_close(&stack, "alice").await);
    assert_eq!(browser.fetch("/").await.status, 200);
    // The session of a second such client is not used. When it is removed, the time of the first is over, too.
    half_close(&stack, "bob").await;
    until(&stack.gateway, "sessions", |count| count == 1.0).await;
    assert_eq!(browser.fetch("/").await.status, 200);
}

/// At some providers a revoked refresh token ends all sessions of its browser.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_replaced_and_evicted_sessions_are_not_revoked() {
    let limits = "session: { max_sessions_per_user: 1 }";
    let stack = builder().sections(limits).start().await;
    let mut first = stack.at("192.0.2.1");
    assert_eq!(provider::sign_in(&mut first, "/", "alice").await.status, 200);
    let mut second = stack.at("192.0.2.2");
    assert_eq!(provider::sign_in(&mut second, "/", "alice").await.status, 200);
    assert_eq!(first.fetch("/").await.status, 401, "evicted");
    let old = second.clone();
    let again = "/oauth2/start?rd=/&prompt=login";
    assert_eq!(provider::sign_in(&mut second, again, "alice").await.status, 200);
    assert_eq!(old.clone().fetch("/").await.status, 401, "replaced");
    assert!(second.navigate("/oauth2/sign_out").await.status.is_redirection());
    wait::until("the signed-out session's token is revoked", async || {
        stack.provider.counts().revocations > 0
    })
    .await;
    assert_eq!(stack.gateway.stop().code(), Some(0));
    assert_eq!(stack.provider.counts().revocations, 1, "only the token of the sign-out");
}

/// A callback that sends no code uses no memory, and spoils no sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn callback_that_sends_no_code_leaves_its_state_usable() {
    let upstream = Upstream::start().await;
    let at = Clocked::in_front_of(&upstream).await;
    let mut alice = from(at.browser(), "192.0.2.1");
    let honest = callback(&mut alice, "/page", "alice").await;
    let foreign = honest.as_str().replace("iss=", "iss=https%3A%2F%2Fevil.example%2F");
    let denied = honest.as_str().replace("code=", "error=access_denied&error_description=");
    for (sends_none, status) in [(foreign, 400), (denied, 403)] {
        let answer = alice.navigate(&sends_none).await;
        assert_eq!(answer.status, status, "{sends_none}: {answer:?}");
    }
    // Nor does one that the limit of its address rejects.
    let mut mallory = from(at.browser(), "192.0.2.9");
    for _ in 0..10 {
        let junk = junk_callback(&mut mallory).await;
        assert_eq!(mallory.navigate(junk.as_str()).await.status, 400);
    }
    let mut limited = from(alice.clone(), "192.0.2.9");
    assert_eq!(limited.navigate(honest.as_str()).await.status, 429);
    assert_eq!(at.provider.counts().code_exchanges, 10);
    assert_eq!(alice.open(honest.as_str()).await.json()["target"], "/page");
}
