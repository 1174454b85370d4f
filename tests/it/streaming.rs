//! Streaming of bodies: forwarded as they arrive, of any length, with bounded memory.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::gateway::Gateway;
use crate::support::provider;
use crate::support::stack::Stack;
use crate::support::wire::{Peer, Wire, answers_to, count, field, request, status};

fn get(target: &str, fields: &str) -> String {
    request(&format!("GET {target}"), fields)
}

fn post(fields: &str) -> String {
    request("POST /", fields)
}

#[tokio::test(flavor = "multi_thread")]
async fn large_upload_is_streamed() {
    let peer = Peer::start(|mut wire| async move {
        wire.head().await;
        let (mut read, mut buffer) = (wire.waiting(), vec![0; 64 * 1024]);
        while read < LARGE {
            read += timeout(SOON, wire.stream.read(&mut buffer)).await.unwrap().unwrap();
        }
        wire.say(format!("HTTP/1.1 200 OK\r\nX-Read: {read}\r\nContent-Length: 0\r\n\r\n")).await;
    });
    let peer = peer.await;
    let gateway = Gateway::in_front_of(peer.address, "");
    let before = gateway.peak_memory();
    let mut wire = Wire::to(&gateway).await;
    wire.say(post(&format!("Content-Length: {LARGE}\r\n"))).await;
    let piece = vec![b'x'; 64 * 1024];
    for _ in 0..LARGE / piece.len() {
        timeout(SOON, wire.stream.write_all(&piece)).await.unwrap().unwrap();
    }
    let head = wire.head().await;
    assert_eq!(status(&head), 200, "{head}");
    assert_eq!(field(&head, "x-read"), LARGE.to_string(), "{head}");
    check_memory(&gateway, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_download_is_streamed() {
    let peer = Peer::start(|mut wire| async move {
        wire.head().await;
        wire.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n")).await;
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..LARGE / piece.len() {
            wire.stream.write_all(&piece).await.ok();
        }
    });
    let peer = peer.await;
    let gateway = Gateway::in_front_of(peer.address, "");
    let before = gateway.peak_memory();
    let mut wire = Wire::to(&gateway).await;
    wire.say(get("/", "")).await;
    let head = wire.head().await;
    assert_eq!(field(&head, "content-length"), LARGE.to_string(), "{head}");
    let (mut read, mut buffer) = (wire.waiting(), vec![0; 64 * 1024]);
    while read < LARGE {
        read += timeout(SOON, wire.stream.read(&mut buffer)).await.unwrap().unwrap();
    }
    assert_eq!(read, LARGE);
    check_memory(&gateway, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_does_not_read_blocks_the_upstream() {
    let (tell, mut events) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire| {
        let tell = tell.clone();
        async move {
            wire.head().await;
            wire.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 100 * LARGE)).await;
            tell.send(wire.fill().await).unwrap();
        }
    });
    let peer = peer.await;
    let gateway = Gateway::in_front_of(peer.address, "");
    let before = gateway.peak_memory();
    let mut wire = Wire::to(&gateway).await;
    wire.say(get("/", "")).await;
    wire.head().await;
    let written = timeout(SOON, events.recv()).await.unwrap().unwrap();
    assert!(written < LARGE / 2, "{written} bytes went somewhere");
    check_memory(&gateway, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn response_without_a_body_is_forwarded_unchanged() {
    let peer = Peer::start(|mut wire| async move {
        let head = wire.head().await;
        let answer = match head.split(' ').nth(1).unwrap() {
            "/204" => "204 No Content\r\n",
            "/304" => "304 Not Modified\r\nETag: \"x\"\r\n",
            "/head" => "200 OK\r\nContent-Length: 42\r\n",
            _ => "200 OK\r\nContent-Length: 0\r\n",
        };
        wire.say(format!("HTTP/1.1 {answer}\r\n")).await;
        wire.done().await;
    });
    let peer = peer.await;
    let gateway = Gateway::in_front_of(peer.address, "");
    // A body would be read as the next response.
    let mut wire = Wire::to(&gateway).await;
    for (method, target, expected, length) in [
        ("GET", "/204", 204, ""),
        ("GET", "/304", 304, ""),
        ("HEAD", "/head", 200, "42"),
        ("GET", "/empty", 200, "0"),
        ("HEAD", "/oauth2/nothing", 404, "*"),
        ("GET", "/204", 204, ""),
    ] {
        wire.say(get(target, "").replacen("GET", method, 1)).await;
        let head = wire.head().await;
        assert_eq!(status(&head), expected, "{method} {target}: {head}");
        let sent = field(&head, "content-length");
        assert!(length == "*" || sent == length, "{method} {target}: {head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_body_is_framed_again_and_a_length_is_kept() {
    let peer = Peer::start(|mut wire| async move {
        let head = wire.head().await;
        let chunked = field(&head, "transfer-encoding") == "chunked";
        let body = if chunked { wire.until("0\r\n\r\n").await } else { String::new() };
        let received = format!("{chunked} {} {body}", field(&head, "content-length"));
        wire.say(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{received}\r\n0\r\n\r\n",
            received.len()
        ))
        .await;
        wire.done().await;
    });
    let peer = peer.await;
    let gateway = Gateway::in_front_of(peer.address, "");
    let sent = post("Transfer-Encoding: chunked\r\n") + "5;ext=1\r\nhello\r\n00\r\n\r\n";
    let answer = answers_to(&gateway, sent).await;
    assert!(answer.contains("true  5\r\nhello\r\n0\r\n\r\n"), "extensions are gone: {answer}");
    let answer = answers_to(&gateway, get("/", "")).await;
    assert!(answer.contains("false  "), "a GET has no body: {answer}");
    let answer = answers_to(&gateway, post("")).await;
    assert!(answer.contains("false 0 "), "a POST says that it has none: {answer}");
    let ten = answers_to(&gateway, get("/", "").replace("HTTP/1.1", "HTTP/1.0")).await;
    assert_eq!(field(&ten, "transfer-encoding"), "", "HTTP/1.0 knows no chunks: {ten}");
    assert!(ten.ends_with("false  "), "{ten}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_upstream_gives_504_page_and_a_stopped_one_502() {
    let peer = Peer::start(|mut wire| async move {
        wire.head().await;
        wire.rest().await;
    });
    let peer = peer.await;
    let gateway = Gateway::in_front_of(peer.address, ", timeouts: { response_headers: 1s }");
    for (accept, kind) in [("text/html", "text/html"), ("application/json", "application/json")] {
        let answer = answers_to(&gateway, get("/", &format!("Accept: {accept}\r\n"))).await;
        assert_eq!((status(&answer), count(&answer)), (504, 1), "{answer}");
        assert!(field(&answer, "content-type").starts_with(kind), "{answer}");
        assert_eq!(field(&answer, "cache-control"), "no-store");
    }
    drop(peer);
    let answer = answers_to(&gateway, get("/", "Accept: application/json\r\n")).await;
    assert_eq!(status(&answer), 502, "{answer}");
    assert!(answer.contains("\"request_id\"") && !answer.contains("127.0.0.1"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_upstream_is_cut_off_after_the_idle_timeout() {
    let peer = Peer::start(|mut wire| async move {
        wire.head().await;
        wire.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        wire.rest().await;
    });
    let peer = peer.await;
    let gateway = Gateway::in_front_of(peer.address, ", timeouts: { idle: 1s }");
    let mut wire = Wire::to(&gateway).await;
    wire.say(get("/", "")).await;
    let all = wire.rest().await;
    assert!(all.ends_with("\r\n\r\nhalf"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_client_gets_408_after_the_body_timeout() {
    let (tell, mut events) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire| {
        let tell = tell.clone();
        async move {
            wire.head().await;
            tell.send(wire.rest().await).unwrap();
        }
    });
    let peer = peer.await;
    let gateway = Gateway::start_with(&format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"http://wiki.localhost\", \
         timeouts: {{ request_body: 1s }} }}\nadmin: {{ listen: \"off\" }}\n\
         routes: [{{ upstream: \"http://{}\", allow: public }}]\n",
        peer.address
    ));
    let mut wire = Wire::to(&gateway).await;
    wire.say(post("Content-Length: 10\r\n") + "half").await;
    let answer = wire.rest().await;
    assert_eq!((status(&answer), count(&answer)), (408, 1), "{answer}");
    assert_eq!(events.recv().await.unwrap(), "half", "the application sees no end of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn body_over_the_limit_gets_413_in_every_framing() {
    let peer = Peer::start(|mut wire| async move {
        let head = wire.head().await;
        if field(&head, "transfer-encoding") == "chunked" {
            wire.until("0\r\n\r\n").await;
        }
        wire.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    });
    let peer = peer.await;
    let gateway = Gateway::in_front_of(peer.address, ", request_body: 10");
    let chunked = |size: usize| {
        post("Transfer-Encoding: chunked\r\n")
            + &format!("{size:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(size))
    };
    for (sent, expected) in [
        (post("Content-Length: 11\r\n") + "hello world", 413),
        (post("Content-Length: 1000000000000\r\n") + "x", 413),
        (chunked(11), 413),
        (chunked(10), 200),
        (post("Content-Length: 10\r\n") + "hello worl", 200),
    ] {
        let answer = answers_to(&gateway, &sent).await;
        assert_eq!((status(&answer), count(&answer)), (expected, 1), "{sent}: {answer}");
    }
}

#[track_caller]
fn check_memory(gateway: &Gateway, before: usize) {
    let grown = gateway.peak_memory().saturating_sub(before);
    assert!(grown < 8 * 1024 * 1024, "memory grew by {grown} bytes");
}

/// Far more than any buffer on the way, the system's included.
const LARGE: usize = 96 * 1024 * 1024;
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn upload_resets_the_idle_timeout_until_its_last_byte() {
    let (tell, mut events) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire| {
        let tell = tell.clone();
        async move {
            if wire.head().await.starts_with("POST") {
                for _ in 0..2 {
                    wire.bytes(1).await;
                    tell.send(()).unwrap();
                }
            }
            wire.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK").await;
        }
    });
    let peer = peer.await;
    let idle = "session: { idle_timeout: 60s }";
    let at = Stack::builder().sections(idle).start_clocked(&peer).await;
    let mut browser = at.browser();
    assert_eq!(provider::sign_in(&mut browser, "/", "alice").await.status, 200);
    let cookie = format!("Cookie: portcullis={}\r\n", browser.cookie("/", "portcullis").unwrap());
    let mut wire = Wire::of(TcpStream::connect(at.address).await.unwrap());
    wire.say(post(&format!("{cookie}Content-Length: 3\r\n"))).await;
    for _ in 0..2 {
        at.clock.advance(Duration::from_secs(40));
        wire.say("x").await;
        events.recv().await.unwrap();
    }
    at.clock.advance(Duration::from_secs(40));
    assert_eq!(browser.fetch("/").await.status, 200, "40 s after the last byte");
    at.clock.advance(Duration::from_secs(61));
    assert_eq!(browser.fetch("/").await.status, 401, "61 s after the last request");
}
