//! The provider is honest, the browser is not (RFC 9700 §4.5 and §4.7.1, CWE-601).

use std::time::Duration;

use http::HeaderValue;
use url::Url;

use super::{Refused, Trials, check_page, is_ours};
use crate::support::clocked::Clocked;
use crate::support::faults::{
    AuthorizationFault, DemoEndpoint, Fault, GrantType, NetworkFault, TokenFault,
};
use crate::support::provider::{self, callback};
use crate::support::upstream::Upstream;

/// A callback with parameters of another one in place of its own.
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
async fn a_callback_is_worth_nothing_in_a_browser_that_did_not_ask_for_it() {
    let trials = Trials::start().await;
    let (mut alice, mut mallory) = (trials.stranger(), trials.stranger());
    let theirs = callback(&mut mallory, "/", "bob").await;
    // Neither without a login cookie, nor with another one: that begins anew, and the code stays unsent.
    let page = alice.navigate(theirs.as_str()).await;
    assert_eq!(page.status, 400);
    check_page(&page, "without a login cookie");
    alice.open("/").await;
    let answer = alice.navigate(theirs.as_str()).await;
    assert_eq!(answer.redirect().unwrap().path(), "/oauth2/start");
    assert_eq!(alice.fetch("/").await.status, 401);
    assert_eq!(trials.stack.provider.counts().code_exchanges, 0);
    trials.stack.gateway.log_until("another browser's");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sign_ins_code_fits_no_other_state() {
    let trials = Trials::start().await;
    let (mut alice, mut mallory) = (trials.stranger(), trials.stranger());
    let ours = callback(&mut alice, "/", "alice").await;
    let theirs = callback(&mut mallory, "/", "bob").await;
    let page = alice.navigate(with(&ours, &["code"], &theirs).as_str()).await;
    assert_eq!(page.status, 400, "{page:?}");
    check_page(&page, "another's code");
    trials.stack.gateway.log_until("the provider refuses: invalid_grant");
    assert_eq!(alice.fetch("/").await.status, 401);
    // The state was spent with it: the honest callback comes too late, and begins anew.
    let again = alice.navigate(ours.as_str()).await;
    assert_eq!(again.redirect().unwrap().path(), "/oauth2/start");
    assert_eq!(trials.stack.provider.counts().code_exchanges, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_is_opened_twice_sends_its_code_once() {
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
async fn two_sign_ins_of_one_browser_both_end_where_they_wanted() {
    let trials = Trials::start().await;
    let mut browser = trials.stranger();
    let (first, second) = (browser.open("/a?x=1").await, browser.open("/b?y=2").await);
    for (page, path) in [(first, "/a?x=1"), (second, "/b?y=2")] {
        let answer = browser.fill(&page, &[("username", "alice"), ("password", "alice")]).await;
        assert_eq!((answer.status.as_u16(), answer.json()["target"].clone()), (200, path.into()));
    }
    assert_eq!(trials.stack.provider.counts().code_exchanges, 1, "the second found the session");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_sign_in_the_browser_stays_on_the_gateway() {
    let trials = Trials::start().await;
    let elsewhere = [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/\t/evil.example",
        "https://wiki.localhost@evil.example/",
        "http://wiki.localhost.evil.example/",
        "javascript:alert(1)",
        "/%2f%2fevil.example/..//evil.example",
    ];
    for rd in elsewhere {
        let mut browser = trials.stranger();
        let encoded: String = url::form_urlencoded::byte_serialize(rd.as_bytes()).collect();
        let page = browser.open(&format!("/oauth2/start?rd={encoded}")).await;
        let answer = browser.fill(&page, &[("username", "alice"), ("password", "alice")]).await;
        assert!(is_ours(&answer.url), "{rd}: {}", answer.url);
        assert_eq!(browser.fetch("/").await.status, 200, "{rd}");
    }
}

/// T111: an address that fails again and again is slowed down, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn codes_cannot_be_guessed_at_speed() {
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
    assert_eq!(elsewhere.status, 200, "somebody at another address");
    at.clock.advance(Duration::from_secs(1));
    assert_eq!(mallory.open("/").await.status, 200);
}

/// RFC 6749 §A.11. Some providers fail at such bytes, and one that fails again and again is left alone:
/// whoever sends them must not shut the door for everybody.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_no_code_has_are_not_sent_to_the_provider() {
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
    trials.stack.gateway.log_until("`code` is no code");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_meets_a_wrong_client_secret_is_not_told_to_wait() {
    let trials = Trials::start().await;
    let fault = Fault::Token(GrantType::SignIn, TokenFault::InvalidClient);
    let tried = trials.check(&[fault], "a wrong secret", Refused(502, "check `client_id`")).await;
    let body = &tried.answer.body;
    assert!(body.contains("tell the people who run this site"), "{body}");
    assert!(body.contains("Company") && !body.contains("in a minute"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_at_the_provider_slows_nobody_down() {
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
