//! Forward auth with each server that has an example in `deploy/`: one table of tests, one row a server.
//! Invariant: a request that Portcullis denies never reaches the application, with any headers.

use std::net::SocketAddr;

use http::{HeaderName, HeaderValue, Method};
use serde_json::Value;

use crate::component::{
    VISITOR, caddy, envoy, envoy_grpc, f5_nginx_ingress, haproxy, nginx, traefik,
};
use crate::deployment::{A_MINUTE, Declared, Deployment};
use crate::support::browser::{Answer, Browser};
use crate::support::provider;
use crate::support::wire::status;
use crate::traffic::{
    large_cookies_and_groups_reach_the_application, upload_reaches_the_application_whole_and_once,
};

/// The tests with one server: its name here, the word for it in `clients`, and how it starts.
macro_rules! with {
    ($name:ident, $proxy:literal, $start:path) => {
        mod $name {
            use super::*;

            async fn deployment(declared: Declared) -> Deployment {
                Deployment::start($proxy, declared, $start).await
            }

            async fn in_front_of(application: SocketAddr) -> Deployment<SocketAddr> {
                let (proxy, declared) = ($proxy, Declared::Shared);
                Deployment::in_front_of(application, A_MINUTE, proxy, declared, $start).await
            }

            tests!(deployment:
                signed_in_request_reaches_the_application_with_identity,
                denied_user_gets_403_page,
                request_without_session_is_sent_to_sign_in,
                only_a_person_who_opens_a_page_is_sent_to_sign_in,
                session_cookie_is_hidden_from_the_application,
                forged_identity_header_never_reaches_the_application,
                forged_description_of_the_request_opens_nothing,
                genuine_description_of_the_request_opens_what_it_should,
                ambiguous_path_never_reaches_the_application,
                request_for_an_auth_endpoint_is_kept_out,
                gateway_that_is_down_denies_everything,
                large_cookies_and_groups_reach_the_application,
                upload_reaches_the_application_whole_and_once,
            );

            #[tokio::test(flavor = "multi_thread")]
            async fn websocket_is_forwarded_and_no_other_protocol() {
                crate::websocket::websocket_is_forwarded_and_no_other_protocol(in_front_of).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn event_is_sent_before_the_next_one_exists() {
                crate::traffic::event_is_sent_before_the_next_one_exists(in_front_of).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn auth_endpoints_on_their_own_listener_decide() {
                let deployment = deployment(Declared::Apart).await;
                super::signed_in_request_reaches_the_application_with_identity(deployment).await;
                let deployment = self::deployment(Declared::Apart).await;
                super::request_for_an_auth_endpoint_is_kept_out(deployment).await;
            }
        }
    };
}

macro_rules! tests {
    ($deployment:ident: $($test:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test($deployment(Declared::Shared).await).await;
            }
        )+
    };
}

with!(nginx_of_debian, "nginx", nginx::start);
with!(envoy_over_http, "envoy", envoy::start);
with!(envoy_over_grpc, "envoy", envoy_grpc::start);
with!(envoy_over_grpc_with_text_fields, "envoy", envoy_grpc::with_text_fields);
with!(traefik_current, "traefik", traefik::start);
with!(caddy_current, "caddy", caddy::current);
with!(traefik_behind_a_balancer, "traefik", traefik::behind_a_balancer);
with!(caddy_behind_a_balancer, "caddy", caddy::behind_a_balancer);
with!(caddy_of_debian, "caddy", caddy::debian);
with!(f5_nginx_ingress_controller, "nginx", f5_nginx_ingress::start);
with!(haproxy_of_debian, "haproxy", haproxy::start);

async fn signed_in_request_reaches_the_application_with_identity(deployment: Deployment) {
    let mut browser = deployment.server.browser();
    let answer = provider::sign_in(&mut browser, "/page?a=1&b=%2F&c=[2]", "alice").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.url.as_str(), "http://wiki.localhost/page?a=1&b=%2F&c=%5B2%5D");
    assert_kept_to_itself(&answer);
    let seen = answer.json();
    assert_eq!(seen["target"], "/page?a=1&b=%2F&c=%5B2%5D");
    let headers = &seen["headers"];
    assert_eq!(headers["x-forwarded-user"], "demo-alice");
    assert_eq!(headers["x-forwarded-email"], "alice@example.com");
    assert_eq!(headers["x-forwarded-groups"], "staff");
    assert_eq!(headers["x-forwarded-preferred-username"], "alice");
    assert_eq!(browser.submit("/page", &[("a", "b")]).await.json()["body"], "a=b");
    let away = browser.navigate("/oauth2/sign_out").await.redirect().unwrap();
    assert!(away.as_str().starts_with(deployment.provider.issuer()), "{away}");
    assert_eq!(browser.fetch("/page").await.status, 401);
}

pub(crate) async fn denied_user_gets_403_page(deployment: Deployment) {
    let mut bob = deployment.member("bob").await;
    bob.plant("wiki", APPLICATION_COOKIE);
    let before = deployment.upstream.request_count();
    let page = bob.navigate("/staff?allowed_groups=").await;
    assert_eq!(page.status, 403, "{page:?}");
    assert!(page.body.contains("(bob@example.com)"), "{page:?}");
    assert!(page.body.contains("prompt=select_account"), "{page:?}");
    assert_eq!(page.header("cache-control"), "no-store");
    assert_kept_to_itself(&page);
    let client = bob.fetch("/staff").await;
    assert_eq!(client.status, 403, "{client:?}");
    assert_kept_to_itself(&client);
    assert_eq!(bob.submit("/gets", &[("a", "b")]).await.status, 403);
    assert_eq!(deployment.upstream.request_count(), before);
    assert_eq!(bob.fetch("/gets").await.status, 200);
    bob.extra.insert("x-http-method-override", HeaderValue::from_static("DELETE"));
    let answer = bob.fetch("/gets").await;
    let forwarded = deployment.upstream.request_count() - before - 1;
    // Over gRPC the answer can remove a method override.
    match answer.status.as_u16() {
        200 => assert!(answer.json()["headers"]["x-http-method-override"].is_null(), "{answer:?}"),
        status => assert_eq!((status, forwarded), (403, 0), "a method override"),
    }
}

pub(crate) async fn request_without_session_is_sent_to_sign_in(deployment: Deployment) {
    let mut browser = deployment.server.browser();
    browser.plant("wiki", APPLICATION_COOKIE);
    let answer = browser.navigate("/page").await;
    let next = answer.redirect().unwrap_or_else(|| panic!("{answer:?}"));
    assert!(
        next.as_str().starts_with("http://wiki.localhost/oauth2/start")
            || next.as_str().starts_with(deployment.provider.issuer()),
        "{next}"
    );
    assert_kept_to_itself(&answer);
    for path in ["/page", "/staff", "/openx", "/page?x=/open"] {
        let answer = browser.fetch(path).await;
        assert_eq!(answer.status, 401, "{path}: {answer:?}");
        assert_kept_to_itself(&answer);
    }
    assert_eq!(browser.submit("/page", &[("a", "b")]).await.status, 401, "no redirect for a POST");
    assert_eq!(deployment.upstream.request_count(), 0);
    let answer = browser.fetch("/open/page?x").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["target"]), (200, &"/open/page?x".into()));
    assert_kept_to_itself(&answer);
}

async fn only_a_person_who_opens_a_page_is_sent_to_sign_in(deployment: Deployment) {
    for (fields, expected) in [
        ("Accept: text/html,*/*;q=0.8\r\n", 302),
        ("Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n", 302),
        ("", 401),
        ("Accept: */*\r\n", 401),
        ("Accept: application/json\r\n", 401),
        ("Accept: text/html\r\nX-Requested-With: XMLHttpRequest\r\n", 401),
        ("Accept: text/html\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n", 401),
        ("Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n", 401),
        ("Sec-Purpose: prefetch\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n", 401),
    ] {
        assert_eq!(send_raw(&deployment, "/page", fields).await, expected, "{fields}");
    }
    assert_eq!(deployment.upstream.request_count(), 0);
}

async fn session_cookie_is_hidden_from_the_application(deployment: Deployment) {
    let cookie = |answer: Answer| answer.json()["headers"]["cookie"].clone();
    let none = |value: Value| value.is_null() || value == "";
    let mut browser = deployment.server.browser();
    assert!(none(cookie(browser.fetch("/open").await)), "a request without cookies");
    browser.plant("first", "1");
    assert_eq!(cookie(browser.fetch("/open").await), "first=1");
    provider::sign_in(&mut browser, "/page", "alice").await;
    browser.plant("not-portcullis", "2");
    assert!(browser.cookie("/", "portcullis-login").is_some());
    browser.plant("portcullis-login-target", "a-sealed-address");
    assert_eq!(cookie(browser.fetch("/page").await), "first=1; not-portcullis=2");
    assert_eq!(cookie(browser.fetch("/open").await), "first=1; not-portcullis=2");
    browser.forget("not-portcullis");
    browser.forget("first");
    assert!(none(cookie(browser.fetch("/page").await)), "cookies of the gateway alone");
    assert!(none(cookie(browser.fetch("/open").await)), "cookies of the gateway alone");
    browser.plant("last", "3");
    assert_eq!(cookie(browser.fetch("/page").await), "last=3");
}

async fn forged_identity_header_never_reaches_the_application(deployment: Deployment) {
    let (mut stranger, mut alice) = (deployment.server.browser(), deployment.member("alice").await);
    for name in ["user", "email", "groups", "preferred-username"] {
        let name = format!("x-forwarded-{name}");
        let own = alice.fetch("/page").await.json()["headers"][&name].clone();
        assert!(own.is_string(), "{name}: {own}");
        for forged in [name.clone(), name.replace('-', "_"), name.replace('-', ".")] {
            let other_spelling = forged != name;
            let passes = |answer: &Answer| answer.status == 200 || other_spelling;
            for browser in [&mut stranger, &mut alice] {
                let answer = with_header(browser, &forged, "mallory", "/open").await;
                assert!(passes(&answer), "{forged}: {answer:?}");
            }
            let answer = with_header(&mut alice, &forged, "mallory", "/page").await;
            assert!(passes(&answer), "{forged}: {answer:?}");
            if answer.status == 200 {
                assert_eq!(answer.json()["headers"][&name], own);
            }
        }
    }
    let seen = Value::from(deployment.upstream.seen()).to_string();
    assert!(!seen.contains("mallory"), "{seen}");
}

pub(crate) async fn forged_description_of_the_request_opens_nothing(deployment: Deployment) {
    let mut stranger = deployment.server.browser();
    let forged =
        FORGED.iter().flat_map(|(names, value)| names.iter().map(move |name| (*name, *value)));
    for (name, value) in forged.clone() {
        for path in ["/page", "/preflight", "/inside", "/staff"] {
            let answer = with_header(&mut stranger, name, value, path).await;
            assert!(answer.status == 401 || answer.status == 403, "{name} at {path}: {answer:?}");
        }
    }
    for (name, value) in forged {
        stranger.extra.append(name, HeaderValue::from_static(value));
        for path in ["/page", "/preflight", "/inside"] {
            let status = stranger.fetch(path).await.status;
            assert!(status == 401 || status == 403, "up to {name} at {path}: {status}");
        }
    }
    assert_eq!(deployment.upstream.request_count(), 0);
}

/// Headers by which proxies describe a request, and a value of each that would open something.
const FORGED: [(&[&str], &str); 8] = [
    (
        &[
            "x-forwarded-uri",
            "x-original-uri",
            "x-auth-request-redirect",
            "path",
            "x-envoy-original-path",
        ],
        "/open",
    ),
    (&["x-original-url", "x-rewrite-url"], "http://wiki.localhost/open"),
    (&["x-original-url", "x-forwarded-uri"], "http://status.localhost/private/page"),
    (&["x-forwarded-host", "x-original-host"], "status.localhost"),
    (&["x-forwarded-method", "x-original-method", "method"], "OPTIONS"),
    (&["x-http-method-override", "x-http-method", "x-method-override"], "OPTIONS"),
    (
        &[
            "x-forwarded-for",
            "x-real-ip",
            "true-client-ip",
            "x-client-ip",
            "x-envoy-external-address",
        ],
        "10.1.2.3",
    ),
    (&["forwarded"], "for=10.1.2.3;host=status.localhost"),
];

/// The counterpart of the forged headers: what they say opens something where it is true.
async fn genuine_description_of_the_request_opens_what_it_should(deployment: Deployment) {
    let mut stranger = deployment.server.browser();
    assert_eq!(stranger.fetch("/open").await.status, 200);
    assert_eq!(stranger.ask(Method::OPTIONS, "/preflight").await.status, 200);
    assert_eq!(stranger.fetch("/preflight").await.status, 401);
    assert_eq!(stranger.fetch("/near").await.status, 200, "from {VISITOR}");
    assert_eq!(deployment.upstream.targets(), ["/open", "/preflight", "/near"]);
    assert_eq!(deployment.upstream.seen()[1]["method"], "OPTIONS");
}

pub(crate) async fn ambiguous_path_never_reaches_the_application(deployment: Deployment) {
    for path in
        ["/open/..;/page", "/open/..%2fpage", "/open/%252e%252e/page", "/OPEN", "/open%2f..%2fpage"]
    {
        let status = send_raw(&deployment, path, "").await;
        assert!((400..404).contains(&status), "{path}: {status}");
    }
    assert_eq!(deployment.upstream.request_count(), 0);
}

async fn request_for_an_auth_endpoint_is_kept_out(deployment: Deployment) {
    let mut alice = deployment.member("alice").await;
    alice.plant("wiki", "1");
    let before = deployment.upstream.request_count();
    let cookies = alice.cookies().into_iter().map(|(name, value)| format!("{name}={value}"));
    let cookies = format!("Cookie: {}\r\n", cookies.collect::<Vec<_>>().join("; "));
    for path in [
        "/oauth2/auth",
        "/oauth2/auth/",
        "/oauth2/auth/open",
        "/oauth2/auth?x=/",
        "/oauth2/forward_auth",
        "/oauth2/forward_auth/open",
        "/oauth2/%61uth",
        "/oauth2/forward%5fauth",
        "/oauth2//auth",
        "//oauth2/auth",
        "/%6fauth2/auth",
        "/OAUTH2/auth",
        "/oauth2/AUTH",
        "/oauth2/./auth",
        "/oauth2/start/../auth",
        "/oauth2/auth;x",
        "/oauth2/;x/auth",
        "/oauth2/auth%2fopen",
        "/oauth2%2fauth",
        "http://wiki.localhost/oauth2/auth",
    ] {
        for fields in ["", OPENING] {
            let status = send_raw(&deployment, path, &format!("{cookies}{fields}")).await;
            assert!((400..=404).contains(&status), "{path}: {status}");
        }
    }
    assert_eq!(deployment.upstream.request_count(), before);
}

/// What would make an auth endpoint answer.
const OPENING: &str = "X-Forwarded-Uri: /open\r\nX-Forwarded-Method: GET\r\n";

async fn gateway_that_is_down_denies_everything(deployment: Deployment) {
    let Deployment { upstream, gateway, server, .. } = deployment;
    assert!(gateway.stop().success());
    for path in ["/page", "/open"] {
        let answer = server.browser().fetch(path).await;
        assert!(answer.status == 403 || answer.status.is_server_error(), "{path}: {answer:?}");
    }
    assert_eq!(upstream.request_count(), 0);
}

/// A request with one more header.
async fn with_header(browser: &mut Browser, name: &str, value: &'static str, path: &str) -> Answer {
    let name: HeaderName = name.parse().unwrap();
    browser.extra.insert(name.clone(), HeaderValue::from_static(value));
    let answer = browser.fetch(path).await;
    browser.extra.remove(name);
    answer
}

/// The status of a request whose target no browser would send.
async fn send_raw(deployment: &Deployment, target: &str, fields: &str) -> u16 {
    let mut wire = deployment.server.wire().await;
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: wiki.localhost\r\nConnection: close\r\n{fields}\r\n"
    );
    wire.say(head).await;
    let answer = wire.rest().await;
    assert!(!answer.to_ascii_lowercase().contains("\r\nx-forwarded-user:"), "{target}: {answer}");
    status(&answer)
}

/// Scripts of a page can read an answer: none of it is meant for the application.
pub(crate) fn assert_kept_to_itself(answer: &Answer) {
    let mut names = answer.headers.keys().map(HeaderName::as_str);
    let leaked = names.find(|name| {
        *name == "cookie" || name.starts_with("x-auth-request-") || name.starts_with("x-forwarded-")
    });
    assert_eq!(leaked, None, "{answer:?}");
    if answer.status != 200 {
        let whole = format!("{answer:?}");
        assert!(!whole.contains(APPLICATION_COOKIE), "{whole}");
    }
}

/// The value of a cookie that only the application sets and reads.
pub(crate) const APPLICATION_COOKIE: &str = "the-application's-own-session";
