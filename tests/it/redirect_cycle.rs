//! A browser whose sign-ins start again without end: it rejects the session cookie, another instance answers, the proxy
//! does not pass the cookie on, or each session ends at once.
//! Each cycle ends within a few rounds, in a page that names the cause; a sound browser does not meet it.

use http::HeaderValue;
use http::header::HOST;

use crate::support::browser::{Answer, Browser, Door};
use crate::support::faults::{Fault, GrantType, TokenFault};
use crate::support::provider;
use crate::support::stack::Stack;
use crate::support::wire::status;

const SECRET: &str = "session: { secret: \"0123456789abcdef0123456789abcdef-0123456789\" }\n";
const IN_THE_LOG: &str = "a browser signed in three times within a minute";

/// The page that ends a cycle.
#[track_caller]
fn check_page(page: &Answer) {
    check_page_with(page, &["does not accept the cookie", "another instance of this site answers"]);
}

#[track_caller]
fn check_page_with(page: &Answer, texts: &[&str]) {
    assert_eq!(page.status, 400, "{page:?}");
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    for text in texts.iter().chain(&["several times", "Try again"]) {
        assert!(page.body.contains(text), "{text}: {}", page.body);
    }
    for name in ["portcullis", "portcullis-login", "portcullis-login-target"] {
        let mut cleared = page.headers.get_all("set-cookie").iter();
        let is = |line: &str| line.starts_with(&format!("{name}=;")) && line.contains("Max-Age=0");
        assert!(cleared.any(|line| is(line.to_str().unwrap())), "{name}: {page:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_that_rejects_the_session_cookie_gets_a_page_instead_of_a_fourth_round() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    browser.reject("portcullis");
    let page = provider::sign_in(&mut browser, "/page", "alice").await;
    check_page(&page);
    assert!(!page.body.contains("domain of the cookie"), "{}", page.body);
    assert_eq!(stack.codes_sent(), 3);
    stack.gateway.log_until_all(&[IN_THE_LOG, "another instance answers"]);
    // A user who then accepts the cookie is not held up.
    browser.accept("portcullis");
    let arrived = browser.open("/page").await;
    assert_eq!((arrived.status.as_u16(), &arrived.json()["target"]), (200, &"/page".into()));
}

/// A load balancer that sends the paths of the gateway to one instance, and pages to another.
#[tokio::test(flavor = "multi_thread")]
async fn two_instances_split_by_path_end_the_cycle_before_the_fourth_round() {
    for sections in [SECRET, ""] {
        let stack = Stack::builder().sections(sections).start().await;
        let other = stack.second_gateway();
        let (endpoints, pages) = (stack.gateway.address, other.address);
        let mut browser = Browser::before(Door::ByPath { endpoints, pages });
        let page = provider::sign_in(&mut browser, "/page", "alice").await;
        check_page_with(&page, &["does not get the cookie", "Another instance of this site"]);
        assert_eq!(stack.codes_sent(), 3);
        stack.gateway.log_until_all(&[IN_THE_LOG, "another instance answers them"]);
    }
}

/// The proxy sends auth subrequests without the cookie of the browser, which comes with requests to sign in.
#[tokio::test(flavor = "multi_thread")]
async fn cycle_behind_a_proxy_that_does_not_pass_cookies_on_names_the_proxy() {
    let clients = "forward_auth: { clients: [{ from: [127.0.0.1], proxy: nginx }] }";
    let stack = Stack::builder().server(clients).start().await;
    let mut browser = stack.browser();
    let subrequest = "X-Original-URI: /page\r\nX-Original-Method: GET\r\n";
    for _ in 0..3 {
        let answer = stack.answer("GET /oauth2/auth", subrequest).await;
        assert_eq!(status(&answer), 401, "{answer}");
        let callback = provider::callback(&mut browser, "/oauth2/start?rd=/page", "alice").await;
        let there = browser.navigate(callback.as_str()).await.redirect().unwrap();
        assert_eq!(there.path(), "/page");
    }
    let page = browser.open("/oauth2/start?rd=/page").await;
    check_page_with(&page, &["does not pass the cookie on", "the domain of the cookie"]);
    assert_eq!(stack.codes_sent(), 3);
    stack.gateway.log_until_all(&[
        IN_THE_LOG,
        "does not pass the header Cookie on",
        "allowed_headers",
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cycle_of_sessions_that_end_at_once_names_the_reason() {
    for (fault, reason) in [
        (TokenFault::UnauthorizedClient, "unauthorized_client"),
        (TokenFault::InvalidGrant, "invalid_grant"),
        (TokenFault::NotOk, "no `access_token`"),
    ] {
        let faults = [
            Fault::Token(GrantType::SignIn, TokenFault::ExpiresNegative),
            Fault::Token(GrantType::Refresh, fault),
        ];
        let stack = Stack::builder().faults(&faults).start().await;
        let mut browser = stack.browser();
        let page = provider::sign_in(&mut browser, "/page", "alice").await;
        check_page_with(&page, &["your session ended at once", "had expired already"]);
        assert_eq!(stack.codes_sent(), 3, "{fault:?}");
        stack.gateway.log_until_all(&[IN_THE_LOG, "no use at its first request", reason]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_with_one_secret_end_the_cycle_before_the_fourth_round() {
    let stack = Stack::builder().sections(SECRET).start().await;
    let other = stack.second_gateway();
    let mut browser = Browser::before(Door::round_robin([&stack.gateway, &other]));
    let page = provider::sign_in(&mut browser, "/page", "alice").await;
    check_page_with(&page, &["does not get the cookie", "Another instance of this site"]);
    assert_eq!(stack.codes_sent(), 3, "of both instances");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_without_a_secret_name_the_other_instance_at_once() {
    let stack = Stack::start().await;
    let other = stack.second_gateway();
    let mut browser = Browser::before(Door::round_robin([&stack.gateway, &other]));
    let page = provider::sign_in(&mut browser, "/page", "alice").await;
    assert_eq!(page.status, 400, "{page:?}");
    assert!(page.body.contains("another instance"), "{}", page.body);
    assert_eq!(stack.codes_sent(), 0);
    stack.gateway.log_until("from another instance with another session.secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn cycle_with_forward_auth_names_the_domain_of_the_cookie() {
    let clients = "forward_auth: { clients: [{ from: [127.0.0.9], proxy: nginx }] }";
    let cookie = "session: { cookie: { domain: wiki.localhost } }";
    let stack = Stack::builder().server(clients).sections(cookie).start().await;
    let mut browser = stack.browser();
    browser.reject("portcullis");
    let page = provider::sign_in(&mut browser, "/page", "alice").await;
    check_page(&page);
    assert!(page.body.contains("domain of the cookie"), "{}", page.body);
    stack.gateway.log_until_all(&[IN_THE_LOG, "session.cookie.domain (wiki.localhost)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_that_signs_out_and_in_four_times_meets_no_page() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    for _ in 0..5 {
        let arrived = provider::sign_in(&mut browser, "/page", "alice").await;
        assert_eq!(arrived.status, 200, "{arrived:?}");
        let signed_out = browser.open("/oauth2/sign_out").await;
        assert_eq!(signed_out.status, 200, "{signed_out:?}");
        assert_eq!(browser.fetch("/").await.status, 401);
    }
    // Also if it signs out without another request: the sign-out brings the session.
    for _ in 0..5 {
        let callback = provider::callback(&mut browser, "/page", "alice").await;
        assert!(browser.navigate(callback.as_str()).await.redirect().is_some());
        browser.open("/oauth2/sign_out").await;
    }
    // And if it signs in again and again, but opens a page in between.
    provider::sign_in(&mut browser, "/page", "alice").await;
    for _ in 0..4 {
        let arrived = browser.open("/oauth2/start?rd=/page").await;
        assert_eq!(arrived.status, 200, "{arrived:?}");
    }
    assert_eq!(stack.codes_sent(), 15);
    // Or to different pages, without opening them.
    for page in 0..5 {
        let path = format!("/oauth2/start?rd=/page/{page}");
        let callback = provider::callback(&mut browser, &path, "alice").await;
        let there = browser.navigate(callback.as_str()).await.redirect().unwrap();
        assert_eq!(there.path(), format!("/page/{page}"));
    }
}

/// A browser that restores many tabs of the site, whose session has ended: they sign in at once, and each opens its page.
#[tokio::test(flavor = "multi_thread")]
async fn tabs_that_sign_in_at_once_meet_no_page() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    let mut callbacks = Vec::new();
    for tab in 0..6 {
        callbacks.push(provider::callback(&mut browser, &format!("/tab/{tab}"), "alice").await);
    }
    for callback in callbacks {
        let arrived = browser.open(callback.as_str()).await;
        assert_eq!(arrived.status, 200, "{arrived:?}");
    }
    assert_eq!(stack.codes_sent(), 1);
}

/// A session cookie that another host has set next to ours makes none of them usable.
#[tokio::test(flavor = "multi_thread")]
async fn start_clears_session_cookies_with_different_values() {
    let stack = Stack::start().await;
    let fields = "Cookie: portcullis=a; portcullis=b\r\n";
    let answer = stack.answer("GET /oauth2/start?rd=/", fields).await;
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
    assert!(answer.contains("portcullis=; "), "{answer}");
    let none = stack.answer("GET /oauth2/start?rd=/", "Cookie: portcullis=a\r\n").await;
    assert!(!none.contains("portcullis=; "), "{none}");
}

/// A proxy in front changes `Host`, so no request is at `public_url`. Every redirect of the gateway ends.
#[tokio::test(flavor = "multi_thread")]
async fn redirects_end_behind_a_proxy_that_changes_host() {
    let routes = ["UPSTREAM, allow: authenticated", "host: \"*\", UPSTREAM, allow: public"];
    for server in ["trusted_proxies: []", "trusted_proxies: [127.0.0.1]"] {
        let stack = Stack::builder().server(server).routes(routes).start().await;
        for host in ["backend.example", "wiki.localhost.", "app.localhost:81", "127.0.0.1"] {
            for path in [
                "/oauth2/start?rd=/page",
                "/oauth2/start?rd=http://wiki.localhost/page",
                "/oauth2/start?rd=/oauth2/start",
                "/oauth2/sign_in?rd=/page",
                "/oauth2/sign_in?rd=/oauth2/sign_in",
                "/oauth2/sign_out?rd=/oauth2/sign_out",
                "/oauth2/sign_out?rd=http://wiki.localhost/oauth2/sign_out",
                "/oauth2/signed_out",
                "/oauth2/callback",
            ] {
                let mut browser = stack.browser();
                browser.extra.insert(HOST, HeaderValue::from_str(host).unwrap());
                let (mut address, mut rounds) = (path.to_owned(), 0);
                let page = loop {
                    let answer = browser.navigate(&address).await;
                    // Behind the provider's sign-in page, the browser is where the cycle can end for good.
                    let Some(next) = answer.redirect() else { break answer };
                    if next.host_str() != Some("wiki.localhost") {
                        break answer;
                    }
                    (address, rounds) = (next.into(), rounds + 1);
                    assert!(rounds < 4, "{path} at {host}: {answer:?}");
                };
                // A trusted proxy may keep the host of the browser to itself, so its requests go on.
                let is_start = path.contains("/start") || path.contains("/sign_in");
                if is_start && (page.status != 302 || server.ends_with("[]")) {
                    check_changed_host(&page, host);
                }
            }
        }
        stack.gateway.log_until_all(&[
            "a redirect cycle: a request for http://wiki.localhost came",
            "X-Forwarded-Host",
        ]);
    }
}

#[track_caller]
fn check_changed_host(page: &Answer, host: &str) {
    assert_eq!(page.status, 400, "{host}: {page:?}");
    assert!(page.body.contains("changes the name (Host)"), "{host}: {}", page.body);
}

/// A link on another host leads to `public_url` once, and on from there.
#[tokio::test(flavor = "multi_thread")]
async fn start_on_another_host_goes_on_at_public_url() {
    let cookie = "session: { cookie: { domain: wiki.localhost } }";
    let routes = [
        "UPSTREAM, allow: authenticated",
        "host: a.wiki.localhost, UPSTREAM, allow: authenticated",
    ];
    let stack = Stack::builder().sections(cookie).routes(routes).start().await;
    let mut browser = stack.browser();
    for endpoint in ["start", "sign_in"] {
        let address = format!("http://a.wiki.localhost/oauth2/{endpoint}?rd=/page");
        let there = browser.navigate(&address).await.redirect().unwrap();
        assert_eq!(there.host_str(), Some("wiki.localhost"));
        let next = browser.navigate(there.as_str()).await.redirect().unwrap();
        assert!(!next.as_str().contains("redirected"), "{next}");
        assert_ne!(next.host_str(), Some("a.wiki.localhost"));
    }
}
