//! A restart while clients use the gateway: a WebSocket, an event stream, and a download.
//! Invariant: what never ends by itself ends when the drain starts, and what does is completed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::gateway::Gateway;
use crate::support::wait::until;
use crate::support::wire::{Peer, Wire, field, status};

/// An application with a WebSocket that never ends, events that never end, and a download that ends when it may.
async fn application(go: &Arc<Notify>) -> Peer {
    let go = Arc::clone(go);
    Peer::start(move |mut wire| {
        let go = Arc::clone(&go);
        async move {
            let head = wire.head().await;
            match head.split(' ').nth(1).unwrap() {
                "/socket" => greet_and_wait(wire, &head).await,
                "/events" => {
                    wire.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await;
                    wire.say("data: first\n\n").await;
                    wire.rest().await;
                }
                "/flood" => {
                    wire.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await;
                    wire.fill().await;
                    go.notify_one();
                    wire.rest().await;
                }
                "/socket-flood" => {
                    let accept = derive_accept_key(field(&head, "sec-websocket-key").as_bytes());
                    wire.say(switching(&accept)).await;
                    // Zeros are frames of length zero.
                    wire.fill().await;
                    go.notify_one();
                    wire.rest().await;
                }
                "/download" => {
                    let length = 2 * HALF.len();
                    wire.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")).await;
                    wire.say(HALF).await;
                    go.notified().await;
                    wire.say(HALF).await;
                }
                other => panic!("{other}"),
            }
        }
    })
    .await
}

/// Accepts a WebSocket, sends one message, and waits for the end.
async fn greet_and_wait(mut wire: Wire, head: &str) {
    let accept = derive_accept_key(field(head, "sec-websocket-key").as_bytes());
    wire.say(switching(&accept)).await;
    let mut socket = WebSocketStream::from_raw_socket(wire.stream, Role::Server, None).await;
    socket.send(Message::text("hello")).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
}

/// The head with which an application accepts a WebSocket.
fn switching(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// A WebSocket that is in use.
async fn socket(gateway: &Gateway) -> WebSocketStream<TcpStream> {
    let request = "ws://wiki.localhost/socket".into_client_request().unwrap();
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let mut socket = client_async(request, stream).await.unwrap().0;
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    socket
}

/// A request whose response has begun.
async fn get(gateway: &Gateway, path: &str) -> Wire {
    let mut wire = Wire::to(gateway).await;
    wire.say(format!("GET {path} HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n")).await;
    assert_eq!(status(&wire.head().await), 200);
    wire
}

/// How the gateway closes a WebSocket.
async fn close_code(socket: &mut WebSocketStream<TcpStream>) -> CloseCode {
    loop {
        let message = timeout(SOON, socket.next()).await.unwrap();
        if let Some(Ok(Message::Close(frame))) = message {
            return frame.unwrap().code;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_ends_websockets_and_event_streams_and_completes_downloads() {
    let go = Arc::new(Notify::new());
    let application = application(&go).await;
    let gateway = Gateway::in_front_of(application.address, "");
    let mut socket = socket(&gateway).await;
    let mut events = get(&gateway, "/events").await;
    events.until("data: first\n\n").await;
    let mut download = get(&gateway, "/download").await;
    assert_eq!(download.bytes(HALF.len()).await, HALF);

    gateway.signal("TERM");
    assert_eq!(close_code(&mut socket).await, CloseCode::Away);
    socket.close(None).await.ok();
    timeout(SOON, events.rest()).await.expect("the event stream ends when the drain starts");
    let refused = async || TcpStream::connect(gateway.address).await.is_err();
    until("no new connection is accepted", refused).await;

    go.notify_one();
    assert_eq!(download.bytes(HALF.len()).await, HALF, "the download goes on to its end");
    let completed = Instant::now();
    drop(download);
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(completed.elapsed() < SOON, "it went on for {:?}", completed.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_without_other_work_is_over_at_once() {
    let application = application(&Arc::default()).await;
    let gateway = Gateway::in_front_of(application.address, "");
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(socket(&gateway).await);
    }
    let mut events = get(&gateway, "/events").await;
    events.until("data: first\n\n").await;

    let began = Instant::now();
    gateway.signal("TERM");
    let clients = sockets.into_iter().map(|mut socket| {
        tokio::spawn(async move {
            assert_eq!(close_code(&mut socket).await, CloseCode::Away);
            socket.close(None).await.ok();
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    events.rest().await;
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(began.elapsed() < SOON, "it went on for {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_ends_streams_whose_client_reads_nothing() {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (path, fields) in [("/flood", ""), ("/socket-flood", upgrade)] {
        let go = Arc::new(Notify::new());
        let application = application(&go).await;
        let gateway = Gateway::in_front_of(application.address, "");
        let mut paused = Wire::to(&gateway).await;
        paused.say(format!("GET {path} HTTP/1.1\r\nHost: wiki.localhost\r\n{fields}\r\n")).await;
        go.notified().await;

        let began = Instant::now();
        gateway.signal("TERM");
        assert_eq!(gateway.wait().code(), Some(0));
        assert!(began.elapsed() < SOON, "{path} went on for {:?}", began.elapsed());
    }
}

/// Half of the download.
const HALF: &[u8] = &[b'x'; 64 * 1024];
/// The two seconds that a process may go on without work, and as many for a busy machine.
const SOON: Duration = Duration::from_secs(4);
