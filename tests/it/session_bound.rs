//! Open responses, uploads and WebSockets of a session end within seconds after it, and no others do.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc};
use tokio::time::timeout;

use crate::support::stack::Stack;
use crate::support::wire::{Peer, SWITCHED, UPGRADE, Wire, request, status};

/// An application that begins an answer of the kind that the path names, and reports when it can no longer go on.
struct Application {
    stack: Stack<Peer>,
    /// Of Alice.
    cookie: String,
    /// Lets all open answers go on.
    go: broadcast::Sender<()>,
    /// The paths of the requests that have ended for the application.
    ended: mpsc::UnboundedReceiver<String>,
}

impl Application {
    async fn start() -> Self {
        let ((tell, ended), (go, _)) = (mpsc::unbounded_channel(), broadcast::channel(8));
        let next = go.clone();
        let peer = Peer::start(move |mut wire| {
            let (tell, mut go) = (tell.clone(), next.subscribe());
            async move {
                let head = wire.head().await;
                let path = head.split(' ').nth(1).unwrap().to_owned();
                wire.say(beginning(&path)).await;
                if path == "/" {
                    return;
                }
                tokio::select! {
                    _ = wire.rest() => {}
                    _ = go.recv() => {
                        wire.say(if path == "/sized" { "world" } else { "5\r\nworld\r\n" }).await;
                        wire.rest().await;
                    }
                }
                tell.send(path).unwrap();
            }
        });
        let routes = ["UPSTREAM, allow: authenticated", "path: /open, UPSTREAM, allow: public"];
        let stack = Stack::builder().routes(routes).start_with(peer.await).await;
        let cookie = stack.cookie_of("alice").await;
        Self { stack, cookie, go, ended }
    }

    /// Sends a request with the session cookie.
    async fn ask(&self, line: &str, fields: &str) -> Wire {
        let cookie = &self.cookie;
        let mut wire = Wire::to(&self.stack.gateway).await;
        wire.say(request(line, &format!("{cookie}{fields}"))).await;
        wire
    }

    async fn sign_out(&self) {
        let mut wire = self.ask("GET /oauth2/sign_out", "").await;
        assert_eq!(status(&wire.head().await), 302);
    }

    /// Waits until these have ended for the application, in any order.
    async fn ended(&mut self, paths: &[&str]) {
        let mut ended = Vec::new();
        while ended.len() < paths.len() {
            let one = timeout(IN_TIME, self.ended.recv()).await;
            ended.push(one.unwrap_or_else(|_| panic!("{ended:?} of {paths:?}")).unwrap());
        }
        ended.sort_unstable();
        assert_eq!(ended, paths);
    }
}

/// The bytes that the application sends before it waits.
fn beginning(path: &str) -> String {
    let kind = match path {
        "/frames" => "multipart/x-mixed-replace; boundary=b",
        "/lines" => "application/x-ndjson",
        "/events" => "text/event-stream",
        "/grpc" => "application/grpc",
        "/sized" => return "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".to_owned(),
        "/upload" => return String::new(),
        // A whole frame, and the beginning of one (RFC 6455 §5.2).
        "/socket" => return format!("{SWITCHED}\x01\x02hi"),
        "/half" => return format!("{SWITCHED}\x01\x05hi"),
        // The page at which a sign-in ends.
        "/" => return "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned(),
        // Ends with its connection.
        "/old" => return "HTTP/1.1 200 OK\r\n\r\nhello".to_owned(),
        _ => "application/octet-stream",
    };
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn response_without_length_is_cut_after_sign_out() {
    let mut application = Application::start().await;
    let paths = ["/download", "/events", "/frames", "/grpc", "/lines", "/old"];
    let mut open = Vec::new();
    for path in paths {
        let mut wire = application.ask(&format!("GET {path}"), "").await;
        wire.until("hello").await;
        open.push(wire);
    }
    let mut public = application.ask("GET /open", "").await;
    public.until("hello").await;
    let mut strangers = Wire::to(&application.stack.gateway).await;
    strangers.say("GET /open HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n").await;
    strangers.until("hello\r\n").await;
    application.sign_out().await;
    for (wire, path) in open.iter_mut().zip(paths) {
        let rest = timeout(IN_TIME, wire.rest()).await.unwrap_or_else(|_| panic!("{path}"));
        assert!(!rest.ends_with("0\r\n\r\n"), "{path} is cut, not ended: {rest:?}");
    }
    application
        .ended(&["/download", "/events", "/frames", "/grpc", "/lines", "/old", "/open"])
        .await;
    application.stack.gateway.log_until("the session has ended");
    assert_eq!(strangers.waiting(), 0, "no byte since");
    application.go.send(()).unwrap();
    strangers.until("5\r\nworld\r\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn response_with_length_goes_on_after_sign_out() {
    let mut application = Application::start().await;
    let mut sized = application.ask("GET /sized", "").await;
    sized.until("hello").await;
    let mut upload = application.ask("POST /sized", "Content-Length: 5\r\n").await;
    upload.say("12345").await;
    upload.until("hello").await;
    let mut other = application.ask("GET /lines", "").await;
    other.until("hello").await;
    application.sign_out().await;
    application.ended(&["/lines"]).await;
    application.go.send(()).unwrap();
    sized.until("world").await;
    upload.until("world").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_upload_is_cut_after_sign_out() {
    let mut application = Application::start().await;
    for (fields, body) in [
        ("Content-Length: 100000\r\n", "hello"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
    ] {
        let expecting = format!("Expect: 100-continue\r\n{fields}");
        let mut upload = application.ask("POST /upload", &expecting).await;
        // The application has received the head, and wants the body.
        upload.until("100 Continue\r\n\r\n").await;
        upload.say(body).await;
        application.sign_out().await;
        timeout(IN_TIME, upload.rest()).await.expect("a cut");
        application.ended(&["/upload"]).await;
        application.cookie = application.stack.cookie_of("alice").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_response_is_cut_after_sign_out() {
    let (tell, mut events) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire| {
        let tell = tell.clone();
        async move {
            // The response at the end of the sign-in is empty.
            if wire.head().await.starts_with("GET / ") {
                return wire.say("HTTP/1.1 200 OK\r\n\r\n").await;
            }
            wire.say("HTTP/1.1 200 OK\r\n\r\n").await;
            wire.fill().await;
            tell.send("stands still").unwrap();
            wire.fill_to_the_end().await;
            tell.send("has ended").unwrap();
        }
    });
    let stack = Stack::builder().start_with(peer.await).await;
    let cookie = stack.cookie_of("alice").await;
    let mut wire = Wire::to(&stack.gateway).await;
    wire.say(request("GET /endless", &cookie)).await;
    assert_eq!(timeout(2 * IN_TIME, events.recv()).await.unwrap(), Some("stands still"));
    let mut out = Wire::to(&stack.gateway).await;
    out.say(request("GET /oauth2/sign_out", &cookie)).await;
    assert_eq!(status(&out.head().await), 302);
    assert_eq!(timeout(IN_TIME, events.recv()).await.unwrap(), Some("has ended"));
    // The client has not read a byte of the body.
    stack.gateway.log_until("the session has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn websocket_gets_1008_between_two_frames_and_a_cut_within_one() {
    let mut application = Application::start().await;
    let mut whole = application.ask("GET /socket", UPGRADE).await;
    let mut half = application.ask("GET /half", UPGRADE).await;
    for socket in [&mut whole, &mut half] {
        assert_eq!(status(&socket.head().await), 101);
        socket.until("hi").await;
    }
    application.sign_out().await;
    // A Close frame of 15 bytes: the code, and why.
    assert_eq!(whole.bytes(4).await, [0x88, 15, 0x03, 0xf0], "1008");
    assert_eq!(whole.rest().await, "session ended");
    assert_eq!(timeout(IN_TIME, half.rest()).await.expect("a cut"), "");
    application.ended(&["/half", "/socket"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_stream_of_the_session_is_reset_after_sign_out_and_no_other() {
    let mut application = Application::start().await;
    let stream = TokioIo::new(TcpStream::connect(application.stack.gateway.address).await.unwrap());
    let (mut streams, connection) = handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let cookie = application.cookie.trim_start_matches("Cookie: ").trim_end().to_owned();
    let mut open = Vec::new();
    for path in ["/grpc", "/lines", "/sized"] {
        let request = Request::get(format!("http://wiki.localhost{path}"));
        let request = request.header("cookie", &cookie).body(Empty::<Bytes>::new()).unwrap();
        streams.ready().await.unwrap();
        let mut answer = streams.send_request(request).await.unwrap().into_body();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
        open.push(answer);
    }
    application.sign_out().await;
    for answer in &mut open[..2] {
        let next = timeout(IN_TIME, answer.frame()).await.expect("a reset");
        assert!(next.is_none_or(|frame| frame.is_err()), "cut, not ended");
    }
    application.ended(&["/grpc", "/lines"]).await;
    application.go.send(()).unwrap();
    assert_eq!(open[2].frame().await.unwrap().unwrap().into_data().unwrap(), "world");
}

/// The limit of five seconds, and five more for a busy machine.
const IN_TIME: Duration = Duration::from_secs(10);
