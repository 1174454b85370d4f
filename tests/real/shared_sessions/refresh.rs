//! One refresh, however many instances need it.

use tokio::task::JoinSet;

use super::*;
use crate::support::faults::{DemoEndpoint, Fault, NetworkFault};
use crate::support::wait::until;

/// Tokens that live this long, and routes that show them.
async fn pair_with_tokens(lifetime: Duration) -> Pair {
    let token = "identity_headers: { X-Token: \"{access_token}\", X-User: \"{user}\" }";
    let routes = [
        format!("UPSTREAM, allow: authenticated, {token}"),
        format!("path: /open, UPSTREAM, allow: public, {token}"),
    ];
    Pair::with(Stack::builder().token_lifetime(lifetime).routes(routes), "").await
}

/// Waits until both instances see that the token has expired. A public route refreshes nothing.
async fn expired(pair: &Pair, browser: &Browser) {
    for instance in pair.instances() {
        until("the token has expired", async || {
            instance.fetch(browser, "/open").await.json()["headers"]["x-token"].is_null()
        })
        .await;
    }
    assert_eq!(pair.provider.counts().refreshes, 0);
}

/// Many requests at once, over both instances. Returns the tokens that the application received.
async fn ask_both(pair: &Pair, browser: &Browser) -> Vec<String> {
    let mut asking = JoinSet::new();
    for number in 0..20 {
        let mut browser = browser.clone();
        browser.moved_to(&pair.instances()[number % 2].gateway);
        asking.spawn(async move { browser.fetch("/").await });
    }
    let mut tokens = Vec::new();
    for answer in asking.join_all().await {
        assert_eq!(answer.status, 200, "{answer:?}");
        tokens.push(answer.json()["headers"]["x-token"].as_str().unwrap().to_owned());
    }
    tokens
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_requests_on_an_expired_token_make_one_token_request() {
    // Half of this is enough for the requests on a busy machine.
    let pair = pair_with_tokens(Duration::from_secs(6)).await;
    let alice = pair.first.browser_of("alice").await;
    let first = pair.first.fetch(&alice, "/").await.json()["headers"]["x-token"].clone();
    expired(&pair, &alice).await;
    let tokens = ask_both(&pair, &alice).await;
    assert_eq!(pair.provider.counts().refreshes, 1);
    assert!(tokens.iter().all(|token| *token == tokens[0] && first != **token), "{tokens:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_by_turns_never_uses_a_refresh_token_twice() {
    // The provider ends the session at the second use of one.
    let pair = Pair::with(Stack::builder().token_lifetime(A_SECOND), "").await;
    let alice = pair.first.browser_of("alice").await;
    let patience = Patience::until("six refreshes have succeeded");
    while pair.provider.counts().refreshes < 6 {
        let (one, other) = tokio::join!(pair.first.status(&alice), pair.second.status(&alice));
        assert_eq!((one, other), (200, 200));
        patience.pause().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_of_an_instance_that_dies_is_made_by_the_other_one() {
    let pair = pair_with_tokens(Duration::from_secs(2)).await;
    let alice = pair.first.browser_of("alice").await;
    expired(&pair, &alice).await;
    pair.provider.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Hang)]);
    let (mut asking, browser) = (JoinSet::new(), alice.clone());
    asking.spawn(async move { browser.clone().fetch("/").await });
    pair.provider.until("a refresh was begun", |counts| counts.refreshes == 1).await;
    pair.first.gateway.signal("KILL");
    asking.abort_all();
    pair.provider.set_faults(&[]);
    let answer = pair.second.fetch(&alice, "/").await;
    // Not before the lock has expired.
    assert!([200, 503].contains(&answer.status.as_u16()), "{answer:?}");
    let limit = Duration::from_secs(25);
    pair.second.becomes(200, &[503], &alice, limit).await;
    until("the token is a new one", async || {
        pair.second.fetch(&alice, "/").await.json()["headers"]["x-token"].is_string()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_refresh_token_is_used_while_its_successor_could_not_be_stored() {
    let pair = pair_with_tokens(Duration::from_secs(2)).await;
    let alice = pair.first.browser_of("alice").await;
    expired(&pair, &alice).await;
    pair.redis.command(&["REPLICAOF", "127.0.0.1", "1"]);
    for instance in pair.instances() {
        for _ in 0..3 {
            let answer = instance.fetch(&alice, "/").await;
            assert_cannot_be_looked_up(&answer);
        }
    }
    assert_eq!(pair.provider.counts().refreshes, 0);
    pair.redis.command(&["REPLICAOF", "NO", "ONE"]);
    for instance in pair.instances() {
        instance.becomes(200, &[503], &alice, RECOVERY).await;
    }
}
