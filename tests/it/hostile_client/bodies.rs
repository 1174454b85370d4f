//! Bodies that the gateway does not forward, and the bytes behind a body.

use super::{INNER, Stack, answers_to, count, get, status};
use crate::support::wire::{Wire, field};

/// A request for a page that needs a session, whose body looks like a request.
fn denied(fields: &str, body: &str) -> String {
    format!("POST /page HTTP/1.1\r\nHost: wiki.localhost\r\n{fields}\r\n{body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn body_of_a_denied_request_is_never_read_as_a_request() {
    let stack = Stack::start().await;
    let length = INNER.len();
    let large = INNER.repeat(4000);
    for (fields, body) in [
        (format!("Content-Length: {length}\r\n"), INNER.to_owned()),
        (format!("Content-Length: {length}\r\nExpect: 100-continue\r\n"), INNER.to_owned()),
        (format!("Content-Length: {length}\r\nExpect: 200-maybe\r\n"), INNER.to_owned()),
        (
            "Transfer-Encoding: chunked\r\n".to_owned(),
            format!("{length:x}\r\n{INNER}\r\n0\r\n\r\n"),
        ),
        (format!("Content-Length: {}\r\n", large.len()), large),
        ("Content-Length: 5000000\r\n".to_owned(), INNER.to_owned()),
    ] {
        let answer = answers_to(&stack.gateway, denied(&fields, &body)).await;
        let denied = matches!(status(&answer), 401 | 417) && count(&answer) == 1;
        assert!(denied, "T09 {fields:?}: {answer}");
    }
    assert_eq!(stack.upstream.targets(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn request_behind_a_denied_body_is_served_or_the_connection_ends() {
    let stack = Stack::start().await;
    let fields = format!("Content-Length: {}\r\n", INNER.len());
    let sent = denied(&fields, INNER) + &get("/open/next", "");
    let answer = answers_to(&stack.gateway, sent).await;
    assert_eq!(status(&answer), 401, "T09 {answer}");
    let expected: &[&str] = if count(&answer) == 2 { &["/open/next"] } else { &[] };
    assert_eq!(stack.upstream.targets(), expected, "T09 {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_request_with_expect_gets_401_without_100_continue() {
    let stack = Stack::start().await;
    let mut wire = Wire::to(&stack.gateway).await;
    wire.say(denied("Content-Length: 5\r\nExpect: 100-continue\r\n", "")).await;
    let head = wire.head().await;
    assert_eq!(status(&head), 401, "T09 {head}");
    wire.done().await;
    wire.rest().await;
    let mut wire = Wire::to(&stack.gateway).await;
    wire.say("POST /open HTTP/1.1\r\nHost: wiki.localhost\r\nContent-Length: 5\r\n").await;
    wire.say("Expect: 100-continue\r\n\r\n").await;
    assert_eq!(status(&wire.head().await), 100);
    wire.say("hello").await;
    assert_eq!(status(&wire.head().await), 200);
    assert_eq!(stack.upstream.seen()[0]["body"], "hello");
    assert!(stack.upstream.seen()[0]["headers"]["expect"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn request_trailers_do_not_reach_the_upstream() {
    let stack = Stack::start().await;
    let trailers = "X-Forwarded-User: admin\r\nContent-Length: 5\r\nX-Harmless: 1\r\n";
    let sent = format!(
        "POST /open HTTP/1.1\r\nHost: wiki.localhost\r\nTransfer-Encoding: chunked\r\n\
         Trailer: X-Forwarded-User, X-Harmless\r\n\r\n5\r\nhello\r\n0\r\n{trailers}\r\n"
    );
    let answer = answers_to(&stack.gateway, sent).await;
    assert_eq!(status(&answer), 200, "T10 {answer}");
    let received = &stack.upstream.seen()[0];
    assert_eq!(received["body"], "hello");
    for name in ["x-forwarded-user", "x-harmless", "trailer"] {
        assert!(received["headers"][name].is_null(), "T10 {received}");
    }
    assert_eq!(field(&answer, "content-type"), "application/json");
}
