//! What an application is told of its visitor, and what nobody can make it believe.

use http::{HeaderName, HeaderValue};

use crate::support::browser::Browser;
use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;

fn public_route(upstream: &Upstream) -> Gateway {
    Gateway::start(&format!(
        "routes: [{{ upstream: \"http://{}\", allow: public }}]",
        upstream.address
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_identity_never_arrives_in_any_spelling() {
    let upstream = Upstream::start().await;
    let gateway = public_route(&upstream);
    let forged = [
        "x-forwarded-user",
        "x_forwarded_user",
        "x.forwarded.user",
        "x-forwarded_email",
        "x-forwarded-groups",
        "x-forwarded-preferred-username",
        "x-forwarded-access-token",
        "x-auth-request-user",
        "x-auth-request-email",
        "x-real-ip",
        "x-original-url",
        "x-rewrite-url",
        "forwarded",
        "true-client-ip",
        "proxy",
    ];
    let mut browser = Browser::new(&gateway);
    for name in forged {
        browser.extra.insert(HeaderName::from_static(name), HeaderValue::from_static("mallory"));
    }
    let told = browser.fetch("/").await.json();
    assert!(!told["headers"].to_string().contains("mallory"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_headers_tell_the_connection_not_what_the_visitor_claims() {
    let upstream = Upstream::start().await;
    let gateway = public_route(&upstream);
    let mut browser = Browser::new(&gateway);
    browser.extra.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
    browser.extra.insert("x-forwarded-host", HeaderValue::from_static("evil.example"));
    browser.extra.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    let headers = browser.fetch("/").await.json()["headers"].clone();
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-host"], "wiki.localhost");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-real-ip"], "127.0.0.1");
    assert_eq!(headers["host"], "wiki.localhost");
    assert!(headers["x-request-id"].is_string(), "{headers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_cookies_stay_with_the_gateway() {
    let upstream = Upstream::start().await;
    let gateway = public_route(&upstream);
    let mut browser = Browser::new(&gateway);
    let cookies = HeaderValue::from_static("theme=dark; portcullis=secret-id; lang=en");
    browser.extra.insert(http::header::COOKIE, cookies);
    let headers = browser.fetch("/").await.json()["headers"].clone();
    assert_eq!(headers["cookie"], "theme=dark; lang=en");
}
