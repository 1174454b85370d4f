//! Bodies that nobody reads, and what stands behind bodies.

use super::{INNER, Stack, answers_to, count, get, status};
use crate::support::wire::{Wire, field};

/// A request for a page that needs a session, whose body looks like a request.
fn denied(fields: &str, body: &str) -> String {
    format!("POST /page HTTP/1.1\r\nHost: wiki.localhost\r\n{fields}\r\n{body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_of_a_refused_request_is_never_a_request() {
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
        let refused = matches!(status(&answer), 401 | 417) && count(&answer) == 1;
        assert!(refused, "T09 {fields:?}: {answer}");
    }
    assert_eq!(stack.upstream.targets(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_refused_body_the_next_request_is_served_or_the_connection_is_over() {
    let stack = Stack::start().await;
    let fields = format!("Content-Length: {}\r\n", INNER.len());
    let sent = denied(&fields, INNER) + &get("/open/next", "");
    let answer = answers_to(&stack.gateway, sent).await;
    assert_eq!(status(&answer), 401, "T09 {answer}");
    let expected: &[&str] = if count(&answer) == 2 { &["/open/next"] } else { &[] };
    assert_eq!(stack.upstream.targets(), expected, "T09 {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_to_be_told_is_refused_without_being_told_to_go_on() {
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
async fn trailers_tell_the_application_nothing() {
    let stack = Stack::start().await;
    let trailers = "X-Forwarded-User: admin\r\nContent-Length: 5\r\nX-Harmless: 1\r\n";
    let sent = format!(
        "POST /open HTTP/1.1\r\nHost: wiki.localhost\r\nTransfer-Encoding: chunked\r\n\
         Trailer: X-Forwarded-User, X-Harmless\r\n\r\n5\r\nhello\r\n0\r\n{trailers}\r\n"
    );
    let answer = answers_to(&stack.gateway, sent).await;
    assert_eq!(status(&answer), 200, "T10 {answer}");
    let told = &stack.upstream.seen()[0];
    assert_eq!(told["body"], "hello");
    for name in ["x-forwarded-user", "x-harmless", "trailer"] {
        assert!(told["headers"][name].is_null(), "T10 {told}");
    }
    assert_eq!(field(&answer, "content-type"), "application/json");
}
