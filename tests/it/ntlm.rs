//! Applications that authenticate the connection (NTLM, Negotiate): no user gets the connection of another one.

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Duration, timeout};

use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::wire::{Wire, field, status};

/// An application that takes every request on a connection for one of the user who authenticated there:
/// `NTLM type1-USER` and then `NTLM type3-USER`, or `Negotiate USER` at once. Answers `USER CONNECTION`.
struct Application {
    gateway: Gateway,
    closed: mpsc::UnboundedReceiver<usize>,
    serving: JoinHandle<()>,
}

impl Application {
    /// Behind a gateway with further keys of `server`.
    async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, closed) = mpsc::unbounded_channel();
        let serving = tokio::spawn(async move {
            for number in 1.. {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let tell = tell.clone();
                tokio::spawn(async move {
                    serve(&mut stream, number).await;
                    tell.send(number).ok();
                });
            }
        });
        let gateway = Gateway::start_with(&format!(
            "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\"{server} }}\n\
             admin: {{ listen: \"off\" }}\n\
             routes: [{{ upstream: \"http://{address}\", allow: public }}]\n"
        ));
        Self { gateway, closed, serving }
    }

    /// The number of a connection, once the gateway has closed it.
    async fn closes(&mut self) -> usize {
        timeout(Duration::from_secs(10), self.closed.recv()).await.unwrap().unwrap()
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(stream: &mut TcpStream, number: usize) {
    let (mut user, mut challenged) = (None, String::new());
    while let Some(head) = head(stream).await {
        let mut challenge = "Negotiate\r\nWWW-Authenticate: NTLM, Basic realm=\"files\"".to_owned();
        let sent = field(&head, "authorization");
        match sent.split_once(' ').unwrap_or_default() {
            ("Negotiate", who) => user = Some(who.to_owned()),
            ("NTLM", token) if token.starts_with("type1-") => {
                challenged = token.replace("type1", "type3");
                challenge = "NTLM type2".to_owned();
            }
            ("NTLM", token) if token == challenged => user = Some(token.replace("type3-", "")),
            _ => {}
        }
        let answer = match &user {
            Some(user) => {
                let body = format!("{user} {number}");
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            }
            None => format!(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 2\r\n\r\nno"
            ),
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// The next head, or `None` at the end.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// The answer to a request with these fields: the head, and the body.
async fn ask(wire: &mut Wire, fields: &str) -> (String, String) {
    wire.say(format!("GET / HTTP/1.1\r\nHost: wiki.localhost\r\n{fields}\r\n")).await;
    let head = wire.head().await;
    let body = wire.bytes(field(&head, "content-length").parse().unwrap()).await;
    (head, String::from_utf8(body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn ntlm_handshake_of_an_http1_connection_authenticates_its_requests() {
    let application = Application::start("").await;
    let mut alice = Wire::to(&application.gateway).await;
    let (denied, _) = ask(&mut alice, "").await;
    assert!(status(&denied) == 401 && denied.contains("NTLM"), "{denied}");
    let (challenge, _) = ask(&mut alice, "Authorization: NTLM type1-alice\r\n").await;
    assert_eq!(field(&challenge, "www-authenticate"), "NTLM type2", "{challenge}");
    // Another client between the two steps of the handshake.
    let mut bob = Wire::to(&application.gateway).await;
    let (denied, _) = ask(&mut bob, "Authorization: NTLM type3-alice\r\n").await;
    assert_eq!(status(&denied), 401, "{denied}");
    let (first, body) = ask(&mut alice, "Authorization: NTLM type3-alice\r\n").await;
    assert_eq!((status(&first), body.as_str()), (200, "alice 1"), "{first}");
    for _ in 0..3 {
        assert_eq!(ask(&mut alice, "").await.1, "alice 1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn authenticated_connection_serves_no_other_client_connection() {
    let mut application = Application::start("").await;
    let mut alice = Wire::to(&application.gateway).await;
    assert_eq!(ask(&mut alice, "Authorization: Negotiate alice\r\n").await.1, "alice 1");
    let mut bob = Wire::to(&application.gateway).await;
    for _ in 0..2 {
        let (denied, _) = ask(&mut bob, "").await;
        assert_eq!(status(&denied), 401, "{denied}");
        assert_eq!(ask(&mut alice, "").await.1, "alice 1");
    }
    assert_eq!(ask(&mut bob, "Authorization: Negotiate bob\r\n").await.1, "bob 2");
    drop(alice);
    assert_eq!(application.closes().await, 1, "with its client's connection");
    let mut carol = Wire::to(&application.gateway).await;
    assert_eq!(status(&ask(&mut carol, "").await.0), 401);
    assert_eq!(ask(&mut bob, "").await.1, "bob 2");
}

/// The next request is not authenticated, and only `Basic` is offered.
async fn is_closed_after_each_answer(server: &str, fields: &str) {
    let mut application = Application::start(server).await;
    let mut proxy = Wire::to(&application.gateway).await;
    let alice = format!("Authorization: Negotiate alice\r\n{fields}");
    assert_eq!(ask(&mut proxy, &alice).await.1, "alice 1");
    assert_eq!(application.closes().await, 1);
    for number in [2, 3] {
        let (denied, _) = ask(&mut proxy, fields).await;
        assert_eq!(status(&denied), 401, "{denied}");
        assert_eq!(field(&denied, "www-authenticate"), "Basic realm=\"files\"", "{denied}");
        assert_eq!(denied.matches("ww-").count() + denied.matches("NTLM").count(), 1, "{denied}");
        assert_eq!(application.closes().await, number);
    }
    application.gateway.log_until("NTLM");
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_of_a_trusted_proxy_share_no_authenticated_connection() {
    is_closed_after_each_answer(", trusted_proxies: [127.0.0.1/32]", "").await;
    let chain = "X-Forwarded-For: 192.0.2.1\r\n";
    is_closed_after_each_answer(", trusted_proxies: [127.0.0.1/32]", chain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_of_a_proxy_that_is_not_declared_share_no_authenticated_connection() {
    is_closed_after_each_answer("", "X-Forwarded-For: 192.0.2.1\r\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bound_connection_is_closed_when_its_client_turns_out_to_be_a_proxy() {
    let mut application = Application::start("").await;
    let mut proxy = Wire::to(&application.gateway).await;
    assert_eq!(ask(&mut proxy, "Authorization: Negotiate alice\r\n").await.1, "alice 1");
    let (denied, _) = ask(&mut proxy, "X-Forwarded-For: 192.0.2.1\r\n").await;
    assert_eq!(status(&denied), 401, "{denied}");
    let mut closed = [application.closes().await, application.closes().await];
    closed.sort_unstable();
    assert_eq!(closed, [1, 2]);
    assert_eq!(status(&ask(&mut proxy, "").await.0), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_an_http2_connection_share_no_authenticated_connection() {
    let mut application = Application::start("").await;
    let stream = TcpStream::connect(application.gateway.address).await.unwrap();
    let (mut sender, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = |credentials: Option<&'static str>| {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = format!("{PUBLIC_URL}/").parse().unwrap();
        if let Some(credentials) = credentials {
            request.headers_mut().insert(header::AUTHORIZATION, credentials.parse().unwrap());
        }
        request
    };
    let answer = sender.send_request(request(Some("Negotiate alice"))).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "alice 1");
    assert_eq!(application.closes().await, 1);
    let answer = sender.send_request(request(None)).await.unwrap();
    let challenges: Vec<_> = answer.headers().get_all(header::WWW_AUTHENTICATE).iter().collect();
    assert_eq!(
        (answer.status().as_u16(), challenges.as_slice()),
        (401, &["Basic realm=\"files\"".parse().unwrap()].each_ref()[..])
    );
    drop(answer.into_body().collect().await);
    assert_eq!(application.closes().await, 2);
    connection.abort();
}
