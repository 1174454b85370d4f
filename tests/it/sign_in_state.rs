//! A pending sign-in is its `state` and a cookie: both used twice, late, in another browser, or by many tabs.
//! Source: RFC 9700 §4.7, RFC 6749 §10.12. A fault restarts the sign-in or shows a page, so that the user can go on.

use std::time::Duration;

use url::Url;

use crate::support::browser::{Answer, Browser};
use crate::support::clocked::Clocked;
use crate::support::faults::{AuthorizationFault, Fault};
use crate::support::gateway::PUBLIC_URL;
use crate::support::provider::{self, callback};
use crate::support::stack::Stack;
use crate::support::upstream::Upstream;

/// Restarted once: a redirect to `start` with the same target.
#[track_caller]
fn check_restarted(answer: &Answer, target: &str) -> Url {
    let to = answer.redirect().unwrap_or_else(|| panic!("not restarted: {answer:?}"));
    assert_eq!(to.path(), "/oauth2/start", "{to}");
    let all: Vec<(String, String)> = to.query_pairs().into_owned().collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(all, [pair("rd", target), pair("provider", "company"), pair("restarted", "1")]);
    to
}

/// A page that offers to try again.
#[track_caller]
fn check_page(page: &Answer) {
    assert_eq!(page.status, 400, "{page:?}");
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    assert!(page.body.contains("Try again"), "{}", page.body);
}

/// Ends the session here, and leaves the one at the provider.
async fn lose_session(browser: &mut Browser) {
    browser.forget("portcullis");
    assert_eq!(browser.fetch("/").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn used_state_restarts_the_sign_in_once_and_never_sends_its_code_again() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    let first = callback(&mut browser, "/page?x=1", "alice").await;
    browser.navigate(first.as_str()).await;
    // With a session it leads to its target.
    let again = browser.navigate(first.as_str()).await;
    assert_eq!(again.redirect().unwrap().as_str(), "http://wiki.localhost/page?x=1");
    // Without a session it restarts; the provider still has one.
    lose_session(&mut browser).await;
    let to = check_restarted(&browser.navigate(first.as_str()).await, "/page?x=1");
    let second = callback(&mut browser, to.as_str(), "alice").await;
    let arrived = browser.open(second.as_str()).await;
    assert_eq!((arrived.status.as_u16(), &arrived.json()["target"]), (200, &"/page?x=1".into()));
    // A restarted sign-in is not restarted again.
    lose_session(&mut browser).await;
    check_page(&browser.navigate(second.as_str()).await);
    assert_eq!(stack.codes_sent(), 2);
    stack.gateway.log_until("the state is used");
}

#[tokio::test(flavor = "multi_thread")]
async fn state_of_another_browser_restarts_the_sign_in_once() {
    let stack = Stack::start().await;
    let (mut alice, mut mallory) = (stack.browser(), stack.browser());
    let theirs = callback(&mut mallory, "/theirs", "bob").await;
    // Without a login cookie, as when a link is opened in another browser, and with another one.
    check_restarted(&alice.navigate(theirs.as_str()).await, "/theirs");
    alice.open("/ours").await;
    let to = check_restarted(&alice.navigate(theirs.as_str()).await, "/theirs");
    // Alice then signs in as herself; the code of the other one is never sent.
    let arrived = provider::sign_in(&mut alice, to.as_str(), "alice").await;
    assert_eq!(arrived.json()["headers"]["x-forwarded-user"], "demo-alice");
    assert_eq!(stack.codes_sent(), 1);
    // With a live session, the target of any authentic state is used.
    let there = alice.navigate(theirs.as_str()).await.redirect().unwrap();
    assert_eq!(there.path(), "/theirs");
    assert_eq!(stack.codes_sent(), 1);
}

/// A browser that sends no cookie at all: each callback comes without the login cookie.
#[tokio::test(flavor = "multi_thread")]
async fn browser_without_cookies_gets_a_page_after_one_restart() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    for name in ["portcullis", "portcullis-login"] {
        browser.reject(name);
    }
    let page = provider::sign_in(&mut browser, "/page", "alice").await;
    check_page(&page);
    assert!(page.body.contains("cookies are blocked"), "{}", page.body);
    assert_eq!(stack.codes_sent(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn temporarily_unavailable_provider_restarts_the_sign_in_once() {
    let stack = Stack::start().await;
    let busy = [Fault::Authorization(AuthorizationFault::TemporarilyUnavailable)];
    stack.provider.set_faults(&busy);
    let mut browser = stack.browser();
    let first = callback(&mut browser, "/page?x=1", "alice").await;
    let to = check_restarted(&browser.navigate(first.as_str()).await, "/page?x=1");
    let second = callback(&mut browser, to.as_str(), "alice").await;
    let page = browser.navigate(second.as_str()).await;
    assert_eq!(page.status, 503, "{page:?}");
    assert!(page.body.contains("Try again"), "{}", page.body);
    // The next answer is a code: the restart ends the interruption without a page.
    let first = callback(&mut browser, "/page?x=1", "alice").await;
    let to = check_restarted(&browser.navigate(first.as_str()).await, "/page?x=1");
    stack.provider.set_faults(&[]);
    let arrived = browser.open(to.as_str()).await;
    assert_eq!((arrived.status.as_u16(), &arrived.json()["target"]), (200, &"/page?x=1".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn state_expires_after_ten_minutes() {
    let upstream = Upstream::start().await;
    let at = Clocked::in_front_of(&upstream).await;
    let mut browser = at.browser();
    let page = browser.open("/page").await;
    at.clock.advance(Duration::from_secs(595));
    let arrived = browser.fill(&page, &[("username", "alice"), ("password", "alice")]).await;
    assert_eq!((arrived.status.as_u16(), &arrived.json()["target"]), (200, &"/page".into()));

    let mut browser = at.browser();
    let late = callback(&mut browser, "/page", "alice").await;
    at.clock.advance(Duration::from_secs(605));
    let to = check_restarted(&browser.navigate(late.as_str()).await, "/page");
    assert_eq!(browser.open(to.as_str()).await.status, 200);
    let mut other = at.browser();
    check_restarted(&other.navigate(late.as_str()).await, "/page");
    assert_eq!(at.provider.counts().code_exchanges, 2);
    // A restarted sign-in that is late again gets a page.
    let mut slow = at.browser();
    let start = "/oauth2/start?rd=/page&restarted=1";
    let late = callback(&mut slow, start, "alice").await;
    at.clock.advance(Duration::from_secs(605));
    let page = slow.navigate(late.as_str()).await;
    check_page(&page);
    assert!(page.body.contains("longer than ten minutes"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_state_gets_400() {
    let stack = Stack::start().await;
    let elsewhere = Stack::start().await;
    let mut browser = stack.browser();
    let good = callback(&mut browser, "/", "alice").await;
    let theirs = callback(&mut elsewhere.browser(), "/", "alice").await;
    let find = |url: &Url| url.query_pairs().find(|pair| pair.0 == "state").unwrap().1.into_owned();
    let (state, theirs) = (find(&good), find(&theirs));
    let mut forged = vec![theirs, state[1..].to_owned(), format!("{state}A"), format!("{state}=")];
    for place in (0..state.len()).step_by(17) {
        let letter = if state.as_bytes()[place] == b'A' { "B" } else { "A" };
        forged.push(format!("{}{letter}{}", &state[..place], &state[place + 1..]));
    }
    forged.push("A".repeat(10_000));
    for forged in forged {
        let page = browser.navigate(&good.as_str().replace(&state, &forged)).await;
        check_page(&page);
    }
    let twice = format!("{good}&state={state}");
    check_page(&browser.navigate(&twice).await);
    assert_eq!(stack.codes_sent(), 0);
    stack.gateway.log_until("the state is forged");
    assert_eq!(browser.open(good.as_str()).await.status, 200, "none of them spent it");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_target_is_kept_in_a_cookie_that_the_last_sign_in_replaces() {
    let stack = Stack::start().await;
    let long = |letter: &str| format!("/{letter}?q={}", letter.repeat(1200));
    let fields = [("username", "alice"), ("password", "alice")];
    let mut browser = stack.browser();
    let arrived = provider::sign_in(&mut browser, &long("a"), "alice").await;
    assert_eq!(arrived.json()["target"], long("a"));

    let mut browser = stack.browser();
    let (_first, second) = (browser.open(&long("a")).await, browser.open(&long("b")).await);
    assert_eq!(browser.cookies().len(), 2, "{:?}", browser.cookies());
    let arrived = browser.fill(&second, &fields).await;
    assert_eq!(arrived.json()["target"], long("b"));

    let mut browser = stack.browser();
    let (first, _second) = (browser.open(&long("a")).await, browser.open(&long("b")).await);
    let arrived = browser.fill(&first, &fields).await;
    assert_eq!(arrived.json()["target"], "/a", "its cookie is gone: the path only");

    let mut browser = stack.browser();
    let page = browser.open(&long("a")).await;
    browser.forget("portcullis-login-target");
    assert_eq!(browser.fill(&page, &fields).await.json()["target"], "/a");

    let mut browser = stack.browser();
    let page = browser.open(&format!("/a?q={}", "a".repeat(3000))).await;
    let stored: usize =
        browser.cookies().iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(stored < 4096, "{stored} bytes of cookies");
    assert_eq!(browser.fill(&page, &fields).await.json()["target"], "/a", "over 2 KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_sign_in_survives_a_restart_with_a_configured_secret() {
    let secret = "session: { secret: \"0123456789abcdef0123456789abcdef-0123456789\" }\n";
    let stack = Stack::builder().sections(secret).start().await;
    let mut browser = stack.browser();
    let waiting = callback(&mut browser, "/page", "alice").await;
    let next = stack.second_gateway();
    assert!(stack.gateway.stop().success());
    browser.moved_to(&next);
    let arrived = browser.open(waiting.as_str()).await;
    assert_eq!((arrived.status.as_u16(), &arrived.json()["target"]), (200, &"/page".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_sign_in_gets_a_page_after_a_restart_without_a_secret() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    let waiting = callback(&mut browser, "/page", "alice").await;
    let next = stack.second_gateway();
    assert!(stack.gateway.stop().success());
    browser.moved_to(&next);
    let page = browser.navigate(waiting.as_str()).await;
    check_page(&page);
    assert!(page.body.contains("has been restarted"), "{}", page.body);
    next.log_until("or from before a restart without session.secret");
    assert_eq!(stack.provider.counts().code_exchanges, 0);
    assert_eq!(browser.open("/page").await.status, 200, "the provider knows the browser still");
}

/// Tabs that a browser restores at its start send no cookie, and overwrite each other's.
#[tokio::test(flavor = "multi_thread")]
async fn restored_tabs_that_start_together_all_reach_their_targets() {
    let stack = Stack::start().await;
    let target = |tab: usize| format!("/tab?number={tab}");
    let mut browser = stack.browser();
    let mut tabs = Vec::new();
    for tab in 0..14 {
        // Each in the state that the browser was in before any of them had an answer.
        let mut cold = stack.browser();
        let start = cold.navigate(&target(tab)).await.redirect().unwrap();
        tabs.push((cold.navigate(start.as_str()).await, target(tab)));
    }
    for (answer, _) in &tabs {
        browser.share(answer);
    }
    // The user fills in one form; the provider then has a session for the other tabs.
    for (answer, target) in &tabs {
        let page = browser.open(answer.redirect().unwrap().as_str()).await;
        let arrived = if page.body.contains("<form") {
            browser.fill(&page, &[("username", "alice"), ("password", "alice")]).await
        } else {
            page
        };
        assert_eq!(arrived.status, 200, "{arrived:?}");
        assert_eq!(arrived.json()["target"], *target);
    }
    assert_eq!(stack.codes_sent(), 1, "one of them signed in, the others found that done");
}

/// The same, where every tab's form is open before the first one is sent.
#[tokio::test(flavor = "multi_thread")]
async fn restored_tabs_with_open_forms_all_reach_their_targets() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    let mut tabs = Vec::new();
    for tab in 0..12 {
        let mut cold = stack.browser();
        let start = cold.navigate(&format!("/tab?number={tab}")).await.redirect().unwrap();
        let answer = cold.navigate(start.as_str()).await;
        browser.share(&answer);
        tabs.push(cold.navigate(answer.redirect().unwrap().as_str()).await);
    }
    for (tab, page) in tabs.iter().enumerate() {
        let arrived = browser.fill(page, &[("username", "alice"), ("password", "alice")]).await;
        assert_eq!(arrived.status, 200, "{arrived:?}");
        assert_eq!(arrived.json()["target"], format!("/tab?number={tab}"));
    }
    let cookie = browser.cookie("/", "portcullis").unwrap().to_owned();
    assert_eq!(browser.fetch("/").await.status, 200);
    assert_eq!(browser.cookie("/", "portcullis"), Some(cookie.as_str()), "one session for all");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_sets_a_new_session_and_ends_the_planted_one() {
    let stack = Stack::start().await;
    let mut mallory = stack.browser();
    provider::sign_in(&mut mallory, "/", "bob").await;
    let planted = mallory.cookie("/", "portcullis").unwrap().to_owned();
    for planted in [planted.as_str(), &"A".repeat(43), "chosen"] {
        let mut alice = stack.browser();
        alice.plant("portcullis", planted);
        let start = "/oauth2/start?rd=/&prompt=login";
        let arrived = provider::sign_in(&mut alice, start, "alice").await;
        assert_eq!(arrived.json()["headers"]["x-forwarded-user"], "demo-alice");
        let ours = alice.cookie("/", "portcullis").unwrap();
        assert!(ours != planted && ours.len() == 43, "{ours}");
    }
    assert_eq!(mallory.fetch("/").await.status, 401, "who planted it has nothing of it");
}

/// T94: the cookies of a browser that starts sign-ins and never finishes one.
#[tokio::test(flavor = "multi_thread")]
async fn unfinished_sign_ins_with_long_targets_leave_few_cookies() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    for number in 0..30 {
        browser.open(&format!("/page?number={number}&q={}", "x".repeat(number * 60))).await;
    }
    let cookies = browser.cookies();
    let bytes: usize = cookies.iter().map(|(name, value)| name.len() + value.len() + 3).sum();
    assert!(cookies.len() <= 2 && bytes <= 4096, "{bytes} bytes in {cookies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_with_select_account_replaces_a_session_of_the_meantime() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    let start = "/oauth2/start?rd=/&prompt=select_account";
    let form = browser.open(start).await;
    provider::sign_in(&mut browser, "/page", "alice").await;
    let before = browser.clone();
    let arrived = browser.fill(&form, &[("username", "bob"), ("password", "bob")]).await;
    assert_eq!(arrived.json()["headers"]["x-forwarded-user"], "demo-bob");
    assert_eq!(before.clone().fetch("/").await.status, 401, "the session before it has ended");
}

/// T94: nothing is stored for a pending sign-in, so a flood of them uses no memory.
#[tokio::test(flavor = "multi_thread")]
async fn flood_of_started_sign_ins_uses_no_memory() {
    let stack = Stack::builder().sections("telemetry: { access_log: false }").start().await;
    stack.browser().open("/").await;
    let host = PUBLIC_URL.trim_start_matches("http://");
    let start = format!("GET /oauth2/start?rd=/page HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stack.gateway.pipeline(&start, 5_000, "HTTP/1.1 302 Found").await;
    let before = stack.gateway.memory();
    stack.gateway.pipeline(&start, 100_000, "HTTP/1.1 302 Found").await;
    let grown = stack.gateway.memory().saturating_sub(before) >> 10;
    // A table with nothing but a hash for each would be as large as that.
    assert!(grown < 2048, "grown by {grown} KiB");
    let mut browser = stack.browser();
    assert_eq!(provider::sign_in(&mut browser, "/", "alice").await.status, 200);
}
