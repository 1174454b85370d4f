//! WebSockets through the gateway (RFC 6455): who may open one, and how it ends with its session.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

use crate::support::browser::Browser;
use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::provider;
use crate::support::stack::{Builder, Stack};
use crate::support::wait::until;
use crate::support::wire::{Peer, Wire, answers_to, status};

type Socket = WebSocketStream<TcpStream>;

/// A stack with an application that sends the user's name first, and then echoes. `/open` is public, and pages of
/// `http://friend.localhost` may open WebSockets.
fn builder() -> Builder {
    const KEYS: &str = "UPSTREAM, websocket_origins: [\"http://friend.localhost\"]";
    Stack::builder()
        .server("timeouts: { drain: 1s }, trusted_proxies: [127.0.0.1]")
        .server("forward_auth: { clients: [{ from: [127.0.0.1], proxy: traefik }] }")
        .routes([
            format!("{KEYS}, allow: authenticated"),
            format!("path: /open, {KEYS}, allow: public"),
        ])
}

async fn stack() -> Stack<Peer> {
    builder().start_with(Peer::start(|wire| echo(wire.stream)).await).await
}

#[expect(clippy::result_large_err, reason = "tungstenite's own callback")]
async fn echo(stream: TcpStream) {
    let mut user = String::from("no user");
    let name = |request: &Request, response: Response| {
        if let Some(value) = request.headers().get("x-forwarded-user") {
            user = value.to_str().unwrap().to_owned();
        }
        Ok(response)
    };
    // Who is no WebSocket client, like the sign-in of a test, has no echo.
    let Ok(mut socket) = accept_hdr_async(stream, name).await else { return };
    socket.send(Message::text(user)).await.ok();
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() || message.is_binary() {
            socket.send(message).await.ok();
        }
    }
}

impl Stack<Peer> {
    async fn open(&self, path: &str, fields: &[(&str, &str)]) -> Result<Socket, Error> {
        let mut request = format!("ws://wiki.localhost{path}").into_client_request()?;
        for (name, value) in fields {
            let name = HeaderName::try_from(*name).unwrap();
            request.headers_mut().insert(name, HeaderValue::try_from(*value).unwrap());
        }
        let stream = TcpStream::connect(self.gateway.address).await.unwrap();
        client_async(request, stream).await.map(|(socket, _)| socket)
    }

    /// A browser of Alice's, and its cookie.
    async fn alice(&self) -> (Browser, String) {
        let mut browser = self.browser();
        // The application answers no page; that is all the same here.
        provider::sign_in(&mut browser, "/oauth2/start?rd=/", "alice").await;
        let cookie = format!("portcullis={}", browser.cookie("/", "portcullis").unwrap());
        (browser, cookie)
    }
}

/// The status and the fields of a denied handshake.
fn denial(opened: Result<Socket, Error>) -> (u16, HeaderMap) {
    match opened {
        Err(Error::Http(answer)) => (answer.status().as_u16(), answer.headers().clone()),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

async fn next_message(socket: &mut Socket) -> Message {
    timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap()
}

/// How the other side closes, within the five seconds that it may take.
async fn close_code(socket: &mut Socket) -> CloseCode {
    loop {
        if let Message::Close(frame) = next_message(socket).await {
            return frame.unwrap().code;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn websocket_messages_are_forwarded_both_ways_with_identity_headers() {
    let stack = stack().await;
    let (_, cookie) = stack.alice().await;
    let mut socket = stack.open("/page", &[("cookie", &cookie)]).await.unwrap();
    assert_eq!(next_message(&mut socket).await, Message::text("demo-alice"));
    for message in [Message::text("grüße"), Message::binary(vec![7; 1 << 20]), Message::text("")]
    {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(next_message(&mut socket).await, message);
    }
    socket.close(None).await.unwrap();
    assert!(matches!(next_message(&mut socket).await, Message::Close(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn handshake_without_session_gets_401() {
    let stack = stack().await;
    let navigation =
        [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", "text/html")];
    for fields in
        [&[][..], &[("origin", PUBLIC_URL)], &[("cookie", "portcullis=AAAA")], &navigation]
    {
        let (status, headers) = denial(stack.open("/page", fields).await);
        assert_eq!(status, 401, "T25 {fields:?}: an upgrade is never redirected");
        assert_eq!(headers["www-authenticate"], "Bearer");
    }
    let mut socket = stack.open("/open", &[]).await.unwrap();
    assert_eq!(next_message(&mut socket).await, Message::text("no user"));
}

#[tokio::test(flavor = "multi_thread")]
async fn handshake_from_a_foreign_origin_gets_403() {
    let stack = stack().await;
    let (_, cookie) = stack.alice().await;
    for origin in [
        "http://evil.example",
        "null",
        "",
        "http://wiki.localhost.evil.example",
        "https://wiki.localhost",
        "http://wiki.localhost:81",
        "http://xwiki.localhost",
        "http://sub.friend.localhost",
    ] {
        for path in ["/page", "/open"] {
            let opened = stack.open(path, &[("cookie", &cookie), ("origin", origin)]).await;
            assert_eq!(denial(opened).0, 403, "T25 {origin} {path}");
        }
    }
    for origin in [
        Some("http://wiki.localhost"),
        Some("HTTP://Wiki.Localhost"),
        Some("http://friend.localhost"),
        None,
    ] {
        let mut fields = vec![("cookie", cookie.as_str())];
        fields.extend(origin.map(|origin| ("origin", origin)));
        let mut socket = stack.open("/page", &fields).await.unwrap();
        assert_eq!(next_message(&mut socket).await, Message::text("demo-alice"), "{origin:?}");
    }
    // A proxy may write the port that no browser does.
    for host in ["wiki.localhost:80", "wiki.localhost.", "Wiki.localhost"] {
        let fields = [("cookie", &*cookie), ("origin", PUBLIC_URL), ("host", host)];
        let mut socket = stack.open("/page", &fields).await.unwrap();
        assert_eq!(next_message(&mut socket).await, Message::text("demo-alice"), "{host}");
    }
    // Without a session there is nothing to be stolen.
    let mut socket = stack.open("/open", &[("origin", "http://evil.example")]).await.unwrap();
    assert_eq!(next_message(&mut socket).await, Message::text("no user"));
}

#[tokio::test(flavor = "multi_thread")]
async fn websocket_gets_1008_after_sign_out() {
    let stack = stack().await;
    let (mut browser, cookie) = stack.alice().await;
    let mut sockets = Vec::new();
    for path in ["/page", "/open"] {
        let mut socket = stack.open(path, &[("cookie", &cookie)]).await.unwrap();
        assert_eq!(next_message(&mut socket).await, Message::text("demo-alice"));
        sockets.push(socket);
    }
    let mut strangers = stack.open("/open", &[]).await.unwrap();
    next_message(&mut strangers).await;
    browser.navigate("/oauth2/sign_out").await;
    for mut socket in sockets {
        assert_eq!(close_code(&mut socket).await, CloseCode::Policy, "T25");
    }
    strangers.send(Message::text("still here")).await.unwrap();
    assert_eq!(next_message(&mut strangers).await, Message::text("still here"));
}

#[tokio::test(flavor = "multi_thread")]
async fn websocket_gets_1008_when_the_provider_ends_the_session() {
    let stack = builder()
        .token_lifetime(Duration::from_secs(1))
        .start_with(Peer::start(|wire| echo(wire.stream)).await)
        .await;
    let (_, cookie) = stack.alice().await;
    let mut socket = stack.open("/page", &[("cookie", &cookie)]).await.unwrap();
    next_message(&mut socket).await;
    let refreshed = async || {
        // An open socket keeps its session fresh.
        socket.send(Message::text("x")).await.unwrap();
        next_message(&mut socket).await;
        stack.provider.counts().refreshes >= 2
    };
    until("the session was refreshed twice", refreshed).await;
    stack.provider.revoke_all();
    assert_eq!(close_code(&mut socket).await, CloseCode::Policy, "T25");
}

#[tokio::test(flavor = "multi_thread")]
async fn websocket_gets_1001_when_the_drain_starts() {
    let peer = Peer::start(|wire| echo(wire.stream)).await;
    let builder = Stack::builder().routes(["path: /open, UPSTREAM, allow: public".to_owned()]);
    let stack = builder.start_with(peer).await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let mut socket = stack.open("/open", &[]).await.unwrap();
        next_message(&mut socket).await;
        sockets.push(socket);
    }
    let began = Instant::now();
    stack.gateway.signal("TERM");
    let mut ends = Vec::new();
    for socket in &mut sockets {
        assert_eq!(close_code(socket).await, CloseCode::Away);
        socket.close(None).await.ok();
        ends.push(began.elapsed());
    }
    assert!(stack.gateway.wait().success());
    // The time to drain is 30 s.
    assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
    // Twenty clients that come back at once would all be answered in one moment.
    let last = ends.iter().max().unwrap();
    assert!(*last > Duration::from_millis(200), "{ends:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn request_behind_a_declined_upgrade_is_decided_by_itself() {
    // T23: an application that declines, and a second request that it must not take for the tunnel's.
    let stack = Stack::start().await;
    let behind = "GET /page?smuggled HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n";
    let answer = answers_to(&stack.gateway, format!("{HANDSHAKE}{behind}")).await;
    assert_eq!(status(&answer), 200, "T23 {answer}");
    assert_eq!(stack.upstream.targets(), ["/open"], "T23");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_behind_a_handshake_is_forwarded_before_101() {
    let (tell, mut events) = tokio::sync::mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire| {
        let tell = tell.clone();
        async move {
            tell.send(wire.head().await).unwrap();
            wire.say(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
            )
            .await;
            // Of RFC 6455 §1.3, as is the key.
            wire.say("Sec-WebSocket-Accept: wrong\r\n\r\n").await;
            tell.send(wire.rest().await).unwrap();
        }
    });
    let peer = peer.await;
    let gateway = Gateway::in_front_of(peer.address, "");
    let mut wire = Wire::to(&gateway).await;
    wire.say(format!("{HANDSHAKE}GET /open/smuggled HTTP/1.1\r\n")).await;
    let answer = wire.head().await;
    assert_eq!(status(&answer), 502, "T23 {answer}");
    let head = events.recv().await.unwrap();
    assert!(head.starts_with("GET /open HTTP/1.1\r\n") && !head.contains("smuggled"), "T23 {head}");
    assert_eq!(events.recv().await.unwrap(), "", "T23");
}

const HANDSHAKE: &str = "GET /open HTTP/1.1\r\nHost: wiki.localhost\r\nConnection: Upgrade\r\n\
                         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// The five seconds within which a socket ends with its session, and as many for a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// Traefik keeps `Upgrade` to itself when it asks about a WebSocket, as it is for one connection only.
#[tokio::test(flavor = "multi_thread")]
async fn auth_subrequest_without_upgrade_is_recognised_as_a_websocket_handshake() {
    let stack = stack().await;
    let (_, cookie) = stack.alice().await;
    let handshake = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n";
    for (fields, expected) in [
        ("Upgrade: websocket\r\nOrigin: http://evil.localhost\r\n", 403),
        (&format!("{handshake}Origin: http://evil.localhost\r\n"), 403),
        (&format!("{handshake}Origin: http://friend.localhost\r\n"), 202),
        (&format!("{handshake}Origin: http://wiki.localhost\r\n"), 202),
        ("Origin: http://evil.localhost\r\n", 202),
    ] {
        let subrequest = format!(
            "GET /oauth2/forward_auth HTTP/1.1\r\nHost: wiki.localhost\r\nX-Forwarded-Proto: ws\r\n\
             X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /\r\n\
             X-Forwarded-Host: wiki.localhost\r\nCookie: {cookie}\r\n{fields}\r\n"
        );
        assert_eq!(status(&answers_to(&stack.gateway, subrequest).await), expected, "{fields}");
    }
    let anonymous = format!(
        "GET /oauth2/forward_auth HTTP/1.1\r\nHost: wiki.localhost\r\nAccept: text/html\r\n\
         X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /\r\nX-Forwarded-Host: wiki.localhost\r\n\
         X-Forwarded-Proto: http\r\n{handshake}\r\n"
    );
    assert_eq!(status(&answers_to(&stack.gateway, anonymous).await), 401);
}
