//! WebSockets through a hyper server like the gateway's.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Notify, watch};

use super::*;
use crate::upstream::tests::scripted_upstream::{ScriptedConnection, ScriptedUpstream};

/// The example of RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Protocol: chat\r\nKeep-Alive: 5\r\n\r\n";

/// A client of a gateway in front of an upstream.
pub(super) struct WebSocketClient {
    connection: DuplexStream,
    ending: watch::Sender<Option<Ending>>,
    on_bytes: Arc<Notify>,
}

impl WebSocketClient {
    pub(super) fn of(peer: SocketAddr) -> Self {
        Self::through(upstream(peer))
    }

    fn through(upstream: Upstream) -> Self {
        let (connection, stream) = tokio::io::duplex(64 * 1024);
        let (ending, ended) = watch::channel(None);
        let (upstream, on_bytes) = (Arc::new(upstream), Arc::new(Notify::new()));
        let notified = Arc::clone(&on_bytes);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let (upstream, ended) = (Arc::clone(&upstream), ended.clone());
                let on_bytes = Arc::clone(&notified);
                async move { Ok::<_, Infallible>(forward(&upstream, request, ended, &on_bytes).await) }
            });
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await
                .ok();
        });
        Self { connection, ending, on_bytes }
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.connection.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.connection.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap().to_lowercase()
    }

    async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let read = self.connection.read_exact(&mut bytes);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        bytes
    }

    pub(super) async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = self.connection.read_to_end(&mut bytes);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        bytes
    }
}

async fn forward(
    upstream: &Upstream,
    request: Request<Incoming>,
    mut ended: watch::Receiver<Option<Ending>>,
    on_bytes: &Arc<Notify>,
) -> http::Response<Body> {
    let mut request = request.map(Body::from);
    let stripped = strip(&mut request);
    match upstream.send(Box::new(request), stripped, forwarded(), None, client(), || {}).await {
        Ok(Answer::Response(response)) => *response,
        Ok(Answer::Switched(response, tunnel)) => {
            let (on_bytes, ending) = (on_bytes.clone(), async move {
                let ending = *ended.wait_for(Option::is_some).await.unwrap();
                ending.unwrap()
            });
            tokio::spawn(tunnel.run(move || on_bytes.notify_one(), ending));
            *response
        }
        Err(error) => {
            let mut response = http::Response::new(Body::full(error.to_string()));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

fn handshake() -> String {
    format!(
        "GET /chat HTTP/1.1\r\nHost: wiki.example\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

#[tokio::test]
async fn tunnel_carries_bytes_both_ways_and_ends_with_either_side() {
    let mut peer = ScriptedUpstream::start(|_, mut connection: ScriptedConnection| async move {
        let head = connection.head().await.unwrap();
        connection.report(&head);
        connection.send(SWITCH).await;
        connection.send(b"\x81\x02hi").await;
        let seen = connection.rest().await;
        connection.send(&seen).await;
    })
    .await;
    let mut client = WebSocketClient::of(peer.address);
    client.send(handshake()).await;
    let head = client.head().await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    for field in ["connection: upgrade\r\n", "upgrade: websocket\r\n", "-protocol: chat\r\n"] {
        assert!(head.contains(field), "{head}");
    }
    assert!(!head.contains("keep-alive"), "{head}");
    let seen = peer.next_report().await;
    for field in ["connection: Upgrade\r\n", "upgrade: websocket\r\n", "sec-websocket-version: 13"]
    {
        assert!(seen.contains(field), "{seen}");
    }
    assert_eq!(client.bytes(4).await, b"\x81\x02hi");
    client.send(b"\x81\x82maskxx").await;
    client.on_bytes.notified().await;
    client.connection.shutdown().await.unwrap();
    assert_eq!(
        client.rest().await,
        b"\x81\x82maskxx",
        "the other direction continues after a half-close"
    );
}

#[tokio::test(start_paused = true)]
async fn bytes_after_the_handshake_are_not_sent_before_the_101_of_the_upstream() {
    const FRAME: &[u8] = b"\x81\x82maskxx";
    let upstream = unconnected(Timeouts::default());
    let mut connection = in_memory(&upstream).await;
    let mut client = WebSocketClient::through(upstream);
    client.send([handshake().as_bytes(), FRAME].concat()).await;
    connection.head().await;
    assert!(tokio::time::timeout(PATIENCE, connection.bytes(1)).await.is_err());
    connection.send(SWITCH).await;
    assert_eq!(connection.bytes(FRAME.len()).await, FRAME);
}

#[tokio::test]
async fn response_101_with_a_wrong_key_is_rejected_and_nothing_is_sent_after() {
    for (field, other) in [
        ("Sec-WebSocket-Accept: s3p", "Sec-WebSocket-Accept: S3p"),
        ("Sec-WebSocket-Accept", "X"),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("Connection: Upgrade", "Connection: close"),
    ] {
        let answer = String::from_utf8(SWITCH.to_vec()).unwrap().replace(field, other);
        let mut peer = ScriptedUpstream::start(move |_, mut connection: ScriptedConnection| {
            let answer = answer.clone();
            async move {
                connection.head().await;
                connection.send(answer.as_bytes()).await;
                let seen = connection.rest().await;
                connection.report(&String::from_utf8(seen).unwrap());
            }
        })
        .await;
        let mut client = WebSocketClient::of(peer.address);
        client.send(handshake() + "GET /private HTTP/1.1\r\n").await;
        assert!(client.head().await.starts_with("http/1.1 502 "), "{other}");
        assert_eq!(peer.next_report().await, "", "{other}");
    }
}

#[tokio::test]
async fn response_of_an_upstream_that_declines_is_relayed() {
    let peer =
        ScriptedUpstream::answering(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let mut client = WebSocketClient::of(peer.address);
    for _ in 0..2 {
        client.send(handshake()).await;
        assert!(client.head().await.starts_with("http/1.1 403 "));
        assert_eq!(client.bytes(2).await, b"no");
    }
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn request_that_is_no_valid_handshake_is_an_ordinary_request() {
    for (part, other) in [
        ("Upgrade: WebSocket", "Upgrade: h2c"),
        ("Upgrade: WebSocket", "Upgrade: websocket, h2c"),
        ("Upgrade: WebSocket", "Upgrade: websocket\r\nUpgrade: h2c"),
        ("Version: 13", "Version: 8"),
        ("keep-alive, Upgrade", "keep-alive"),
        (KEY, "c2hvcnQ="),
        (KEY, "no base64"),
        ("GET", "POST"),
        ("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx"),
    ] {
        let mut peer =
            ScriptedUpstream::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        let mut client = WebSocketClient::of(peer.address);
        client.send(handshake().replace(part, other)).await;
        assert!(client.head().await.starts_with("http/1.1 200 "), "{other}");
        let head = peer.next_report().await;
        assert!(!head.contains("upgrade") && !head.contains("connection"), "{head}");
    }
}

/// Sends `first`, then `second` once notified, and reports the end of its connection.
async fn in_two(first: &'static [u8], second: &'static [u8]) -> (ScriptedUpstream, Arc<Notify>) {
    let go_on = Arc::new(Notify::new());
    let notified = Arc::clone(&go_on);
    let peer = ScriptedUpstream::start(move |_, mut connection: ScriptedConnection| {
        let notified = Arc::clone(&notified);
        async move {
            connection.head().await;
            connection.send(SWITCH).await;
            connection.send(first).await;
            if !second.is_empty() {
                notified.notified().await;
            }
            connection.send(second).await;
            connection.rest().await;
            connection.report("over");
        }
    })
    .await;
    (peer, go_on)
}

#[tokio::test]
async fn ended_tunnel_sends_a_close_frame_between_two_frames() {
    for (ending, close) in [
        (Ending::SessionEnded, &b"\x88\x0f\x03\xf0session ended"[..]),
        (Ending::ShuttingDown, b"\x88\x0f\x03\xe9shutting down"),
    ] {
        let (mut peer, _) = in_two(b"\x81\x02hi", b"").await;
        let mut client = WebSocketClient::of(peer.address);
        client.send(handshake()).await;
        client.head().await;
        assert_eq!(client.bytes(4).await, b"\x81\x02hi");
        client.ending.send(Some(ending)).unwrap();
        assert_eq!(client.rest().await, close);
        assert_eq!(peer.next_report().await, "over");
    }
}

#[tokio::test]
async fn tunnel_ends_for_the_client_when_the_upstream_is_gone() {
    let peer = ScriptedUpstream::start(|_, mut connection: ScriptedConnection| async move {
        connection.head().await;
        connection.send(SWITCH).await;
        connection.bytes(1).await;
        socket2::SockRef::from(&connection.stream).set_linger(Some(Duration::ZERO)).unwrap();
    })
    .await;
    let mut client = WebSocketClient::of(peer.address);
    client.send(handshake() + "x").await;
    client.head().await;
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn current_frame_is_finished_before_the_close_frame() {
    const NEXT: &[u8] = b"..\x81\x02hi";
    let (peer, go_on) = in_two(b"\x82\x7e\x00\x06half", NEXT).await;
    let mut client = WebSocketClient::of(peer.address);
    client.send(handshake()).await;
    client.head().await;
    assert_eq!(client.bytes(8).await, b"\x82\x7e\x00\x06half");
    client.ending.send(Some(Ending::SessionEnded)).unwrap();
    go_on.notify_one();
    let rest = client.rest().await;
    let close = b"\x88\x0f\x03\xf0session ended";
    // Scheduling decides whether the next frame comes before the end.
    let either = [[&b".."[..], close].concat(), [NEXT, close].concat()];
    assert!(either.contains(&rest), "{rest:?}");
}

#[tokio::test]
async fn upstream_that_never_ends_its_frame_is_cut() {
    let (mut peer, _) = in_two(b"\x81\x7dhalf", b"").await;
    let mut client = WebSocketClient::of(peer.address);
    client.send(handshake()).await;
    client.head().await;
    assert_eq!(client.bytes(6).await, b"\x81\x7dhalf");
    client.ending.send(Some(Ending::SessionEnded)).unwrap();
    assert_eq!(client.rest().await, b"");
    assert_eq!(peer.next_report().await, "over");
}
