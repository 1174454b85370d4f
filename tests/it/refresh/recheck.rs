//! `session.recheck`: the provider is asked again whether a session still stands.

use std::time::Duration;

use super::streams::Streams;
use crate::support::browser::Browser;
use crate::support::clocked::Clocked;
use crate::support::faults::{
    DemoEndpoint, Fault, GrantType, NetworkFault, RefreshTokens, TokenFault, UserinfoFault,
};
use crate::support::provider;
use crate::support::stack::Stack;
use crate::support::upstream::Upstream;
use crate::support::wait::until;

/// The access token is valid for a minute, and the provider is asked each 10 s.
async fn signed_in(refresh_tokens: RefreshTokens) -> (Clocked, Upstream, Browser) {
    let upstream = Upstream::start().await;
    let builder = Stack::builder()
        .refresh_tokens(refresh_tokens)
        .sections("session: { recheck: 10s }")
        .routes(["UPSTREAM, allow: authenticated"]);
    let at = builder.start_clocked(&upstream).await;
    let mut browser = at.browser();
    let answer = provider::sign_in(&mut browser, "/", "alice").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    (at, upstream, browser)
}

async fn status(browser: &mut Browser) -> u16 {
    browser.fetch("/").await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn session_ends_after_userinfo_rejects_its_access_token() {
    let (at, upstream, mut browser) = signed_in(RefreshTokens::Never).await;
    let asked = at.provider.counts().userinfo;
    at.provider.set_faults(&[Fault::Userinfo(UserinfoFault::InvalidToken)]);
    at.clock.advance(Duration::from_secs(9));
    assert_eq!(status(&mut browser).await, 200);
    assert_eq!(at.provider.counts().userinfo, asked, "it is not due");
    at.clock.advance(Duration::from_secs(1));
    assert_eq!(status(&mut browser).await, 200, "no request waits for the answer");
    until("the session has ended", async || status(&mut browser).await == 401).await;
    assert_eq!(at.provider.counts().userinfo, asked + 1);
    assert!(upstream.request_count() >= 3);
}

/// Requests until the provider has received this many userinfo requests. The answer before may be stored later than the
/// clock was advanced, so it advances a little each time.
async fn until_asked(at: &Clocked, browser: &mut Browser, count: usize) {
    until("userinfo is asked", async || {
        assert_eq!(status(browser).await, 200);
        at.clock.advance(Duration::from_millis(100));
        at.provider.counts().userinfo >= count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn session_goes_on_while_the_provider_cannot_be_asked() {
    let (at, _upstream, mut browser) = signed_in(RefreshTokens::Never).await;
    let mut asked = at.provider.counts().userinfo;
    for fault in [NetworkFault::Unavailable, NetworkFault::TooManyRequests] {
        at.provider.set_faults(&[Fault::Network(DemoEndpoint::Userinfo, fault)]);
        at.clock.advance(Duration::from_secs(10));
        asked += 1;
        until_asked(&at, &mut browser, asked).await;
        for _ in 0..5 {
            assert_eq!(status(&mut browser).await, 200);
        }
        assert_eq!(at.provider.counts().userinfo, asked, "not with each request");
    }
    at.provider.set_faults(&[]);
    at.clock.advance(Duration::from_secs(10));
    until_asked(&at, &mut browser, asked + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmed_session_is_asked_about_again_after_the_interval() {
    let (at, _upstream, mut browser) = signed_in(RefreshTokens::Never).await;
    let asked = at.provider.counts().userinfo;
    for round in 1..=3 {
        at.clock.advance(Duration::from_secs(10));
        until_asked(&at, &mut browser, asked + round).await;
        for _ in 0..5 {
            assert_eq!(status(&mut browser).await, 200);
        }
        assert_eq!(at.provider.counts().userinfo, asked + round);
    }
    assert_eq!(at.provider.counts().refreshes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn session_with_refresh_token_is_refreshed_and_ends_if_that_is_rejected() {
    let (at, _upstream, mut browser) = signed_in(RefreshTokens::RotatingStrictly).await;
    at.clock.advance(Duration::from_secs(9));
    assert_eq!(status(&mut browser).await, 200);
    assert_eq!(at.provider.counts().refreshes, 0);
    at.provider.set_faults(&[Fault::Token(GrantType::Refresh, TokenFault::InvalidGrant)]);
    at.clock.advance(Duration::from_secs(1));
    assert_eq!(status(&mut browser).await, 200);
    until("the session has ended", async || status(&mut browser).await == 401).await;
    assert_eq!(at.provider.counts().refreshes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_stream_is_rechecked_when_due_and_ends_with_its_session() {
    let mut streams = Streams::start("recheck: 10s").await;
    let mut open = streams.open("/stream", "", 200).await;
    streams.at.provider.set_faults(&[Fault::Token(GrantType::Refresh, TokenFault::InvalidGrant)]);
    streams.at.clock.advance(Duration::from_secs(10));
    open.rest().await;
    assert!(!streams.is_signed_in().await);
    assert_eq!(streams.at.provider.counts().refreshes, 1);
}
