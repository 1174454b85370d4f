//! Sign-out at the provider: the hint, and the way back.

use std::time::Duration;

use http::{HeaderValue, Method};

use crate::support::browser::{Answer, Browser};
use crate::support::faults::{DemoEndpoint, Fault, IdentityProvider, NetworkFault};
use crate::support::provider;
use crate::support::stack::Stack;
use crate::support::upstream::Upstream;

/// Gives the user so many groups that an ID token is longer than 3 KiB.
fn set_many_groups(provider: &IdentityProvider) {
    let names: Vec<String> = (0..80).map(|n| format!("group-{n:04}-{}", "x".repeat(37))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    provider.set_groups("alice", &names);
}

async fn stack_with_long_tokens() -> Stack {
    let sections = "session: { cookie: { domain: wiki.localhost } }";
    let stack = Stack::builder()
        .sections(sections)
        .routes([
            "UPSTREAM, allow: authenticated",
            "path: /open, UPSTREAM, allow: public, host: docs.wiki.localhost",
        ])
        .start()
        .await;
    set_many_groups(&stack.provider);
    stack
}

async fn signed_in(stack: &Stack) -> Browser {
    let mut browser = stack.browser();
    provider::sign_in(&mut browser, "/", "alice").await;
    assert_eq!(browser.fetch("/oauth2/userinfo").await.status, 200);
    browser
}

fn has_hint(answer: &Answer) -> bool {
    let to = answer.redirect().unwrap();
    to.query_pairs().any(|(name, _)| name == "id_token_hint")
}

#[tokio::test(flavor = "multi_thread")]
async fn long_hint_reaches_the_provider_by_a_form_and_the_browser_comes_back() {
    let stack = stack_with_long_tokens().await;
    let issuer = url::Url::parse(stack.provider.issuer()).unwrap().origin().ascii_serialization();
    let (wiki, docs) = ("http://wiki.localhost", "http://docs.wiki.localhost");
    let to_docs = format!("{docs}/open");
    for (address, origins, reached) in [
        ("/oauth2/sign_out", format!("{issuer} {wiki}"), &*format!("{wiki}/oauth2/signed_out")),
        (&format!("/oauth2/sign_out?rd={to_docs}"), format!("{issuer} {wiki} {docs}"), &to_docs),
        (&format!("{docs}/oauth2/sign_out?rd=/open"), format!("{issuer} {wiki} {docs}"), &to_docs),
    ] {
        for method in [Method::GET, Method::POST] {
            let mut browser = signed_in(&stack).await;
            let page = match method {
                Method::GET => browser.navigate(address).await,
                _ => browser.submit(address, &[]).await,
            };
            assert_eq!(page.status, 200, "{page:?}");
            // Signed out here, also if the form is never sent.
            assert_eq!(browser.cookie("/", "portcullis"), None);
            assert_eq!(page.header("cache-control"), "no-store");
            assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
            let policy = page.header("content-security-policy");
            assert!(policy.contains(&format!("form-action {origins};")), "{policy}");
            assert!(page.body.contains(">Sign out at Company</button>"), "{}", page.body);
            let (action, fields) = page.form();
            assert!(action.as_str().starts_with(stack.provider.issuer()), "{action}");
            let hint = fields.iter().find(|(name, _)| name == "id_token_hint");
            assert!(hint.is_some_and(|(_, hint)| hint.len() > 3 * 1024), "{fields:?}");
            let back = browser.fill(&page, &[]).await;
            assert!(back.url.as_str().starts_with(reached), "{}", back.url);
            assert_eq!(back.status, 200, "{back:?}");
            // The browser's Back button loads the page again, without a token.
            let again = browser.navigate(address).await;
            assert!(!has_hint(&again), "{again:?}");
            let page = browser.open("/").await;
            assert!(page.body.contains("username"), "signed out at the provider, too: {page:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_is_in_no_page_that_a_script_can_read() {
    let stack = stack_with_long_tokens().await;
    for fields in [
        [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
        [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        [("sec-fetch-mode", "navigate"), ("accept", "*/*")],
        [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "empty")],
        [("sec-fetch-dest", "document"), ("service-worker-navigation-preload", "true")],
    ] {
        let mut browser = signed_in(&stack).await;
        for (name, value) in fields {
            browser.extra.insert(name, HeaderValue::from_static(value));
        }
        let answer = browser.submit("/oauth2/sign_out", &[]).await;
        assert!(!has_hint(&answer), "{answer:?}");
        assert!(answer.body.is_empty(), "{answer:?}");
        browser.extra.clear();
        assert_eq!(browser.fetch("/oauth2/userinfo").await.status, 401);
    }
    let mut browser = signed_in(&stack).await;
    let head = browser.ask(Method::HEAD, "/oauth2/sign_out").await;
    assert_eq!((head.status.as_u16(), &*head.body), (200, ""));
    assert_eq!(browser.fetch("/oauth2/userinfo").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn hint_whose_key_is_gone_is_left_out() {
    let upstream = Upstream::start().await;
    let at = Stack::builder().start_clocked(&upstream).await;
    let mut browsers = Vec::new();
    for _ in 0..3 {
        let mut browser = at.browser();
        provider::sign_in(&mut browser, "/", "alice").await;
        browsers.push(browser);
    }
    let mut sign_out = async || {
        at.clock.advance(Duration::from_secs(2));
        let mut browser = browsers.pop().unwrap();
        let answer = browser.navigate("/oauth2/sign_out").await;
        let back = browser.open(answer.redirect().unwrap().as_str()).await;
        assert!(
            back.url.as_str().starts_with("http://wiki.localhost/oauth2/signed_out"),
            "{back:?}"
        );
        has_hint(&answer)
    };
    assert!(sign_out().await);
    at.provider.rotate_keys().unwrap();
    // Without an answer, the known keys decide.
    let fault = Fault::Network(DemoEndpoint::Jwks, NetworkFault::InternalError);
    at.provider.set_faults(&[fault]);
    assert!(sign_out().await);
    at.provider.set_faults(&[]);
    assert!(!sign_out().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn local_sign_out_asks_nothing_of_the_provider() {
    for (keys, revocations) in [("sign_out: local", 0), ("sign_out: provider", 1)] {
        let stack = Stack::builder().provider_keys(keys).start().await;
        let mut browser = stack.browser_of("alice").await;
        let before = stack.provider.counts();
        let answer = browser.navigate("/oauth2/sign_out").await;
        assert_eq!(has_hint(&answer), revocations == 1, "{answer:?}");
        assert_eq!(browser.fetch("/").await.status, 401);
        // The end of the process waits for a revocation.
        assert!(stack.gateway.stop().success());
        let after = stack.provider.counts();
        assert_eq!(after.revocations, revocations, "{keys}");
        if revocations == 0 {
            assert_eq!(after, before, "no request at all");
        }
    }
}
