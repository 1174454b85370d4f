//! The host of a request (RFC 9112 §3.2, RFC 9110 §7.2): exactly one, and a known one.

use super::{Case, Stack, answers_to, case, count, get, status};
use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;
use crate::support::wire::field;

fn to(host: &str) -> String {
    format!("GET /open HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_repeated_or_malformed_host_is_rejected() {
    let stack = Stack::start().await;
    let mut cases: Vec<Case> = [
        "",
        "a@b",
        "a/b",
        "a:b",
        "a:",
        "wiki.localhost:",
        "wiki.localhost:80:80",
        "wiki.localhost:65536",
        "wiki.localhost:-1",
        "wiki.localhost:+80",
        "wiki..localhost",
        ".wiki.localhost",
        "wiki.localhost evil.example",
        "wiki.localhost,evil.example",
        "wiki.localhost/open",
        "wiki.localhost?x",
        "wiki.localhost#x",
        "wiki.localhost\\x",
        "wiki%2elocalhost",
        "user:password@wiki.localhost",
        "[::1",
        "[::1]x",
        "::1",
        "[wiki]",
        "http://wiki.localhost",
    ]
    .into_iter()
    .map(|host| case("T13", to(host)))
    .collect();
    cases.extend([
        case("T13", "GET /open HTTP/1.1\r\n\r\n"),
        case("T13", "GET /open HTTP/1.0\r\n\r\n"),
        case("T13", get("/open", "Host: wiki.localhost\r\n")),
        case("T13", get("/open", "Host: evil.example\r\n")),
        case("T13", get("/open", "host: wiki.localhost\r\n")),
        case("T16", get("http://evil.example/open", "")),
        case("T16", get("http://wiki.localhost@evil.example/open", "")),
        case("T16", get("http://evil.example@wiki.localhost/open", "")),
        case("T16", get("http://wiki.localhost:81/open", "")),
        case("T16", get("ftp://wiki.localhost/open", "")),
        case("T16", get("file:///open", "")),
        case("T16", get("http:///open", "")),
    ]);
    stack.breaks_off(&cases, &[400, 421]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_host_is_not_served() {
    let stack = Stack::start().await;
    let hosts = [
        "evil.example",
        "localhost",
        "wiki.localhost.evil.example",
        "xwiki.localhost",
        "a.wiki.localhost",
        "127.0.0.1",
        "[::1]",
        "wiki.localhost..",
        "wiki_localhost",
        "2130706433",
    ];
    let cases = hosts.map(|host| case("T14", to(host)));
    stack.denies(&cases, &[400, 421]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_a_host_gets_the_same_decision() {
    let stack = Stack::start().await;
    let cookie = stack.cookie_of("alice").await;
    let hosts = [
        "wiki.localhost",
        "WIKI.LOCALHOST",
        "Wiki.Localhost",
        "wiki.localhost.",
        "wiki.localhost:80",
        "wiki.localhost:4180",
        "WIKI.localhost.:8080",
    ];
    for host in hosts {
        let ask = |path: &str, fields: &str| {
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")
        };
        let of = |sent: String| async { status(&answers_to(&stack.gateway, sent).await) };
        assert_eq!(of(ask("/page", "")).await, 401, "T15 {host}");
        assert_eq!(of(ask("/open", "")).await, 200, "T15 {host}");
        assert_eq!(of(ask("/page", &cookie)).await, 200, "T15 {host}");
        assert_eq!(of(ask("/oauth2/ping", "")).await, 200, "T15 {host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn absolute_target_is_forwarded_in_origin_form() {
    let stack = Stack::start().await;
    for target in ["http://wiki.localhost/open/a?b", "HTTP://WIKI.localhost/open/a?b"] {
        let answer = answers_to(&stack.gateway, get(target, "")).await;
        assert_eq!((status(&answer), count(&answer)), (200, 1), "T16 {target}: {answer}");
    }
    assert_eq!(stack.upstream.targets(), ["/open/a?b"; 2]);
    let denied = [case("T16", get("http://wiki.localhost/page", ""))];
    stack.denies(&denied, &[401]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn host_headers_of_a_client_do_not_change_the_redirect_uri() {
    let stack = Stack::start().await;
    let lies = "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n\
                Forwarded: host=evil.example;proto=https\r\nX-Original-Host: evil.example\r\n";
    let answer = answers_to(&stack.gateway, get("/oauth2/start?rd=/", lies)).await;
    let location = field(&answer, "location");
    assert!(location.starts_with(stack.provider.issuer()), "T67 {answer}");
    let back = "redirect_uri=http%3A%2F%2Fwiki.localhost%2Foauth2%2Fcallback&";
    assert!(location.contains(back) && !location.contains("evil"), "T67 {location}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_at_a_foreign_host_starts_at_public_url() {
    let stack = Stack::start().await;
    for path in ["start?rd=/page", "start?rd=http://evil.example/page", "start", "sign_in?rd=/page"]
    {
        let request = format!("GET /oauth2/{path} HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        let answer = answers_to(&stack.gateway, request).await;
        let endpoint = path.split('?').next().unwrap();
        let expected = format!("http://wiki.localhost/oauth2/{endpoint}?rd=%2F&redirected=1");
        assert_eq!(field(&answer, "location"), expected, "T67 {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn international_names_and_ip_addresses_match_in_every_spelling() {
    let upstream = Upstream::start().await;
    let at = format!("upstream: \"http://{}\", allow: public", upstream.address);
    let gateway = Gateway::start(&format!(
        "routes:\n  - {{ host: bücher.localhost, {at} }}\n  - {{ host: \"[::1]\", {at} }}\n  \
         - {{ host: \"*.apps.localhost\", {at} }}\n"
    ));
    for (host, expected) in [
        ("xn--bcher-kva.localhost", 200),
        ("XN--BCHER-KVA.localhost", 200),
        ("[::1]", 200),
        ("[::1]:80", 200),
        ("[0:0:0:0:0:0:0:1]", 200),
        ("a.apps.localhost", 200),
        ("a.b.APPS.localhost.", 200),
        ("apps.localhost", 421),
        ("xapps.localhost", 421),
        (".apps.localhost", 400),
        ("wiki.localhost", 421),
    ] {
        let answer = answers_to(&gateway, to(host)).await;
        assert_eq!(status(&answer), expected, "T14 {host}: {answer}");
    }
}
