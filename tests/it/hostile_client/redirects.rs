//! `rd` and other return targets: with every value, a browser stays on the gateway (RFC 9700 §4.11).

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::{Stack, answers_to, count, get, status};
use crate::support::gateway::PUBLIC_URL;
use crate::support::provider;
use crate::support::wire::field;

/// Values of `rd` that lead to another origin, for some reader.
const ELSEWHERE: &[(&str, &str)] = &[
    ("T60", "//evil.example"),
    ("T60", "///evil.example"),
    ("T60", "////evil.example/x"),
    ("T60", "/\\evil.example"),
    ("T60", "\\\\evil.example"),
    ("T60", "/\\/evil.example"),
    ("T60", "/\t/evil.example"),
    ("T60", "/\n/evil.example"),
    ("T60", "/\r/evil.example"),
    ("T60", "\t//evil.example"),
    ("T60", " //evil.example"),
    ("T60", "/ /evil.example"),
    ("T60", "/..//evil.example"),
    ("T60", "/.//evil.example"),
    ("T60", "/x/..//evil.example"),
    ("T60", "/%2e%2e//evil.example"),
    ("T60", "/%5cevil.example"),
    ("T60", "/%09/evil.example"),
    ("T60", "/\u{a0}/evil.example"),
    ("T60", "\u{feff}//evil.example"),
    ("T61", "http://evil.example/"),
    ("T61", "https://evil.example/"),
    ("T61", "http:evil.example"),
    ("T61", "http:/evil.example"),
    ("T61", "http:\\\\evil.example"),
    ("T61", "http:///evil.example"),
    ("T61", "HTTP://EVIL.EXAMPLE"),
    ("T61", "http://wiki.localhost@evil.example/"),
    ("T61", "http://evil.example#@wiki.localhost/"),
    ("T61", "http://evil.example\\@wiki.localhost/"),
    ("T61", "http://evil.example?@wiki.localhost/"),
    ("T61", "http://user@wiki.localhost/"),
    ("T61", "http://wiki.localhost.evil.example/"),
    ("T61", "http://evilwiki.localhost/"),
    ("T61", "http://wiki.localhost:81/"),
    ("T61", "https://wiki.localhost/"),
    ("T61", "http://wiki.localhost%2eevil.example/"),
    ("T61", "http://[::ffff:127.0.0.1]/"),
    ("T61", "http://127.0.0.1/"),
    ("T61", "javascript:alert(1)"),
    ("T61", "data:text/html,x"),
    ("T61", "vbscript:x"),
    ("T61", "file:///etc/passwd"),
    ("T61", "//wiki.localhost@evil.example"),
    ("T61", "evil.example"),
    ("T61", "http://wiki\u{2024}localhost.evil.example/"),
    ("T62", "%2f%2fevil.example"),
    ("T62", "%252f%252fevil.example"),
    ("T62", "/%2f%2fevil.example"),
    ("T62", "/%252fevil.example"),
    ("T62", "/%2f%2fevil.example/..//evil.example"),
    ("T63", "/ok\r\nX-Inj: 1"),
    ("T63", "/ok\nX-Inj: 1"),
    ("T63", "/ok\rX-Inj: 1"),
    ("T63", "/ok%0d%0aX-Inj: 1"),
    ("T63", "/ok\0x"),
    ("T63", "/ok\u{2028}Set-Cookie: a=b"),
    ("T63", "/ok?a=\r\n\r\n<script>alert(1)</script>"),
    ("T64", "/oauth2/sign_out"),
    ("T64", "/oauth2/start?rd=/"),
    ("T64", "/%6fauth2/sign_out"),
    ("T64", "/open/../oauth2/sign_out"),
];

/// Every way in which `rd` can be encoded once.
fn encodings(rd: &str) -> [String; 2] {
    let all: String = rd.bytes().map(|byte| format!("%{byte:02X}")).collect();
    [utf8_percent_encode(rd, NON_ALPHANUMERIC).to_string(), all]
}

#[track_caller]
fn stays(threat: &str, rd: &str, answer: &str) {
    let location = field(answer, "location");
    let reached = Url::parse(PUBLIC_URL).unwrap().join(location).unwrap();
    assert_eq!(reached.origin().ascii_serialization(), PUBLIC_URL, "{threat} {rd:?}: {answer}");
    assert!(!reached.path().starts_with("//"), "{threat} {rd:?}: {answer}");
    assert!(!location.contains("/oauth2/sign_out"), "{threat} {rd:?}: {answer}");
    let visible = location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    assert!(visible && count(answer) == 1, "{threat} {rd:?}: {answer}");
    assert!(field(answer, "x-inj").is_empty(), "{threat} {rd:?}: {answer}");
    assert_eq!(field(answer, "cache-control"), "no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_out_never_redirects_to_another_origin() {
    // Without the provider in between, the first redirect shows the target.
    let stack = Stack::builder().provider_keys("sign_out: local").start().await;
    for (threat, rd) in ELSEWHERE {
        for rd in encodings(rd) {
            let answer =
                answers_to(&stack.gateway, get(&format!("/oauth2/sign_out?rd={rd}"), "")).await;
            assert_eq!(status(&answer), 302, "T65 {rd}: {answer}");
            stays(threat, &rd, &answer);
        }
    }
    for query in [
        "rd=/ok&rd=//evil.example",
        "rd=//evil.example&rd=/ok",
        "rd=/ok&rd=/other",
        "rd=",
        "rd",
        "rd[]=//evil.example",
        "RD=//evil.example",
    ] {
        let answer =
            answers_to(&stack.gateway, get(&format!("/oauth2/sign_out?{query}"), "")).await;
        stays("T66", query, &answer);
        assert!(
            matches!(field(&answer, "location"), "/" | "http://wiki.localhost/oauth2/signed_out"),
            "T66 {answer}"
        );
    }
    let answer = answers_to(&stack.gateway, get("/oauth2/sign_out?rd=/page%3Fa%3Db", "")).await;
    assert_eq!(field(&answer, "location"), "/page?a=b");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_never_redirects_to_another_origin() {
    let stack = Stack::start().await;
    // With a session at the provider there is no form, so each of these is quick.
    let mut browser = stack.browser_of("alice").await;
    for (threat, rd) in ELSEWHERE {
        let [rd, _] = encodings(rd);
        let mut answer = browser.navigate(&format!("/oauth2/start?rd={rd}")).await;
        while answer.url.path() != "/oauth2/callback" {
            answer = browser.navigate(answer.redirect().unwrap().as_str()).await;
        }
        let reached = answer.redirect().unwrap_or_else(|| panic!("{threat} {rd}: {answer:?}"));
        assert_eq!(reached.origin().ascii_serialization(), PUBLIC_URL, "{threat} {rd}");
        assert!(!reached.path().starts_with("/oauth2"), "{threat} {rd}: {reached}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_target_never_becomes_a_redirect_to_another_origin() {
    let stack = Stack::start().await;
    let navigation = "Accept: text/html\r\n";
    for target in [
        "//evil.example/",
        "/\\evil.example/",
        "/%5cevil.example/",
        "/%2f/evil.example",
        "/x//evil.example",
    ] {
        let answer = answers_to(&stack.gateway, get(target, navigation)).await;
        if status(&answer) == 302 {
            let start = Url::parse(PUBLIC_URL).unwrap().join(field(&answer, "location")).unwrap();
            assert_eq!(
                (start.origin().ascii_serialization().as_str(), start.path()),
                (PUBLIC_URL, "/oauth2/start")
            );
            let mut browser = stack.browser();
            let end = provider::sign_in(&mut browser, start.as_str(), "alice").await;
            assert_eq!(end.url.origin().ascii_serialization(), PUBLIC_URL, "T64 {target}");
        } else {
            assert_eq!(status(&answer), 400, "T64 {target}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn login_url_returns_to_a_page_of_its_own_origin_only() {
    let stack = Stack::start().await;
    for (referer, expected) in [
        ("http://wiki.localhost/page?a=b", "%2Fpage%3Fa%3Db"),
        ("http://wiki.localhost:80/page", "%2Fpage"),
        ("http://wiki.localhost./page", "%2Fpage"),
        ("http://evil.example/page", "%2F"),
        ("http://wiki.localhost.evil.example/", "%2F"),
        ("http://wiki.localhost@evil.example/", "%2F"),
        ("http://wiki.localhost:81/", "%2F"),
        ("https://wiki.localhost/", "%2F"),
        ("javascript:alert(1)", "%2F"),
        ("", "%2F"),
    ] {
        let answer =
            answers_to(&stack.gateway, get("/page", &format!("Referer: {referer}\r\n"))).await;
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let expected = format!("{PUBLIC_URL}/oauth2/start?rd={expected}");
        assert_eq!(body["login_url"], expected, "T61 {referer}");
    }
}
