//! Responses and failures of a provider's server, and the results of the client.

use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

use super::*;
use crate::oauth::loopback::{Loopback, Reply};

fn settings() -> HttpSettings {
    HttpSettings { timeout: Duration::from_secs(5), ca: None, proxy: None, certificate: None }
}

async fn get(reply: Reply) -> Result<HttpResponse, Error> {
    let provider = Loopback::start(move |_, _| reply.clone()).await;
    Http::new(settings()).unwrap().get(ProviderEndpoint::Discovery, &provider.url("/x")).await
}

#[tokio::test]
async fn response_has_status_and_media_type() {
    let response = get(Reply::Answer(404, "Application/JSON; charset=utf-8", "{\"a\":1}".into()));
    let response = response.await.unwrap();
    assert_eq!((response.status.as_u16(), response.media_type.as_str()), (404, "application/json"));
    assert_eq!(Value::from(response.object().unwrap()), json!({"a": 1}));
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let provider = Loopback::start(|base, _| Reply::Redirect(302, format!("{base}evil"))).await;
    let response = Http::new(settings())
        .unwrap()
        .get(ProviderEndpoint::Discovery, &provider.url("/x"))
        .await
        .unwrap();
    assert_eq!(response.status.as_u16(), 302);
    assert!(provider.seen("/evil").is_empty());
}

#[tokio::test]
async fn body_over_limit_is_rejected_without_retry() {
    let large = Reply::Answer(200, "text/plain", "x".repeat(BODY_LIMIT + 1));
    let provider = Loopback::start(move |_, _| large.clone()).await;
    let http = Http::new(settings()).unwrap();
    let error = http.get(ProviderEndpoint::Discovery, &provider.url("/x")).await;
    assert!(matches!(error, Err(Error::Oversized { .. })), "{error:?}");
    assert_eq!(provider.seen("/x").len(), 1, "a retry would be as large");
    let response = get(Reply::Answer(200, "text/plain", "x".repeat(BODY_LIMIT))).await;
    assert_eq!(response.unwrap().body().len(), BODY_LIMIT);
}

/// The provider may close an idle connection just when a code is sent on it, and a code is sent once.
#[tokio::test]
async fn each_request_opens_a_new_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let serving = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.read_buf(&mut Vec::with_capacity(4096)).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            // Open, but not read any more.
            kept.push(stream);
        }
    });
    let http = Http::new(HttpSettings { timeout: Duration::from_secs(20), ..settings() }).unwrap();
    for _ in 0..3 {
        let response =
            http.post(ProviderEndpoint::Token, &url, HeaderMap::new(), &[], http.deadline());
        assert_eq!(response.await.unwrap().status, 200);
    }
    serving.abort();
}

#[tokio::test]
async fn refused_connection_reports_that_nothing_was_sent() {
    // Bound, so that no other program gets the port, but not listening.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = Url::parse(&format!("http://{}/", closed.local_addr().unwrap())).unwrap();
    let error =
        Http::new(settings()).unwrap().get(ProviderEndpoint::Discovery, &url).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn broken_connection_reports_lost_response() {
    let error = get(Reply::Drop).await.unwrap_err();
    assert!(matches!(error, Error::AnswerLost { .. }), "{error}");
}

#[tokio::test]
async fn request_without_response_ends_at_timeout() {
    let provider = Loopback::start(|_, _| Reply::Silence).await;
    let http = Http::new(HttpSettings { timeout: Duration::from_millis(50), ..settings() });
    let error =
        http.unwrap().get(ProviderEndpoint::Discovery, &provider.url("/x")).await.unwrap_err();
    assert!(matches!(error, Error::AnswerLost { .. }), "{error}");
}

#[test]
fn debug_output_has_no_proxy_password() {
    let proxy = Some(Secret::new("http://us:hunter2@proxy.example:3128"));
    let settings = HttpSettings { proxy, ..settings() };
    assert!(!format!("{settings:?} {:?}", Http::new(settings.clone())).contains("hunter2"));
}

#[tokio::test]
async fn proxy_is_used_except_for_loopback() {
    let proxy = Loopback::start(|_, _| Reply::json(200, &json!({"proxy": true}))).await;
    let provider = Loopback::start(|_, _| Reply::json(200, &json!({"proxy": false}))).await;
    let http =
        Http::new(HttpSettings { proxy: Some(Secret::new(proxy.url("/"))), ..settings() }).unwrap();
    let far = Url::parse("http://op.example/x").unwrap();
    for (url, expected) in [(far, true), (provider.url("/x"), false)] {
        let response = http.get(ProviderEndpoint::Discovery, &url).await.unwrap().object().unwrap();
        assert_eq!(response["proxy"], expected, "{url}");
    }
}

/// Sends a request to a server with this certificate, which `ca` trusts or not.
async fn ask_tls(name: &str, expires: i32, trusted: bool) -> Result<HttpResponse, Error> {
    let signing_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.into()]).unwrap();
    params.not_after = rcgen::date_time_ymd(expires, 1, 1);
    let cert = params.self_signed(&signing_key).unwrap();
    let ca = trusted.then(|| cert.pem());
    let (url, server) = tls_server(&rcgen::CertifiedKey { cert, signing_key }).await;
    let response = Http::new(HttpSettings { ca, ..settings() })
        .unwrap()
        .get(ProviderEndpoint::Discovery, &url)
        .await;
    server.abort();
    response
}

#[tokio::test]
async fn certificate_that_is_untrusted_expired_or_for_another_name_is_rejected() {
    assert!(ask_tls("localhost", 4000, true).await.is_ok());
    for (name, expires, trusted, expected) in [
        ("localhost", 4000, false, "UnknownIssuer: add the certificate of its authority to `ca`"),
        ("elsewhere.example", 4000, true, "not valid for name"),
        ("localhost", 2000, true, "expired"),
    ] {
        let error = ask_tls(name, expires, trusted).await.unwrap_err();
        let has_expected = |cause: &str| cause.contains(expected);
        assert!(
            matches!(&error, Error::Unreachable { cause, .. } if has_expected(cause)),
            "{error}"
        );
    }
}

async fn tls_server(
    key: &rcgen::CertifiedKey<rcgen::KeyPair>,
) -> (Url, tokio::task::JoinHandle<()>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private.into())
        .unwrap();
    serve_tls(config).await
}

async fn serve_tls(config: rustls::ServerConfig) -> (Url, tokio::task::JoinHandle<()>) {
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
fn malformed_ca_is_a_configuration_error() {
    let ca = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let error = Http::new(HttpSettings { ca: Some(ca.into()), ..settings() }).unwrap_err();
    assert!(matches!(error, Error::Settings(_)), "{error}");
}

#[track_caller]
fn check_object(body: &[u8], usable: bool) {
    let body = body.to_vec();
    let response = HttpResponse { body, ..HttpResponse::of(200, String::new()) };
    assert_eq!(response.object().is_ok(), usable, "{}", String::from_utf8_lossy(response.body()));
}

#[test]
fn body_that_is_no_json_object_or_too_deep_is_rejected() {
    check_object(b"{\"a\":1}", true);
    check_object(b"\xef\xbb\xbf{}", true);
    for body in ["", "<html>", "[]", "\"x\"", "{\"a\":1", "{}{}"] {
        check_object(body.as_bytes(), false);
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    check_object(deep.as_bytes(), false);
}

#[tokio::test]
async fn client_certificate_is_shown_to_a_server_that_requests_it() {
    let [server, client] =
        [(); 2].map(|()| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(client.cert.der().clone()).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    );
    let private = rustls::pki_types::PrivatePkcs8KeyDer::from(server.signing_key.serialize_der());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![server.cert.der().clone()], private.into())
        .unwrap();
    let (url, task) = serve_tls(config).await;
    let certificate = ClientCertificate {
        chain: client.cert.pem(),
        key: Secret::new(client.signing_key.serialize_pem()),
    };
    let ask = async |certificate| {
        let settings = HttpSettings { ca: Some(server.cert.pem()), certificate, ..settings() };
        Http::new(settings).unwrap().get(ProviderEndpoint::Discovery, &url).await
    };
    assert!(ask(Some(certificate)).await.is_ok());
    let error = ask(None).await.unwrap_err().to_string();
    assert!(error.contains("CertificateRequired"), "{error}");
    task.abort();
}
