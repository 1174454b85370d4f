//! Redis answers, but not with what was asked for: an error is never taken for a missing session.

use super::outage::assert_not_complete;
use super::*;
use crate::support::wait::until;

/// A sign-in at an instance is answered by 503, without a session.
async fn sign_in_fails(instance: &Instance) {
    let mut browser = Browser::new(&instance.gateway);
    let callback = provider::callback(&mut browser, "/", "bob").await;
    let answer = browser.navigate(callback.as_str()).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(browser.cookie("/", "portcullis"), None, "{answer:?}");
}

/// Waits until a sign-in works.
async fn sign_in_works(instance: &Instance) {
    until("a sign-in works", async || {
        let mut browser = Browser::new(&instance.gateway);
        let answer = provider::sign_in(&mut browser, "/", "bob").await;
        assert!([200, 503].contains(&answer.status.as_u16()), "{answer:?}");
        answer.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_takes_no_sign_in_and_no_sign_out() {
    let pair = Pair::start().await;
    let mut alice = pair.first.browser_of("alice").await;
    let (kept, bob) = (alice.clone(), pair.first.browser_of("bob").await);
    pair.redis.command(&["REPLICAOF", "127.0.0.1", "1"]);
    sign_in_fails(&pair.first).await;
    let status = pair.second.status(&bob).await;
    assert!([200, 503].contains(&status), "{status}: no user is signed out");
    let page = alice.navigate("/oauth2/sign_out").await;
    assert_not_complete(&pair, &page);
    pair.first.gateway.log_until("READONLY");
    assert_ne!(pair.first.status(&kept).await, 200, "this instance obeys at once");
    pair.redis.command(&["REPLICAOF", "NO", "ONE"]);
    sign_in_works(&pair.first).await;
    pair.second.becomes(401, &[200, 503], &kept, RECOVERY).await;
    pair.second.becomes(200, &[503], &bob, RECOVERY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_redis_takes_no_sign_in_but_is_read_and_signs_out() {
    let pair = Pair::start().await;
    let mut alice = pair.first.browser_of("alice").await;
    let (kept, bob) = (alice.clone(), pair.first.browser_of("bob").await);
    pair.redis.command(&["CONFIG", "SET", "maxmemory", "1mb"]);
    sign_in_fails(&pair.first).await;
    pair.first.gateway.log_until("maxmemory");
    assert_eq!(pair.second.status(&bob).await, 200);
    assert_eq!(pair.second.status(&kept).await, 200);
    sign_out(&mut alice).await;
    pair.second.ends(&kept, A_SECOND).await;
    pair.redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    sign_in_works(&pair.first).await;
    assert_eq!(pair.second.status(&bob).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_password_is_an_outage_that_the_log_names() {
    let pair = Pair::start().await;
    let (alice, bob) = (pair.first.browser_of("alice").await, pair.first.browser_of("bob").await);
    assert_eq!(pair.second.status(&alice).await, 200);
    pair.redis.command(&["CONFIG", "SET", "requirepass", "secret"]);
    // Open connections stay authenticated.
    pair.redis.command(&["CLIENT", "KILL", "USER", "default"]);
    pair.second.becomes(503, &[200], &alice, OUTAGE_CACHE + A_SECOND).await;
    assert_cannot_be_looked_up(&pair.second.fetch(&alice, "/").await);
    assert_cannot_be_looked_up(&pair.second.fetch(&bob, "/").await);
    pair.second.gateway.log_until("NOAUTH");
    pair.redis.command(&["CONFIG", "SET", "requirepass", ""]);
    for browser in [&alice, &bob] {
        pair.second.becomes(200, &[503], browser, RECOVERY).await;
    }
}
