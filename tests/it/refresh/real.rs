//! The same by the real binary and its own clock, with tokens that live for seconds.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::support::provider;
use crate::support::stack::Stack;
use crate::support::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_on_an_expired_token_make_one_token_request() {
    let token = "identity_headers: { X-Token: \"{access_token}\", X-User: \"{user}\" }";
    let stack = Stack::builder()
        .token_lifetime(2 * HALF)
        .routes([
            format!("UPSTREAM, allow: authenticated, {token}"),
            format!("path: /open, UPSTREAM, allow: public, {token}"),
        ])
        .start()
        .await;
    let mut browser = stack.browser();
    let first = provider::sign_in(&mut browser, "/", "alice").await.json();
    let first = first["headers"]["x-token"].as_str().unwrap().to_owned();
    // A public route tells when the token is over, and refreshes nothing.
    until("the token has expired", async || {
        browser.fetch("/open").await.json()["headers"]["x-token"].is_null()
    })
    .await;
    assert_eq!(stack.provider.counts().refreshes, 0);

    let began = Instant::now();
    let mut asking = JoinSet::new();
    for _ in 0..200 {
        let mut browser = browser.clone();
        asking.spawn(async move { browser.fetch("/").await });
    }
    for answer in asking.join_all().await {
        assert_eq!(answer.status, 200, "{answer:?}");
        let headers = answer.json()["headers"].clone();
        assert_eq!(headers["x-user"], "demo-alice");
        assert!(
            headers["x-token"].is_string() && headers["x-token"] != first.as_str(),
            "{headers}"
        );
    }
    // Where all of it takes longer than half a token's life, the next refresh is due.
    let due = 1 + usize::try_from(began.elapsed().as_secs() / HALF.as_secs()).unwrap();
    let refreshes = stack.provider.counts().refreshes;
    assert!((1..=due).contains(&refreshes), "{refreshes} of {due}");
}

#[tokio::test(flavor = "multi_thread")]
async fn session_with_a_revoked_refresh_token_ends() {
    let stack = Stack::builder().token_lifetime(Duration::from_secs(1)).start().await;
    let mut browser = stack.browser();
    assert_eq!(provider::sign_in(&mut browser, "/", "alice").await.status, 200);
    stack.provider.revoke_all();
    until("the session has ended", async || browser.fetch("/").await.status == 401).await;
    let refreshes = stack.provider.counts().refreshes;
    assert_ne!(refreshes, 0, "the provider ended it");
    for _ in 0..3 {
        assert_eq!(browser.fetch("/").await.status, 401);
    }
    assert_eq!(stack.provider.counts().refreshes, refreshes, "an end is an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_groups_take_effect_with_the_next_refresh() {
    let stack = Stack::builder().token_lifetime(Duration::from_secs(1)).start().await;
    let mut browser = stack.browser_of("alice").await;
    stack.provider.set_groups("alice", &[]);
    until("she is no member", async || browser.fetch("/staff").await.status == 403).await;
    stack.provider.set_groups("alice", &["staff"]);
    until("she is a member again", async || browser.fetch("/staff").await.status == 200).await;
}

/// Half the life of a token, after which it is refreshed; long enough for a busy machine.
const HALF: Duration = Duration::from_secs(3);
