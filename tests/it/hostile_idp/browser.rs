//! A hostile browser at an honest provider (RFC 9700 §4.5 and §4.7.1, CWE-601).

use std::time::Duration;

use http::HeaderValue;
use url::Url;

use super::{Failed, Trials, check_page};
use crate::support::clocked::Clocked;
use crate::support::faults::{
    AuthorizationFault, DemoEndpoint, Fault, GrantType, NetworkFault, TokenFault,
};
use crate::support::provider::{self, callback};
use crate::support::upstream::Upstream;

/// A callback in which some parameters are replaced by those of another one.
fn with(callback: &Url, names: &[&str], other: &Url) -> Url {
    let find = |url: &Url, name: &str| {
        url.query_pairs().find(|pair| pair.0 == *name).unwrap().1.into_owned()
    };
    let mut made = callback.clone();
    let pairs: Vec<(String, String)> = callback.query_pairs().into_owned().collect();
    made.query_pairs_mut().clear().extend_pairs(pairs.iter().map(|(name, value)| {
        let taken = names.contains(&name.as_str());
        (name.clone(), if taken { find(other, name) } else { value.clone() })
    }));
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn callback_in_another_browser_never_sends_its_code() {
    let trials = Trials::start().await;
    let (mut alice, mut mallory) = (trials.stranger(), trials.stranger());
    let theirs = callback(&mut mallory, "/", "bob").await;
    // Neither without a login cookie, nor with another one. The sign-in restarts, and the code is not sent.
    let without = alice.navigate(theirs.as_str()).await;
    alice.open("/").await;
    let with_another = alice.navigate(theirs.as_str()).await;
    for answer in [without, with_another] {
        assert_eq!(answer.redirect().unwrap().path(), "/oauth2/start");
    }
    // The second time there is a page.
    let again = "/oauth2/start?rd=/&restarted=1";
    let theirs = callback(&mut mallory, again, "bob").await;
    let page = alice.navigate(theirs.as_str()).await;
    assert_eq!(page.status, 400);
    check_page(&page, "restarted before");
    assert_eq!(alice.fetch("/").await.status, 401);
    assert_eq!(trials.stack.provider.counts().code_exchanges, 0);
    trials.stack.gateway.log_until("from another browser");
}

#[tokio::test(flavor = "multi_thread")]
async fn code_of_another_sign_in_gets_400() {
    let trials = Trials::start().await;
    let (mut alice, mut mallory) = (trials.stranger(), trials.stranger());
    let ours = callback(&mut alice, "/", "alice").await;
    let theirs = callback(&mut mallory, "/", "bob").await;
    let page = alice.navigate(with(&ours, &["code"], &theirs).as_str()).await;
    assert_eq!(page.status, 400, "{page:?}");
    check_page(&page, "another's code");
    trials.stack.gateway.log_until("the provider answered invalid_grant");
    assert_eq!(alice.fetch("/").await.status, 401);
    // That used the state up: the honest callback comes too late, and restarts the sign-in.
    let again = alice.navigate(ours.as_str()).await;
    assert_eq!(again.redirect().unwrap().path(), "/oauth2/start");
    assert_eq!(trials.stack.provider.counts().code_exchanges, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn callback_that_is_opened_twice_sends_its_code_once() {
    let trials = Trials::start().await;
    let mut browser = trials.stranger();
    let callback = callback(&mut browser, "/page", "alice").await;
    let mut second = browser.clone();
    let (first, again) =
        tokio::join!(browser.navigate(callback.as_str()), second.navigate(callback.as_str()));
    assert_eq!(trials.stack.provider.counts().code_exchanges, 1, "{first:?} {again:?}");
    for answer in [&first, &again] {
        browser.share(answer);
    }
    assert_eq!(browser.navigate(callback.as_str()).await.redirect().unwrap().path(), "/page");
    assert_eq!(trials.stack.provider.counts().code_exchanges, 1);
    assert_eq!(browser.fetch("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sign_ins_of_one_browser_both_reach_their_targets() {
    let trials = Trials::start().await;
    let mut browser = trials.stranger();
    let (first, second) = (browser.open("/a?x=1").await, browser.open("/b?y=2").await);
    for (page, path) in [(first, "/a?x=1"), (second, "/b?y=2")] {
        let answer = browser.fill(&page, &[("username", "alice"), ("password", "alice")]).await;
        assert_eq!((answer.status.as_u16(), answer.json()["target"].clone()), (200, path.into()));
    }
    assert_eq!(trials.stack.provider.counts().code_exchanges, 1, "the second found the session");
}

/// T111: an address that fails again and again is slowed down, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn address_with_ten_wrong_codes_gets_429() {
    let upstream = Upstream::start().await;
    let at = Clocked::in_front_of(&upstream).await;
    at.provider.set_faults(&[Fault::Authorization(AuthorizationFault::CodeOther)]);
    let from = |address| {
        let mut browser = at.browser();
        browser.extra.insert("x-forwarded-for", HeaderValue::from_static(address));
        browser
    };
    let mut mallory = from("192.0.2.1");
    for expected in [[400; 10], [429; 10]].concat() {
        let guess = callback(&mut mallory, "/", "bob").await;
        assert_eq!(mallory.navigate(guess.as_str()).await.status, expected);
    }
    assert_eq!(at.provider.counts().code_exchanges, 10);
    at.provider.set_faults(&[]);
    let elsewhere = provider::sign_in(&mut from("192.0.2.2"), "/", "alice").await;
    assert_eq!(elsewhere.status, 200, "a user at another address");
    at.clock.advance(Duration::from_secs(1));
    assert_eq!(mallory.open("/").await.status, 200);
}

/// RFC 6749 §A.11. Some providers fail at such bytes, and repeated failures open the circuit breaker: one client
/// must not block the sign-ins of all others.
#[tokio::test(flavor = "multi_thread")]
async fn code_with_invalid_bytes_is_not_sent_to_the_provider() {
    let trials = Trials::start().await;
    let mut mallory = trials.stranger();
    for code in ["\0", "a\r\nb", "é", "\u{7f}"] {
        let mut callback = callback(&mut mallory, "/", "bob").await;
        let state = callback.query_pairs().find(|pair| pair.0 == "state").unwrap().1.into_owned();
        callback.query_pairs_mut().clear().extend_pairs([("code", code), ("state", &state)]);
        let page = mallory.navigate(callback.as_str()).await;
        assert_eq!(page.status, 400, "{page:?}");
        check_page(&page, code);
    }
    assert_eq!(trials.stack.provider.counts().code_exchanges, 0);
    trials.stack.gateway.log_until("`code` is not a code");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_client_secret_gets_502_page_without_a_retry_hint() {
    let trials = Trials::start().await;
    let fault = Fault::Token(GrantType::SignIn, TokenFault::InvalidClient);
    let tried = trials.check(&[fault], "a wrong secret", Failed(502, "check `client_id`")).await;
    let body = &tried.answer.body;
    assert!(body.contains("tell the people who run this site"), "{body}");
    assert!(body.contains("Company") && !body.contains("in a minute"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn token_endpoint_outage_is_not_counted_against_the_client() {
    let trials = Trials::start().await;
    let mut alice = trials.stranger();
    let mut callbacks = Vec::new();
    for _ in 0..15 {
        callbacks.push(callback(&mut alice, "/", "alice").await);
    }
    trials
        .stack
        .provider
        .set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Unavailable)]);
    for callback in callbacks {
        assert_eq!(alice.navigate(callback.as_str()).await.status, 503);
    }
}
