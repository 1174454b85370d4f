//! What a provider's server may do to a client, and what the client makes of it.

use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

use super::*;
use crate::oauth::loopback::{Loopback, Reply};

fn settings() -> HttpSettings {
    HttpSettings { timeout: Duration::from_secs(5), ca: None, proxy: None }
}

async fn get(reply: Reply) -> Result<HttpResponse, Error> {
    let provider = Loopback::start(move |_, _| reply.clone()).await;
    Http::new(settings()).unwrap().get(ProviderEndpoint::Discovery, &provider.url("/x")).await
}

#[tokio::test]
async fn an_answer_comes_with_its_status_and_media_type() {
    let answer = get(Reply::Answer(404, "Application/JSON; charset=utf-8", "{\"a\":1}".into()));
    let answer = answer.await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.media_type.as_str()), (404, "application/json"));
    assert_eq!(Value::from(answer.object().unwrap()), json!({"a": 1}));
}

#[tokio::test]
async fn a_redirect_is_an_answer_not_a_command() {
    let provider = Loopback::start(|base, _| Reply::Redirect(302, format!("{base}evil"))).await;
    let answer = Http::new(settings())
        .unwrap()
        .get(ProviderEndpoint::Discovery, &provider.url("/x"))
        .await
        .unwrap();
    assert_eq!(answer.status.as_u16(), 302);
    assert!(provider.seen("/evil").is_empty());
}

#[tokio::test]
async fn a_body_beyond_the_cap_is_refused() {
    let large = Reply::Answer(200, "text/plain", "x".repeat(BODY_LIMIT + 1));
    let provider = Loopback::start(move |_, _| large.clone()).await;
    let http = Http::new(settings()).unwrap();
    let error = http.get(ProviderEndpoint::Discovery, &provider.url("/x")).await;
    assert!(matches!(error, Err(Error::Oversized { .. })), "{error:?}");
    assert_eq!(provider.seen("/x").len(), 1, "asked again it would send as much again");
    let answer = get(Reply::Answer(200, "text/plain", "x".repeat(BODY_LIMIT))).await;
    assert_eq!(answer.unwrap().body().len(), BODY_LIMIT);
}

/// A connection that is kept may be closed just as the next code is sent, and a code is sent once.
#[tokio::test]
async fn each_request_has_a_connection_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let serving = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.read_buf(&mut Vec::with_capacity(4096)).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            // Open, and nobody reads what else comes along it.
            kept.push(stream);
        }
    });
    let http = Http::new(HttpSettings { timeout: Duration::from_secs(20), ..settings() }).unwrap();
    for _ in 0..3 {
        let answer =
            http.post(ProviderEndpoint::Token, &url, HeaderMap::new(), &[], http.deadline());
        assert_eq!(answer.await.unwrap().status, 200);
    }
    serving.abort();
}

#[tokio::test]
async fn a_refused_connection_means_that_nothing_was_sent() {
    // Bound, so that nobody else gets the port, and not listening.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = Url::parse(&format!("http://{}/", nobody.local_addr().unwrap())).unwrap();
    let error =
        Http::new(settings()).unwrap().get(ProviderEndpoint::Discovery, &url).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_means_that_the_answer_is_lost() {
    let error = get(Reply::Drop).await.unwrap_err();
    assert!(matches!(error, Error::AnswerLost { .. }), "{error}");
}

#[tokio::test]
async fn a_silent_provider_is_given_up_in_time() {
    let provider = Loopback::start(|_, _| Reply::Silence).await;
    let http = Http::new(HttpSettings { timeout: Duration::from_millis(50), ..settings() });
    let error =
        http.unwrap().get(ProviderEndpoint::Discovery, &provider.url("/x")).await.unwrap_err();
    assert!(matches!(error, Error::AnswerLost { .. }), "{error}");
}

#[test]
fn the_password_of_a_proxy_is_not_shown() {
    let proxy = Some(Secret::new("http://us:hunter2@proxy.example:3128"));
    let settings = HttpSettings { proxy, ..settings() };
    assert!(!format!("{settings:?} {:?}", Http::new(settings.clone())).contains("hunter2"));
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_world_but_never_for_loopback() {
    let proxy = Loopback::start(|_, _| Reply::json(200, &json!({"proxy": true}))).await;
    let provider = Loopback::start(|_, _| Reply::json(200, &json!({"proxy": false}))).await;
    let http =
        Http::new(HttpSettings { proxy: Some(Secret::new(proxy.url("/"))), ..settings() }).unwrap();
    let far = Url::parse("http://op.example/x").unwrap();
    for (url, expected) in [(far, true), (provider.url("/x"), false)] {
        let answer = http.get(ProviderEndpoint::Discovery, &url).await.unwrap().object().unwrap();
        assert_eq!(answer["proxy"], expected, "{url}");
    }
}

/// Asks a server with this certificate, trusting its issuer or not.
async fn ask_tls(name: &str, expires: i32, trusted: bool) -> Result<HttpResponse, Error> {
    let signing_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.into()]).unwrap();
    params.not_after = rcgen::date_time_ymd(expires, 1, 1);
    let cert = params.self_signed(&signing_key).unwrap();
    let ca = trusted.then(|| cert.pem());
    let (url, server) = tls_server(&rcgen::CertifiedKey { cert, signing_key }).await;
    let answer = Http::new(HttpSettings { ca, ..settings() })
        .unwrap()
        .get(ProviderEndpoint::Discovery, &url)
        .await;
    server.abort();
    answer
}

#[tokio::test]
async fn only_a_valid_certificate_of_a_trusted_authority_is_believed() {
    assert!(ask_tls("localhost", 4000, true).await.is_ok());
    for (name, expires, trusted, expected) in [
        (
            "localhost",
            4000,
            false,
            "UnknownIssuer: name its authority, or the certificate itself, in `ca`",
        ),
        ("elsewhere.example", 4000, true, "not valid for name"),
        ("localhost", 2000, true, "expired"),
    ] {
        let error = ask_tls(name, expires, trusted).await.unwrap_err();
        let told = |cause: &str| cause.contains(expected);
        assert!(matches!(&error, Error::Unreachable { cause, .. } if told(cause)), "{error}");
    }
}

async fn tls_server(
    key: &rcgen::CertifiedKey<rcgen::KeyPair>,
) -> (Url, tokio::task::JoinHandle<()>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _read = stream.read(&mut [0; 4096]).await;
            let _wrote = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
            let _closed = stream.shutdown().await;
        }
    });
    (Url::parse(&format!("https://localhost:{port}/")).unwrap(), task)
}

#[test]
fn a_broken_ca_is_the_operators_fault() {
    let ca = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let error = Http::new(HttpSettings { ca: Some(ca.into()), ..settings() }).unwrap_err();
    assert!(matches!(error, Error::Settings(_)), "{error}");
}

#[track_caller]
fn check_object(body: &[u8], usable: bool) {
    let body = body.to_vec();
    let answer = HttpResponse {
        status: StatusCode::OK,
        media_type: String::new(),
        headers: HeaderMap::new(),
        body,
    };
    assert_eq!(answer.object().is_ok(), usable, "{}", String::from_utf8_lossy(answer.body()));
}

#[test]
fn only_a_json_object_of_bounded_depth_is_read() {
    check_object(b"{\"a\":1}", true);
    check_object(b"\xef\xbb\xbf{}", true);
    for body in ["", "<html>", "[]", "\"x\"", "{\"a\":1", "{}{}"] {
        check_object(body.as_bytes(), false);
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    check_object(deep.as_bytes(), false);
}
