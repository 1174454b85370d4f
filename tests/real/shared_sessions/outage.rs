//! Redis cannot be reached: at the start, later, by one instance, for a while, and after it has lost everything.

use std::fs;

use http::Method;

use super::*;
use crate::support::operator::ask;
use crate::support::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn instance_is_not_ready_until_redis_has_answered_once() {
    let redis = durable_redis().await;
    let link = Link::to(redis.address()).await;
    for fault in [LinkFault::Cut, LinkFault::BlackHole] {
        link.set(fault);
        let stack = Stack::builder().admin().sections(&sessions_in(&link, "")).start().await;
        let readiness = ask(&stack.gateway, "/readyz").await;
        assert_eq!(readiness.status, 503, "{readiness:?}");
        assert!(readiness.body.contains("session.store"), "{readiness:?}");
        assert_eq!(ask(&stack.gateway, "/healthz").await.status, 200);
        assert_eq!(stack.browser().fetch("/open").await.status, 200, "public routes work");
        assert_eq!(stack.browser().fetch("/").await.status, 401, "there is no cookie to look up");
        link.set(LinkFault::None);
        crate::support::operator::ready(&stack.gateway, "ready\n").await;
        stack.browser_of("alice").await;
        link.set(LinkFault::Cut);
        until("the outage is named", async || {
            let readiness = ask(&stack.gateway, "/readyz").await;
            assert_eq!(readiness.status, 200, "it has answered once: {readiness:?}");
            readiness.body.contains("session.store")
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_use_survive_a_short_outage_unnoticed() {
    let mut pair = Pair::start().await;
    let alice = pair.first.browser_of("alice").await;
    assert_eq!(pair.second.status(&alice).await, 200);
    // The first use at the second instance makes the first one read the session again.
    pair.is_quiet().await;
    pair.redis.kill();
    for instance in pair.instances() {
        assert_eq!(instance.status(&alice).await, 200);
    }
    pair.redis.start_again().await;
    let (began, limit) = (Instant::now(), OUTAGE_CACHE + A_SECOND);
    while began.elapsed() < limit {
        for instance in pair.instances() {
            assert_eq!(instance.status(&alice).await, 200, "after {:?}", began.elapsed());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outage_signs_no_user_out_and_allows_none_who_cannot_be_looked_up() {
    for fault in [LinkFault::Cut, LinkFault::BlackHole, LinkFault::NoAnswers, LinkFault::NoRequests]
    {
        let pair = Pair::with(auth_client(), "").await;
        let alice = pair.first.browser_of("alice").await;
        // The second instance does not know Bob yet.
        let bob = pair.first.browser_of("bob").await;
        assert_eq!(pair.second.status(&alice).await, 200);
        let mut new = Browser::new(&pair.second.gateway);
        let callback = provider::callback(&mut new, "/", "bob").await;
        pair.is_quiet().await;
        pair.set(fault);
        let began = Instant::now();

        assert_eq!(pair.second.status(&alice).await, 200, "known for `outage_cache`");
        assert_cannot_be_looked_up(&pair.second.fetch(&bob, "/").await);
        let page = pair.second.navigate(&bob, "/").await;
        assert_cannot_be_looked_up(&page);
        assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
        let answer = pair.second.fetch(&bob, "/").await;
        assert!(answer.json()["error"].is_string(), "{answer:?}");
        assert_eq!(pair.second.fetch(&bob, "/oauth2/auth").await.status, 403, "never 5xx there");
        // Whether or not there is such a session.
        let mut forged = Browser::new(&pair.second.gateway);
        forged.plant("portcullis", &"a".repeat(43));
        assert_cannot_be_looked_up(&pair.second.fetch(&forged, "/").await);
        let open = pair.second.fetch(&bob, "/open").await;
        assert_eq!(open.status, 200, "{open:?}");
        let user = &open.json()["headers"]["x-forwarded-user"];
        assert!(user.is_null() || user == "", "{open:?}");
        assert_eq!(pair.second.fetch(&Browser::new(&pair.second.gateway), "/").await.status, 401);
        let codes = pair.provider.counts().code_exchanges;
        let failed = new.navigate(callback.as_str()).await;
        assert_eq!(failed.status, 503, "{failed:?}");
        assert_eq!(pair.provider.counts().code_exchanges, codes, "the code was not sent");

        let limit = (OUTAGE_CACHE + A_SECOND).saturating_sub(began.elapsed());
        pair.second.becomes(503, &[200], &alice, limit).await;
        assert_cannot_be_looked_up(&pair.second.fetch(&alice, "/").await);
        let readiness = pair.second.readiness().await;
        assert_eq!(readiness.status, 200, "{readiness:?}");
        assert!(readiness.body.contains("session.store"), "{readiness:?}");

        pair.set(LinkFault::None);
        for browser in [&alice, &bob] {
            for instance in pair.instances() {
                instance.becomes(200, &[503], browser, RECOVERY).await;
            }
        }
        pair.second.ready("ready\n").await;
        // The page of before, loaded again.
        let page = new.open(callback.as_str()).await;
        assert_eq!(page.status, 200, "{page:?}");
        pair.second.browser_of("alice").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_out_is_obeyed_by_a_partitioned_instance_within_its_outage_cache() {
    for fault in [LinkFault::BlackHole, LinkFault::NoAnswers, LinkFault::Cut] {
        let pair = Pair::start().await;
        let mut alice = pair.first.browser_of("alice").await;
        let (kept, bob) = (alice.clone(), pair.first.browser_of("bob").await);
        for browser in [&kept, &bob] {
            assert_eq!(pair.second.status(browser).await, 200);
        }
        pair.is_quiet().await;
        pair.second.link.set(fault);
        let began = Instant::now();
        sign_out(&mut alice).await;
        assert_eq!(pair.first.status(&kept).await, 401);
        for browser in [&kept, &bob] {
            let limit = (OUTAGE_CACHE + A_SECOND).saturating_sub(began.elapsed());
            pair.second.becomes(503, &[200], browser, limit).await;
            assert_cannot_be_looked_up(&pair.second.fetch(browser, "/").await);
        }
        pair.second.link.set(LinkFault::None);
        // Never 200 again.
        pair.second.becomes(401, &[503], &kept, RECOVERY).await;
        pair.second.becomes(200, &[503], &bob, RECOVERY).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unconfirmed_sign_out_says_so_and_is_carried_out_later() {
    for fault in [LinkFault::Cut, LinkFault::BlackHole] {
        let pair = Pair::start().await;
        let mut alice = pair.first.browser_of("alice").await;
        let kept = alice.clone();
        assert_eq!(pair.second.status(&kept).await, 200);
        pair.first.link.set(fault);
        let page = alice.navigate("/oauth2/sign_out").await;
        assert_not_complete(&pair, &page);
        assert_eq!(alice.cookie("/", "portcullis"), None, "{page:?}");
        assert_ne!(pair.first.status(&kept).await, 200, "this instance obeys at once");
        assert_eq!(pair.second.status(&kept).await, 200, "the other one does not know yet");
        pair.first.link.set(LinkFault::None);
        pair.second.ends(&kept, RECOVERY).await;
        pair.first.becomes(401, &[503], &kept, RECOVERY).await;
    }
}

/// The page says that other instances may not know of a sign-out yet, and leads on to the provider.
pub(super) fn assert_not_complete(pair: &Pair, page: &Answer) {
    assert_eq!(page.status, 503, "{page:?}");
    assert!(page.body.contains("sign-out is not complete"), "{page:?}");
    let link = format!("href=\"{}/end_session", pair.provider.issuer()).replace('/', "&#x2f;");
    assert!(page.body.contains(&link), "no {link}: {page:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unconfirmed_sign_out_by_a_script_is_an_error() {
    let pair = Pair::start().await;
    let mut alice = pair.first.browser_of("alice").await;
    pair.first.link.set(LinkFault::Cut);
    let answer = alice.ask(Method::POST, "/oauth2/sign_out").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["error"], "sign_out_unconfirmed");
    assert_eq!(alice.cookie("/", "portcullis"), None, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_out_that_was_answered_outlives_the_instance_that_answered_it() {
    let pair = Pair::start().await;
    let mut alice = pair.first.browser_of("alice").await;
    let kept = alice.clone();
    assert_eq!(pair.second.status(&kept).await, 200);
    sign_out(&mut alice).await;
    pair.first.gateway.signal("KILL");
    pair.second.ends(&kept, A_SECOND).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_that_comes_back_empty_makes_strangers_and_takes_new_sessions() {
    let mut pair = Pair::start().await;
    let alice = pair.first.browser_of("alice").await;
    assert_eq!(pair.second.status(&alice).await, 200);
    pair.redis.kill();
    fs::remove_dir_all(pair.redis.file("appendonlydir")).unwrap();
    pair.redis.start_again().await;
    for instance in pair.instances() {
        instance.becomes(401, &[200, 503], &alice, RECOVERY).await;
    }
    assert!(stored::values(&pair.redis).is_empty(), "a missing record is never written back");
    let bob = pair.first.browser_of("bob").await;
    assert_eq!(pair.second.status(&bob).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn emptied_redis_makes_strangers_at_once() {
    let pair = Pair::start().await;
    let alice = pair.first.browser_of("alice").await;
    assert_eq!(pair.second.status(&alice).await, 200);
    pair.redis.command(&["FLUSHALL"]);
    for instance in pair.instances() {
        instance.ends(&alice, A_SECOND).await;
    }
    assert!(stored::values(&pair.redis).is_empty(), "a missing record is never written back");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_redis_is_waited_for_and_a_slower_one_is_an_outage() {
    let pair = Pair::start().await;
    let (alice, bob) = (pair.first.browser_of("alice").await, pair.first.browser_of("bob").await);
    pair.second.link.set(LinkFault::Late(Duration::from_millis(150)));
    assert_eq!(pair.second.status(&alice).await, 200);
    let mut new = Browser::new(&pair.second.gateway);
    let page = provider::sign_in(&mut new, "/", "bob").await;
    assert_eq!(page.status, 200, "{page:?}");
    sign_out(&mut new).await;
    pair.second.link.set(LinkFault::Late(Duration::from_millis(400)));
    let asked = Instant::now();
    assert_cannot_be_looked_up(&pair.second.fetch(&bob, "/").await);
    assert!(asked.elapsed() < A_SECOND, "the limit of an operation is 250 ms");
    // What needs no Redis does not wait for it.
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(pair.second.fetch(&bob, "/open").await.status, 200);
        assert!(asked.elapsed() < Duration::from_millis(400), "{:?}", asked.elapsed());
    }
    pair.second.link.set(LinkFault::None);
    pair.second.becomes(200, &[503], &bob, RECOVERY).await;
}

/// A gateway whose auth endpoints this machine may ask.
fn auth_client() -> Builder {
    let client = "{ from: [127.0.0.1/32], proxy: nginx }";
    Stack::builder().server(&format!("forward_auth: {{ clients: [{client}] }}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn many_unconfirmed_sign_outs_are_carried_out_when_redis_is_back() {
    let pair = Pair::start().await;
    let mut browsers = Vec::new();
    for _ in 0..40 {
        browsers.push(pair.first.browser_of("alice").await);
    }
    pair.second.link.set(LinkFault::Cut);
    for browser in &browsers {
        let mut browser = browser.clone();
        browser.moved_to(&pair.second.gateway);
        assert_eq!(browser.navigate("/oauth2/sign_out").await.status, 503);
    }
    pair.second.link.set(LinkFault::None);
    for browser in &browsers {
        pair.first.ends(browser, RECOVERY).await;
    }
}
