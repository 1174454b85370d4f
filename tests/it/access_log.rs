//! The access log line of a response that was cut short: status, bytes, and the reason.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use crate::support::gateway::Gateway;
use crate::support::operator;
use crate::support::wire::{Peer, Wire, field, status};

const REQUEST: &str = "GET /page HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n";
const CLOSE: &str = "\r\nConnection: close\r\n\r\n";
/// The beginning of an answer of a hundred bytes.
const BEGINNING: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n12345";

/// An application that sends these bytes, and then nothing until the connection ends. It notifies when a request arrives.
async fn application(said: &'static str) -> (Peer, Arc<Notify>) {
    let requested = Arc::new(Notify::new());
    let ring = Arc::clone(&requested);
    let peer = Peer::start(move |mut wire| {
        let ring = Arc::clone(&ring);
        async move {
            wire.head().await;
            ring.notify_one();
            wire.say(said).await;
            wire.rest().await;
        }
    });
    (peer.await, requested)
}

fn before(peer: &Peer) -> Gateway {
    Gateway::in_front_of(peer.address, ", name: wiki")
}

/// A client that has got the first bytes of an answer.
async fn reading(gateway: &Gateway) -> Wire {
    let mut wire = Wire::to(gateway).await;
    wire.say(REQUEST).await;
    assert_eq!(status(&wire.head().await), 200);
    assert_eq!(wire.bytes(5).await, b"12345");
    wire
}

fn hang_up(wire: Wire) {
    wire.stream.set_zero_linger().unwrap();
    drop(wire);
}

#[track_caller]
fn check(gateway: &Gateway, status: u16, bytes: u64, reason: &str) {
    let log = gateway.log_until("\"target\":\"access\"");
    let line = log.iter().find(|line| line.contains("\"target\":\"access\"")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["status"], &line["bytes"]), (&status.into(), &bytes.into()), "{line}");
    assert_eq!(line["route"], "wiki", "{line}");
    assert!(line["reason"].as_str().unwrap().starts_with(reason), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_that_breaks_off_is_logged_as_the_reason() {
    let peer = Peer::answering(BEGINNING).await;
    let gateway = before(&peer);
    let mut wire = reading(&gateway).await;
    assert_eq!(wire.rest().await, "");
    check(&gateway, 200, 5, "the upstream broke off");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_leaves_during_its_response_is_logged_as_the_reason() {
    let (peer, _) = application(BEGINNING).await;
    let gateway = before(&peer);
    hang_up(reading(&gateway).await);
    check(&gateway, 200, 5, "the client left");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_leaves_before_its_response_is_logged_with_status_499_and_route() {
    let (peer, requested) = application("").await;
    let gateway = before(&peer);
    let mut wire = Wire::to(&gateway).await;
    wire.say(REQUEST).await;
    requested.notified().await;
    hang_up(wire);
    check(&gateway, 499, 0, "the client left");
}

#[tokio::test(flavor = "multi_thread")]
async fn response_that_is_cut_at_shutdown_is_logged_with_that_reason() {
    let (peer, _) = application(BEGINNING).await;
    let gateway = before(&peer);
    let mut wire = reading(&gateway).await;
    gateway.signal("TERM");
    drop(gateway.log_until("\"stopping\""));
    gateway.signal("TERM");
    assert_eq!(wire.rest().await, "");
    check(&gateway, 200, 5, "cut at shutdown");
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_response_is_logged_without_a_reason() {
    for (method, answer) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\nX: y\r\n\r\n",
        ),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    ] {
        let peer = Peer::answering(answer).await;
        let gateway = before(&peer);
        let mut wire = Wire::to(&gateway).await;
        wire.say(
            REQUEST
                .replacen("GET", method, 1)
                .replace("\r\n\r\n", "\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n"),
        )
        .await;
        assert_eq!(field(&wire.rest().await, "connection"), "close");
        let log = gateway.log_until("\"target\":\"access\"");
        let line = log.iter().find(|line| line.contains("\"target\":\"access\"")).unwrap();
        assert!(!line.contains("\"reason\""), "{method} {answer}: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_body_over_the_limit_is_logged_as_too_large() {
    let (peer, _) = application("").await;
    let declared = "Content-Length: 101\r\n\r\n".to_owned();
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n65\r\n{}\r\n", "x".repeat(0x65));
    for body in [declared, chunked] {
        let gateway = Gateway::in_front_of(peer.address, ", name: wiki, request_body: 100");
        let mut wire = Wire::to(&gateway).await;
        wire.say(&format!("POST / HTTP/1.1\r\nHost: wiki.localhost\r\n{body}")).await;
        assert_eq!(status(&wire.head().await), 413);
        gateway.log_until_all(&["\"target\":\"access\"", "\"reason\":\"too_large\""]);
    }
}

/// Sends a request for each path and waits for each response.
async fn request(gateway: &Gateway, paths: &[&str]) {
    for path in paths {
        let mut wire = Wire::to(gateway).await;
        wire.say(&REQUEST.replace("/page", path).replace("\r\n\r\n", CLOSE)).await;
        assert!(!wire.rest().await.is_empty(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn excluded_path_is_counted_and_not_logged() {
    let peer = Peer::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let gateway = operator::gateway(
        "",
        &format!(
            "telemetry: {{ access_log: {{ exclude_paths: [/healthz, /oauth2/ping] }} }}\n\
             routes: [{{ name: wiki, upstream: \"http://{}\", allow: public }}]\n",
            peer.address
        ),
    );
    let excluded = ["/healthz", "/healthz?q", "/healthz/live", "/oauth2/ping"];
    request(&gateway, &excluded).await;
    let series = r#"requests_total{route="wiki",status="2xx"}"#;
    operator::until(&gateway, series, |count| count >= 3.0).await;

    let logged = ["/healthzz", "/Healthz", "/healthz//x", "/healthz/..%2fx", "/healthz/.."];
    request(&gateway, &logged).await;
    for path in logged {
        gateway.log_until(&format!("\"path\":\"{path}\""));
    }
    let log = gateway.log_until("\"listening\"");
    let lines = log.iter().filter(|line| line.contains("\"target\":\"access\""));
    assert_eq!(lines.count(), logged.len(), "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_path_and_reason_are_cut_in_the_access_log() {
    let (peer, _) = application("").await;
    let gateway = before(&peer);
    let target = format!("//oauth2/{}", "x".repeat(10_000));
    let mut wire = Wire::to(&gateway).await;
    wire.say(&format!("GET {target} HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n")).await;
    assert_eq!(status(&wire.head().await), 400);
    let log = gateway.log_until("\"target\":\"access\"");
    let line = log.iter().find(|line| line.contains("\"target\":\"access\"")).unwrap();
    let fields: Value = serde_json::from_str(line).unwrap();
    for text in ["path", "reason"] {
        let text = fields[text].as_str().unwrap();
        assert!(text.contains("/oauth2/xxx") && text.ends_with('…'), "{line}");
        assert!(text.len() < 300, "{line}");
    }
}
