//! Answers to requests without a session: a redirect for navigations, 401 for all others.

use super::{Stack, builder};
use crate::support::faults::Account;
use crate::support::wire::{field, status};

/// Header fields of a request, and whether they show a navigation.
const CLIENTS: &[(&str, bool)] = &[
    ("Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n", true),
    // A service worker that passes the navigation on.
    ("Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: empty\r\n", true),
    ("Sec-Purpose: prefetch\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n", false),
    ("Sec-Purpose: prefetch;prerender\r\nAccept: text/html\r\n", false),
    ("Purpose: prefetch\r\nAccept: text/html\r\n", false),
    (
        "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nAccept: */*\r\nX-Requested-With: XMLHttpRequest\r\n",
        true,
    ),
    ("Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\nAccept: text/html\r\n", false),
    ("Sec-Fetch-Mode: navigate\r\nAccept: text/html\r\n", false),
    ("Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nAccept: text/html\r\n", false),
    ("Sec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\nAccept: text/html\r\n", false),
    ("Sec-Fetch-Site: same-origin\r\nAccept: text/html\r\n", false),
    ("Accept: text/html\r\n", true),
    ("Accept: application/xhtml+xml, Text/HTML;q=0.9\r\n", true),
    ("Accept: text/html\r\nX-Requested-With: XMLHttpRequest\r\n", false),
    ("Accept: text/html;q=0, application/json\r\n", false),
    ("Accept: text/htmlx\r\n", false),
    ("Accept: application/json\r\n", false),
    ("Accept: */*\r\n", false),
    ("", false),
];

async fn stack() -> Stack {
    builder(
        Account::demo(),
        &[
            ("/auto", "allow: authenticated"),
            ("/redirect", "allow: authenticated, unauthenticated: redirect"),
            ("/unauthorized", "allow: authenticated, unauthenticated: unauthorized"),
        ],
    )
    .start()
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn navigation_is_redirected_and_every_other_request_gets_401() {
    let stack = stack().await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    for (fields, person) in CLIENTS {
        for method in ["GET", "HEAD", "POST", "OPTIONS", "DELETE"] {
            let safe = matches!(method, "GET" | "HEAD");
            for (path, redirects) in
                [("/auto", *person), ("/redirect", true), ("/unauthorized", false)]
            {
                let expected = if safe && redirects { 302 } else { 401 };
                stack.check(fields, &format!("{method} {path}?a=b"), expected).await;
                stack.check(&format!("{fields}{upgrade}"), &format!("{method} {path}"), 401).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn login_url_of_a_401_returns_to_the_navigation_itself_else_to_the_referer() {
    let stack = stack().await;
    for (method, fields, rd) in [
        ("GET", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n", "/unauthorized?a=b"),
        ("HEAD", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: empty\r\n", "/unauthorized?a=b"),
        ("POST", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n", "/form"),
        ("GET", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n", "/form"),
        ("GET", "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n", "/form"),
        ("GET", "", "/form"),
    ] {
        let fields = format!("{fields}Referer: http://wiki.localhost/form\r\n");
        let answer = stack.answer(&format!("{method} /unauthorized?a=b"), &fields).await;
        assert_eq!(status(&answer), 401, "{answer}");
        if method != "HEAD" {
            assert_eq!(login_url(&answer), start(rd), "{method} {fields}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn form_without_a_session_gets_a_page_that_says_how_to_send_it_again() {
    let stack = stack().await;
    let html = "Accept: text/html\r\nReferer: http://wiki.localhost/form\r\n";
    for (method, fields, is_form) in [
        ("POST", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n", true),
        ("POST", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: empty\r\n", true),
        ("POST", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n", true),
        ("POST", "", true),
        ("POST", "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n", false),
        ("PUT", "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n", false),
        ("GET", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n", false),
    ] {
        let answer = stack.answer(&format!("{method} /auto"), &format!("{fields}{html}")).await;
        assert_eq!(status(&answer), 401, "{answer}");
        assert_eq!(answer.contains("target=\"_blank\""), is_form, "{method} {fields}: {answer}");
        assert_eq!(answer.contains("reload it"), is_form, "{method} {fields}: {answer}");
        let link = start("/form").replace('/', "&#x2f;");
        assert!(answer.contains(&link), "{answer}");
    }
}

fn start(rd: &str) -> String {
    let rd: String = url::form_urlencoded::byte_serialize(rd.as_bytes()).collect();
    format!("http://wiki.localhost/oauth2/start?rd={rd}")
}

fn login_url(answer: &str) -> String {
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["login_url"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn redirect_to_sign_in_is_not_stored_and_has_a_short_target() {
    let stack = stack().await;
    let ask =
        async |target: &str, fields: &str| stack.answer(&format!("GET {target}"), fields).await;
    let answer = ask("/auto/x?a=b&c=%2F#d", "Accept: text/html\r\n").await;
    assert_eq!(status(&answer), 302);
    assert_eq!(field(&answer, "location"), "/oauth2/start?rd=%2Fauto%2Fx%3Fa%3Db%26c%3D%252F");
    assert_eq!(field(&answer, "cache-control"), "no-store", "T69");
    assert_eq!(field(&answer, "set-cookie"), "", "nothing is kept of a visit: {answer}");
    let long = ask(&format!("/auto?{}", "x".repeat(3000)), "Accept: text/html\r\n").await;
    assert_eq!(
        field(&long, "location"),
        "/oauth2/start?rd=%2Fauto",
        "T60 over 2 KiB the query goes"
    );
    let answer =
        ask("/auto", "Accept: application/json\r\nReferer: http://wiki.localhost/p?q=1\r\n").await;
    assert_eq!(field(&answer, "www-authenticate"), "Bearer");
    assert_eq!(field(&answer, "cache-control"), "no-store", "T69");
    assert!(answer.contains("\"error\":\"unauthenticated\""), "{answer}");
    assert_eq!(login_url(&answer), start("/p?q=1"));
    let answer = ask("/auto", "Content-Type: application/grpc\r\nTE: trailers\r\n").await;
    assert_eq!(
        (status(&answer), field(&answer, "grpc-status")),
        (200, "16"),
        "UNAUTHENTICATED: {answer}"
    );
}
