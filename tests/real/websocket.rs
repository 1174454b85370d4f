//! WebSockets through each server, and no other protocol.
//! Invariant: an application never gets an `Upgrade` to a protocol that Portcullis does not decide about, such as h2c.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::component::Server;
use crate::deployment::Deployment;
use crate::support::provider;
use crate::support::wire::{Peer, Wire, status};

pub(crate) async fn websocket_is_forwarded_and_no_other_protocol(
    in_front_of: impl AsyncFnOnce(SocketAddr) -> Deployment<SocketAddr>,
) {
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&heads);
    let peer = Peer::start(move |wire| switch(wire, Arc::clone(&kept))).await;
    let Deployment { gateway, server, provider: _provider, .. } = in_front_of(peer.address).await;
    let mut browser = server.browser();
    provider::sign_in(&mut browser, "/page", "alice").await;
    let cookie = format!("portcullis={}", browser.cookie("/", "portcullis").unwrap());
    heads.lock().unwrap().clear();
    for (path, cookie, fields, statuses) in [
        ("/page", &*cookie, "Upgrade: WebSocket\r\nOrigin: http://wiki.localhost\r\n", &[101][..]),
        ("/open/page", "", "Upgrade: websocket\r\n", &[101]),
        ("/page", &cookie, "Upgrade: websocket\r\nOrigin: http://evil.example\r\n", &[403]),
        ("/page", "", "Upgrade: websocket\r\nAccept: text/html\r\n", &[401]),
        (
            "/page",
            &cookie,
            "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
            &[200, 403],
        ),
        ("/page", &cookie, "Upgrade: websocket, h2c\r\n", &[200, 403]),
        ("/page", &cookie, "Upgrade: h2c\r\nUpgrade: websocket\r\n", &[101, 200, 403]),
    ] {
        let answer = shake_hands(&server, path, cookie, fields).await;
        assert!(statuses.contains(&status(&answer)), "{path} {fields}: {answer}");
    }
    gateway.log_until("foreign_origin");
    let heads = heads.lock().unwrap();
    for head in heads.iter().filter(|head| head.contains("\r\nupgrade:")) {
        let websocket = head.contains("\r\nupgrade: websocket\r\n");
        assert!(websocket && head.matches("\r\nupgrade:").count() == 1, "{head}");
    }
    assert!(heads[0].contains("\r\nx-forwarded-user: demo-alice\r\n"), "{heads:?}");
}

/// The answer to a handshake; the application switches to every protocol that the handshake names.
async fn shake_hands(server: &Server, path: &str, cookie: &str, fields: &str) -> String {
    let mut wire = server.wire().await;
    wire.say(format!(
        "GET {path} HTTP/1.1\r\nHost: wiki.localhost\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Cookie: {cookie}\r\n{fields}\r\n"
    ))
    .await;
    let answer = wire.head().await;
    if status(&answer) == 101 {
        wire.say("hello").await;
        assert_eq!(wire.bytes(5).await, b"hello");
    }
    answer
}

/// Switches to the protocol that a head names, and echoes; keeps each head.
async fn switch(mut wire: Wire, heads: Arc<Mutex<Vec<String>>>) {
    let head = wire.head().await.to_ascii_lowercase();
    heads.lock().unwrap().push(head.clone());
    if !head.contains("\r\nupgrade:") {
        return wire.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
    }
    let protocol = if head.contains("websocket") { "websocket" } else { "h2c" };
    wire.say(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    ))
    .await;
    let said = wire.bytes(5).await;
    wire.say(said).await;
}

/// What the key of [`shake_hands`] is answered with (RFC 6455 §1.3).
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
