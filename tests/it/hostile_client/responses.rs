//! Hostile upstreams: responses that are malformed, ambiguous, or break off.

use super::{INNER, answers_to, count, get, status};
use crate::support::gateway::Gateway;
use crate::support::wire::{Peer, Wire, field};

/// A gateway in front of an application that gives every request this answer, and closes.
async fn before(answer: impl Into<Vec<u8>>) -> (Peer, Gateway) {
    let peer = Peer::answering(answer).await;
    let gateway = Gateway::in_front_of(peer.address, "");
    (peer, gateway)
}

/// A gateway in front of an application whose answer each request names: `/0`, `/1`, …
async fn before_each(answers: Vec<Vec<u8>>) -> (Peer, Gateway) {
    let peer = Peer::start(move |mut wire| {
        let answers = answers.clone();
        async move {
            let head = wire.head().await;
            let number = head.split(['/', ' ']).nth(2).unwrap().parse::<usize>().unwrap();
            wire.say(&answers[number]).await;
            wire.done().await;
        }
    });
    let peer = peer.await;
    let gateway = Gateway::in_front_of(peer.address, "");
    (peer, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_response_of_the_upstream_is_502() {
    let broken: &[(&str, &str)] = &[
        ("T27", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk"),
        ("T27", "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nokk"),
        ("T27", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok"),
        ("T27", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok"),
        (
            "T27",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        ("T27", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (
            "T27",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "T27",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        ),
        ("T27", "garbage\r\n\r\n"),
        ("T27", "HTTP/9.9 200 OK\r\n\r\n"),
        ("T27", "HTTP/1.1 99999 OK\r\n\r\n"),
        ("T27", "<html>not http</html>"),
        ("T27", "HTTP/1.1 200 OK\r\nX: a"),
        ("T27", ""),
        ("T28", "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok"),
        ("T28", "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok"),
        ("T28", "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok"),
    ];
    let answers = broken.iter().map(|(_, answer)| answer.as_bytes().to_vec()).collect();
    let (_peer, gateway) = before_each(answers).await;
    for (number, (threat, sent)) in broken.iter().enumerate() {
        let answer =
            answers_to(&gateway, get(&format!("/{number}"), "Accept: text/html\r\n")).await;
        assert_eq!((status(&answer), count(&answer)), (502, 1), "{threat} {sent:?}: {answer}");
        assert!(field(&answer, "set-cookie").is_empty(), "{threat} {answer}");
        assert_eq!(field(&answer, "cache-control"), "no-store");
        assert!(field(&answer, "content-type").starts_with("text/html"), "{threat} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folded_response_field_cannot_add_a_field() {
    let (_peer, gateway) =
        before("HTTP/1.1 200 OK\r\nX: a\r\n Set-Cookie: evil=1\r\nContent-Length: 2\r\n\r\nok")
            .await;
    let answer = answers_to(&gateway, get("/", "")).await;
    assert!(matches!(status(&answer), 200 | 502), "T28 {answer}");
    assert!(field(&answer, "set-cookie").is_empty(), "T28 {answer}");
    assert!(!answer.contains("\r\n Set-Cookie"), "T28 {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_behind_a_response_reach_no_client() {
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nPWNED";
    let (_peer, gateway) = before(two).await;
    let mut wire = Wire::to(&gateway).await;
    for _ in 0..3 {
        wire.say(get("/", "")).await;
        let head = wire.head().await;
        assert_eq!(status(&head), 200, "T27 {head}");
        assert_eq!(wire.bytes(2).await, b"ok", "T27");
    }
    wire.done().await;
    assert_eq!(wire.rest().await, "", "T27");
}

#[tokio::test(flavor = "multi_thread")]
async fn response_body_that_breaks_off_never_looks_complete() {
    let short: &[&str] = &[
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nZZ\r\nmore\r\n0\r\n\r\n",
    ];
    let answers = short.iter().map(|answer| answer.as_bytes().to_vec()).collect();
    let (_peer, gateway) = before_each(answers).await;
    for (number, sent) in short.iter().enumerate() {
        let request = get(&format!("/{number}"), "") + INNER;
        let answer = super::until_closed(&gateway, request).await;
        assert_eq!((status(&answer), count(&answer)), (200, 1), "T29 {sent:?}: {answer}");
        let complete = answer.ends_with("0\r\n\r\n");
        assert!(!complete, "T29 {sent:?}: {answer}");
        let length = field(&answer, "content-length");
        assert!(matches!(length, "50" | ""), "T29 {sent:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hop_by_hop_fields_of_a_response_are_removed() {
    let (_peer, gateway) = before(
        "HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authenticate: Basic\r\nProxy-Connection: close\r\nUpgrade: h2c\r\nTE: x\r\nX-Stays: 1\r\n\
         Content-Length: 2\r\n\r\nok",
    )
    .await;
    let mut wire = Wire::to(&gateway).await;
    wire.say(get("/", "")).await;
    let head = wire.head().await;
    for name in [
        "x-hop",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "upgrade",
        "te",
        "connection",
    ] {
        assert_eq!(field(&head, name), "", "T30 {head}");
    }
    assert_eq!(field(&head, "x-stays"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_cannot_set_gateway_cookies() {
    let (_peer, gateway) = before(
        "HTTP/1.1 200 OK\r\nSet-Cookie: portcullis=evil; Path=/\r\nSet-Cookie: theme=dark\r\n\
         Set-Cookie:portcullis=evil;Domain=localhost\r\nSet-Cookie:  portcullis-login =evil\r\n\
         Set-Cookie: portcullis-login-target=evil\r\nSet-Cookie: =portcullis=evil\r\n\
         Set-Cookie: portcullis\r\nSet-Cookie: \tportcullis\t=evil\r\nSet-Cookie: = portcullis=evil\r\n\
         Content-Length: 2\r\n\r\nok",
    )
    .await;
    let answer = answers_to(&gateway, get("/", "")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(!answer.contains("portcullis"), "T92 {answer}");
    assert_eq!(field(&answer, "set-cookie"), "theme=dark");
}

#[tokio::test(flavor = "multi_thread")]
async fn response_trailers_are_forwarded_without_fields_that_decide() {
    let (_peer, gateway) = before(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie, X-Forwarded-User\r\n\r\n\
         2\r\nok\r\n0\r\nX-Sum: 7\r\nSet-Cookie: portcullis=evil\r\nX-Forwarded-User: admin\r\n\
         Content-Length: 7\r\n\r\n",
    )
    .await;
    let answer = answers_to(&gateway, get("/", "TE: trailers\r\nConnection: te\r\n")).await;
    assert_eq!(status(&answer), 200, "T10 {answer}");
    let lower = answer.to_ascii_lowercase();
    assert!(lower.ends_with("0\r\nx-sum: 7\r\n\r\n"), "T10 {answer}");
    assert!(!lower.contains("evil") && !lower.contains("admin"), "T10 {answer}");
    let plain = answers_to(&gateway, get("/", "")).await;
    assert!(plain.ends_with("0\r\n\r\n"), "T10 who does not ask for trailers gets none: {plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn early_response_does_not_make_the_request_body_a_request() {
    let (peer, gateway) = before("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let sent =
        format!("POST / HTTP/1.1\r\nHost: wiki.localhost\r\nContent-Length: 100000\r\n\r\n{INNER}");
    let mut wire = Wire::to(&gateway).await;
    wire.say(sent).await;
    let head = wire.head().await;
    assert_eq!(status(&head), 403, "T09 {head}");
    wire.say(INNER.repeat(3)).await;
    wire.done().await;
    assert_eq!(wire.rest().await, "no", "T09");
    assert_eq!(peer.heads().len(), 1, "T09 {:?}", peer.heads());
}
