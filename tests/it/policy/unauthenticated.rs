//! Answers to requests without a session: a redirect for navigations, 401 for all others.

use super::{Stack, builder};
use crate::support::faults::Account;
use crate::support::wire::{field, status};

/// Header fields of a request, and whether they show a navigation.
const CLIENTS: &[(&str, bool)] = &[
    ("Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n", true),
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
    let body: serde_json::Value =
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["error"], "unauthenticated");
    assert_eq!(body["login_url"], "http://wiki.localhost/oauth2/start?rd=%2Fp%3Fq%3D1");
    let answer = ask("/auto", "Content-Type: application/grpc\r\nTE: trailers\r\n").await;
    assert_eq!(
        (status(&answer), field(&answer, "grpc-status")),
        (200, "16"),
        "UNAUTHENTICATED: {answer}"
    );
}
