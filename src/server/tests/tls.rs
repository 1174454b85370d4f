//! TLS and HTTP/2.

use bytes::Bytes;
use http::{Method, Request, Version};
use http_body_util::{Empty, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::secret::Secret;

fn pair(name: &str) -> (CertifiedPair, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let pair = CertifiedPair {
        name: name.to_owned(),
        certificate: made.cert.pem(),
        key: Secret::new(made.signing_key.serialize_pem()),
    };
    (pair, made.cert.der().clone())
}

async fn start() -> (Running, Vec<CertificateDer<'static>>) {
    let (pairs, certificates) = ["a.example", "*.b.example"].map(pair).into_iter().unzip();
    (Running::start(Settings { certificates: pairs, ..settings() }).await, certificates)
}

async fn connect(
    running: &Running,
    certificates: &[CertificateDer<'static>],
    name: &'static str,
    alpn: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, running.connect().await).await
}

async fn http2<B>(
    stream: impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
) -> SendRequest<B>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (sender, connection) = handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    sender
}

fn get(uri: &str) -> http::request::Builder {
    Request::builder().version(Version::HTTP_2).uri(uri)
}

async fn send<B>(sender: &mut SendRequest<B>, request: Request<B>) -> (StatusCode, String)
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    sender.ready().await.unwrap();
    let response = timeout(SOON, sender.send_request(request)).await.expect("an answer").unwrap();
    let (status, body) = (response.status(), response.into_body().collect().await.unwrap());
    (status, String::from_utf8(body.to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn client_of_an_older_version_than_the_oldest_is_rejected() {
    for (oldest, accepted) in [(TlsVersion::V1_2, true), (TlsVersion::V1_3, false)] {
        let (pair, certificate) = pair("a.example");
        let settings = Settings { certificates: vec![pair], min_tls_version: oldest, ..settings() };
        let running = Running::start(settings).await;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("a.example").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let connected = connector.connect(name, running.connect().await).await;
        assert_eq!(connected.is_ok(), accepted, "{oldest:?}");
    }
}

#[tokio::test]
async fn certificate_is_chosen_by_server_name() {
    let (running, certificates) = start().await;
    for (name, works) in [("a.example", true), ("x.b.example", true), ("c.example", false)] {
        let stream = connect(&running, &certificates, name, &["http/1.1"]).await;
        assert_eq!(stream.is_ok(), works, "{name}");
    }
}

#[tokio::test]
async fn new_connection_gets_the_new_certificate() {
    let (running, old) = start().await;
    let (pair, new) = pair("a.example");
    running.replace(&Settings { certificates: vec![pair], ..settings() }).await;
    assert!(connect(&running, &[new], "a.example", &["http/1.1"]).await.is_ok());
    assert!(connect(&running, &old, "a.example", &["http/1.1"]).await.is_err());
}

#[tokio::test]
async fn http1_over_tls_is_https() {
    let (running, certificates) = start().await;
    let mut stream = connect(&running, &certificates, "a.example", &["http/1.1"]).await.unwrap();
    stream
        .write_all(b"GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(until_closed(&mut stream).await.contains("https://a.example/x for 127.0.0.1"));
}

#[tokio::test]
async fn incomplete_handshake_is_closed() {
    let mut settings = settings();
    settings.certificates = vec![pair("a.example").0];
    settings.timeouts.request_headers = Duration::from_millis(200);
    let running = Running::start(settings).await;
    assert_eq!(running.exchange(b"\x16\x03\x01").await, "");
}

#[tokio::test]
async fn http2_is_negotiated_and_its_cookies_are_joined() {
    let (running, certificates) = start().await;
    let stream = connect(&running, &certificates, "a.example", &["h2", "http/1.1"]).await.unwrap();
    let mut sender = http2(TokioIo::new(stream)).await;
    let request = get("https://a.example/x?y").header("cookie", "a=1").header("cookie", "b=2");
    let (status, text) = send(&mut sender, request.body(Empty::<Bytes>::new()).unwrap()).await;
    assert_eq!(
        (status, text.as_str()),
        (StatusCode::OK, "https://a.example/x?y for 127.0.0.1 fields cookie")
    );
}

#[tokio::test]
async fn http2_by_prior_knowledge_works_on_plain_sockets() {
    let running = Running::start(settings()).await;
    let mut sender = http2(TokioIo::new(running.connect().await)).await;
    let body = Full::new(Bytes::from_static(b"hello"));
    let request = get("http://a/body").method(Method::POST).body(body).unwrap();
    assert_eq!(send(&mut sender, request).await.1, "5 bytes, trailers false");
}

/// RFC 9110 §9.3.2: to an HTTP/2 client, content in the response to a HEAD is a stream error.
#[tokio::test]
async fn response_to_head_has_no_content() {
    let running = Running::start(settings()).await;
    let head = Request::head("http://own.example/deny").version(Version::HTTP_2);
    let mut sender = http2(TokioIo::new(running.connect().await)).await;
    let response = sender.send_request(head.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-length"], "6");
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    let raw = "HEAD /deny HTTP/1.1\r\nHost: own.example\r\nConnection: close\r\n\r\n";
    let raw = running.exchange(raw).await;
    assert!(raw.contains("content-length: 6\r\n"), "{raw}");
    assert!(raw.ends_with("\r\n\r\n"), "{raw}");
}

#[tokio::test]
async fn rejected_http2_request_does_not_close_the_connection() {
    let running = Running::start(settings()).await;
    let mut sender = http2(TokioIo::new(running.connect().await)).await;
    for (request, expected) in [
        (get("http://u@a/"), 400),
        (get("http://a/").header("host", "b"), 400),
        (get("http://a/").header("content-length", "00"), 400),
        (get("http://a/").method(Method::TRACE), 405),
        (get(&format!("http://a/{}", "x".repeat(17 * 1024))), 414),
        (get("http://a/panic"), 500),
        (get("http://a/"), 200),
    ] {
        let (status, _) = send(&mut sender, request.body(Empty::<Bytes>::new()).unwrap()).await;
        assert_eq!(status, expected);
    }
}

#[tokio::test]
async fn idle_http2_connection_gets_goaway() {
    let mut settings = settings();
    settings.timeouts.keep_alive = Duration::from_millis(200);
    let running = Running::start(settings).await;
    let stream = TokioIo::new(running.connect().await);
    let (mut sender, connection) = handshake(TokioExecutor::new(), stream).await.unwrap();
    let closed = tokio::spawn(connection);
    let (status, _) =
        send(&mut sender, get("http://a/").body(Empty::<Bytes>::new()).unwrap()).await;
    assert_eq!(status, 200);
    timeout(SOON, closed).await.expect("it closes").unwrap().expect("by GOAWAY, not by a reset");
}

#[tokio::test]
async fn http2_stream_is_answered_during_the_drain() {
    let running = Running::start(settings()).await;
    let mut sender = http2(TokioIo::new(running.connect().await)).await;
    let request = get("http://a/wait").body(Empty::<Bytes>::new()).unwrap();
    let waiting = tokio::spawn(async move { send(&mut sender, request).await });
    running.app.waiting.notified().await;
    running.shutdown.begin();
    running.app.go.notify_one();
    assert_eq!(waiting.await.unwrap(), (StatusCode::OK, "waited".to_owned()));
    running.stopped().await;
}

#[tokio::test]
async fn reset_stream_cancels_its_request() {
    let running = Running::start(settings()).await;
    let mut sender = http2(TokioIo::new(running.connect().await)).await;
    let request = get("http://a/wait").body(Empty::<Bytes>::new()).unwrap();
    sender.ready().await.unwrap();
    let waiting = tokio::spawn(sender.send_request(request));
    running.app.waiting.notified().await;
    waiting.abort();
    timeout(SOON, running.app.gone.notified()).await.expect("the request is given up");
}
