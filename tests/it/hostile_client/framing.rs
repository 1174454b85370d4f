//! Where a message ends (RFC 9112 §6, §11.2): if that is ambiguous, the connection ends with it.

use super::{Case, INNER, Stack, answers_to, case, count, get, status, until_closed};
use crate::support::gateway::Gateway;
use crate::support::wire::{Peer, Wire, field};

fn post(fields: &str, body: &str) -> String {
    format!("POST /open HTTP/1.1\r\nHost: wiki.localhost\r\n{fields}\r\n{body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_transfer_encoding_is_rejected_and_ends_the_connection() {
    let stack = Stack::start().await;
    let coded = |fields: &str| post(fields, "0\r\n\r\n");
    let cases = [
        case("T02", coded("Transfer-Encoding : chunked\r\n")),
        case("T02", coded("Transfer-Encoding\t: chunked\r\n")),
        case("T02", coded("Transfer-Encoding:\r\n chunked\r\n")),
        case("T02", coded("Transfer-Encoding: ,chunked\r\n")),
        case("T02", coded("Transfer-Encoding: chunked,\r\n")),
        case("T02", coded("Transfer-Encoding: \"chunked\"\r\n")),
        case("T02", coded("Transfer-Encoding: 'chunked'\r\n")),
        case("T02", coded("Transfer-Encoding: cow, chunked\r\n")),
        case("T02", coded("Transfer-Encoding: gzip, chunked\r\n")),
        case("T02", coded("Transfer-Encoding: chunked;q=1\r\n")),
        case("T02", coded("Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n")),
        case("T02", coded("Transfer-Encoding: \x0bchunked\r\nContent-Length: 5\r\n")),
        case("T02", coded("Transfer-Encoding: chunked\x00\r\nContent-Length: 5\r\n")),
        case("T02", coded("X: y\nTransfer-Encoding: cow\r\nContent-Length: 5\r\n")),
        case("T03", coded("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
        case("T03", coded("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")),
        case("T03", coded("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n")),
        case("T03", coded("Transfer-Encoding: chunked, chunked\r\n")),
        case("T03", coded("Transfer-Encoding: chunked, identity\r\n")),
        case("T03", coded("Transfer-Encoding: identity\r\n")),
        case("T03", coded("Transfer-Encoding: \r\n")),
        case("T04", coded("Transfer-Encoding: chunked\r\n").replace("HTTP/1.1", "HTTP/1.0")),
    ];
    stack.breaks_off(&cases, &[400, 501]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_content_length_is_rejected_and_ends_the_connection() {
    let stack = Stack::start().await;
    let lengths = [
        "+5",
        "-0",
        "-5",
        "0x5",
        "1_0",
        "5, 0",
        "5, 5",
        "5 5",
        "",
        "5.0",
        "5e0",
        "5a",
        "05",
        "010",
        "18446744073709551616",
        "99999999999999999999999999",
    ];
    let mut cases: Vec<Case> = lengths
        .into_iter()
        .map(|length| case("T05", post(&format!("Content-Length: {length}\r\n"), "hello")))
        .collect();
    cases.extend([
        case("T05", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello")),
        case("T05", post("Content-Length: \r\nContent-Length: 5\r\n", "hello")),
        case("T05", post("Content-Length: 0\r\nContent-Length: 5\r\n", "hello")),
    ]);
    stack.breaks_off(&cases, &[400]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_head_is_rejected_and_ends_the_connection() {
    let stack = Stack::start().await;
    let head = |fields: &str| get("/open", fields);
    let cases = [
        case("T11", head("X: a\rX-Forwarded-User: admin\r\n")),
        case("T11", head("X: a\r\r\n")),
        case("T11", head("X: a\0b\r\n")),
        case("T11", head("X: a\x01b\r\n")),
        case("T11", head("X: a\x7fb\r\n")),
        case("T11", get("/open/\x01", "")),
        case("T11", get("/open\0", "")),
        case("T12", head("X-Test : a\r\n")),
        case("T12", head(": a\r\n")),
        case("T12", head("X: a\r\n b\r\n")),
        case("T12", head("X: a\r\n\tb\r\n")),
        case("T12", head("no colon\r\n")),
        case("T12", format!(" {}", head(""))),
        case("T12", "GET /open HTTP/1.1\r\n Host: wiki.localhost\r\n\r\n"),
        case("T17", "GET /open\r\n\r\n"),
        case("T17", get("/open x", "")),
        case("T17", "GET\t/open\tHTTP/1.1\r\nHost: wiki.localhost\r\n\r\n"),
        case("T17", "GET  /open HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n"),
        case("T17", "GET /open HTTP/1.1 \r\nHost: wiki.localhost\r\n\r\n"),
        case("T17", "GET /open HTTP/3.7\r\nHost: wiki.localhost\r\n\r\n"),
        case("T17", "GET /open HTTP/1.10\r\nHost: wiki.localhost\r\n\r\n"),
        case("T17", "GET /open http/1.1\r\nHost: wiki.localhost\r\n\r\n"),
        case("T17", get("open", "")),
        case("T17", get("*", "")),
        case("T17", "OPTIONS * HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n"),
        case("T17", get("wiki.localhost:80", "")),
    ];
    stack.breaks_off(&cases, &[400, 505]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_overrides_content_length_and_the_connection_ends() {
    let stack = Stack::start().await;
    for fields in [
        "Content-Length: 75\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 75\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
    ] {
        let sent = post(fields, "5\r\nhello\r\n0\r\n\r\n") + INNER;
        let answer = until_closed(&stack.gateway, sent).await;
        assert!(matches!(status(&answer), 200 | 400) && count(&answer) == 1, "T01 {answer:?}");
    }
    for received in stack.upstream.seen() {
        assert_eq!(
            (&received["target"], &received["body"]),
            (&"/open".into(), &"hello".into()),
            "T01"
        );
        assert!(received["headers"]["content-length"].is_null(), "T01 {received}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_chunk_never_completes_a_message() {
    let stack = Stack::start().await;
    let rest = "hello\r\n0\r\n\r\n";
    let mut cases: Vec<Case> =
        ["0x5", "+5", "-5", "5_0", "5Z", "5 5", "", "FFFFFFFFFFFFFFFFF", "\t5"]
            .into_iter()
            .map(|size| case("T07", format!("{size}\r\n{rest}")))
            .collect();
    cases.extend([
        case("T07", "5\r\nhelloXX0\r\n\r\n"),
        case("T07", "5\r\nhello0\r\n\r\n"),
        case("T08", format!("5;a\n{rest}")),
        case("T08", format!("5\n{rest}")),
        case("T08", "5\r\nhello\n0\n\n"),
        case("T08", format!("5\r{rest}")),
        case("T08", format!("5;{}\r\n{rest}", "x".repeat(20 * 1024))),
    ]);
    for (threat, body) in cases {
        let sent = post("Transfer-Encoding: chunked\r\n", &body) + INNER;
        let answer = until_closed(&stack.gateway, sent).await;
        assert!(count(&answer) <= 1 && status(&answer) != 200, "{threat} {body:?}: {answer:?}");
    }
    assert_eq!(stack.upstream.targets(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn field_name_that_aliases_a_framing_field_is_removed() {
    let stack = Stack::start().await;
    for name in ["Transfer_Encoding", "Transfer.Encoding", "Content_Length", "Content.Length"] {
        let sent = post(&format!("{name}: chunked\r\nContent-Length: 5\r\n"), "hello");
        let answer = answers_to(&stack.gateway, sent).await;
        assert_eq!(status(&answer), 200, "T06 {name}: {answer}");
    }
    for received in stack.upstream.seen() {
        let names: Vec<&String> = received["headers"].as_object().unwrap().keys().collect();
        assert!(!names.iter().any(|name| name.contains(['_', '.'])), "T06 {names:?}");
        assert_eq!(
            (&received["body"], &received["headers"]["content-length"]),
            (&"hello".into(), &"5".into())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_behind_connection_close_is_not_read() {
    let stack = Stack::start().await;
    for (first, expected) in [("/page", 401), ("/open", 200), ("/oauth2/ping", 200)] {
        let sent = get(first, "Connection: close\r\n") + INNER;
        let answer = until_closed(&stack.gateway, sent).await;
        assert_eq!((status(&answer), count(&answer)), (expected, 1), "T26 {first}: {answer}");
    }
    assert_eq!(stack.upstream.targets(), ["/open"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bare_line_feed_is_rejected_or_forwarded_as_crlf() {
    let peer = Peer::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let gateway = Gateway::in_front_of(peer.address, "");
    let sent = "GET /a HTTP/1.1\nHost: wiki.localhost\nX-One: 1\n\n";
    let answer = answers_to(&gateway, sent).await;
    assert!(matches!(status(&answer), 200 | 400), "T18 {answer}");
    for head in peer.heads() {
        assert_eq!(head.matches('\n').count(), head.matches("\r\n").count(), "T18 {head:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_request_gets_connection_close() {
    let stack = Stack::start().await;
    let mut wire = Wire::to(&stack.gateway).await;
    wire.say("GET /open HTTP/1.1\r\nHost: a@b\r\nAccept: text/html\r\n\r\n").await;
    let answer = wire.rest().await;
    assert_eq!((status(&answer), field(&answer, "connection")), (400, "close"), "{answer}");
    assert_eq!(field(&answer, "cache-control"), "no-store");
    assert!(answer.contains("<!doctype html>") || answer.contains("<!DOCTYPE html>"), "{answer}");
}
