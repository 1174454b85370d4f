//! Rules about sessions that hold over all instances together.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn state_of_a_sign_in_that_one_instance_has_used_is_used_at_the_other() {
    let pair = Pair::start().await;
    let mut browser = Browser::new(&pair.first.gateway);
    let callback = provider::callback(&mut browser, "/", "alice").await;
    let replayed = browser.clone();
    assert_eq!(browser.open(callback.as_str()).await.status, 200);
    let codes = pair.provider.counts().code_exchanges;
    let answer = pair.second.navigate(&replayed, callback.as_str()).await;
    assert_eq!(answer.redirect().map(|to| to.path().to_owned()).as_deref(), Some("/oauth2/start"));
    assert_eq!(pair.provider.counts().code_exchanges, codes, "the code was not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_that_begins_at_one_instance_ends_at_the_other() {
    let pair = Pair::start().await;
    let mut browser = Browser::new(&pair.first.gateway);
    let callback = provider::callback(&mut browser, "/", "alice").await;
    browser.moved_to(&pair.second.gateway);
    assert_eq!(browser.open(callback.as_str()).await.status, 200);
    assert_eq!(pair.first.status(&browser).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn user_with_too_many_sessions_loses_the_least_used_one_everywhere() {
    let pair = Pair::with(Stack::builder(), ", max_sessions_per_user: 2").await;
    let one = pair.first.browser_of("alice").await;
    let two = pair.second.browser_of("alice").await;
    let bob = pair.first.browser_of("bob").await;
    let three = pair.first.browser_of("alice").await;
    for instance in pair.instances() {
        instance.ends(&one, A_SECOND).await;
        for browser in [&two, &three, &bob] {
            assert_eq!(instance.status(browser).await, 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn use_at_one_instance_keeps_a_session_from_its_idle_timeout_at_the_other() {
    let idle_timeout = Duration::from_secs(3);
    let pair = Pair::with(Stack::builder(), ", idle_timeout: 3s").await;
    let (alice, bob) = (pair.first.browser_of("alice").await, pair.first.browser_of("bob").await);
    for browser in [&alice, &bob] {
        assert_eq!(pair.second.status(browser).await, 200);
    }
    let began = Instant::now();
    let patience = Patience::until("twice the timeout has passed");
    while began.elapsed() < 2 * idle_timeout {
        assert_eq!(pair.second.status(&alice).await, 200);
        patience.pause().await;
    }
    assert_eq!(pair.first.status(&alice).await, 200);
    for instance in pair.instances() {
        assert_eq!(instance.status(&bob).await, 401);
    }
    let unused = Instant::now();
    // Asks Redis alone, which is no use of the session.
    let patience = Patience::until("its record has ended");
    while !stored::records(&pair.redis).is_empty() {
        patience.pause().await;
    }
    assert!(unused.elapsed() < idle_timeout + A_SECOND, "{:?}", unused.elapsed());
    for instance in pair.instances() {
        assert_eq!(instance.status(&alice).await, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_of_a_known_session_asks_redis_nothing() {
    let pair = Pair::with(Stack::builder(), ", idle_timeout: 1h").await;
    let alice = pair.first.browser_of("alice").await;
    for instance in pair.instances() {
        assert_eq!(instance.status(&alice).await, 200);
    }
    let names = ["get", "pttl", "set", "pexpire", "evalsha", "eval", "zadd", "exists", "unlink"];
    let before = stored::count(&pair.redis, &names);
    for instance in pair.instances() {
        for _ in 0..200 {
            assert_eq!(instance.status(&alice).await, 200);
        }
    }
    // It looks at what it knows now and then, in case that a notice was lost.
    let asked = stored::count(&pair.redis, &names) - before;
    assert!(asked < 20, "{asked} commands for 400 requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn session_that_an_instance_has_no_room_for_is_read_again() {
    let pair = Pair::with(Stack::builder(), ", max_sessions: 2").await;
    let mut browsers = Vec::new();
    for number in 0..6 {
        browsers.push(pair.instances()[number % 2].browser_of(["alice", "bob"][number % 2]).await);
    }
    for _ in 0..3 {
        for browser in &browsers {
            for instance in pair.instances() {
                assert_eq!(instance.status(browser).await, 200);
            }
        }
    }
}
