//! Endpoints that fail on the network: each fault does what its line says.

use super::*;

/// What arrives of an answer: up to `limit` bytes, or the error that ended it.
async fn arrives(scene: &Scene, path: &str, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(scene.idp.address()).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: idp\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut received = Vec::new();
    let all = stream.take(limit);
    tokio::pin!(all);
    tokio::time::timeout(Duration::from_secs(20), all.read_to_end(&mut received)).await.unwrap()?;
    Ok(received)
}

#[tokio::test]
async fn network_fault_changes_its_own_endpoint_only() {
    let scene = Scene::start().await;
    for endpoint in DemoEndpoint::ALL {
        scene.idp.set_faults(&[Fault::Network(endpoint, NetworkFault::Garbage)]);
        let received = arrives(&scene, endpoint.path(), 1000).await.unwrap();
        assert!(received.starts_with(b"\x16\x03\x01"), "{endpoint:?}");
        let other = if endpoint == DemoEndpoint::Jwks {
            DemoEndpoint::Discovery
        } else {
            DemoEndpoint::Jwks
        };
        assert_eq!(scene.get(other.path()).await.status, 200, "another endpoint than {endpoint:?}");
    }
}

#[tokio::test]
async fn network_fault_does_what_its_row_names() {
    let scene = Scene::start().await;
    for fault in NetworkFault::ALL {
        scene.idp.set_faults(&[Fault::Network(DemoEndpoint::Jwks, fault)]);
        use NetworkFault as F;
        let status = async || scene.get("/jwks").await.status;
        let raw = async |limit| arrives(&scene, "/jwks", limit).await;
        let text = async |limit| String::from_utf8_lossy(&raw(limit).await.unwrap()).into_owned();
        let holds = match fault {
            F::InternalError => status().await == 500,
            F::Unavailable => status().await == 503,
            F::TooManyRequests => scene.get("/jwks").await.headers["retry-after"] == "1",
            F::NotFound => status().await == 404,
            F::Html => scene.get("/jwks").await.headers["content-type"] == "text/html",
            F::Empty => scene.get("/jwks").await.body.is_empty(),
            F::Truncated => serde_json::from_str::<Value>(&scene.get("/jwks").await.body).is_err(),
            F::ShortBody => {
                let received = scene.get("/jwks").await;
                received.body.len() < received.headers["content-length"].parse().unwrap()
            }
            F::Lost => raw(1000).await.unwrap().is_empty(),
            F::LostOnce => raw(1000).await.unwrap().is_empty() && status().await == 200,
            F::BadUtf8 => String::from_utf8(raw(2000).await.unwrap_or_default()).is_err(),
            F::Hang => {
                let mut stream = TcpStream::connect(scene.idp.address()).await.unwrap();
                stream.write_all(b"GET /jwks HTTP/1.1\r\nhost: idp\r\n\r\n").await.unwrap();
                stream.shutdown().await.unwrap();
                let mut nothing = Vec::new();
                stream.read_to_end(&mut nothing).await.unwrap();
                nothing.is_empty()
            }
            F::Drip => text(78).await.ends_with("\r\n\r\n  "),
            F::Huge => raw(3_000_000).await.unwrap().len() == 3_000_000,
            F::Reset => raw(1000).await.unwrap_err().kind() == std::io::ErrorKind::ConnectionReset,
            F::RedirectLoop => text(1000).await.contains("location: /jwks\r\n"),
            F::RedirectAway => text(1000).await.contains("location: http://evil.example/\r\n"),
            F::CompressedBomb => text(1000).await.contains("content-encoding: gzip"),
            F::HeaderFlood => text(1_500_000).await.matches("x-flood").count() > 70_000,
            F::Garbage => text(1000).await.contains("this is no HTTP"),
        };
        assert!(holds, "{fault:?}");
    }
    scene.idp.set_faults(&[]);
    assert_eq!(scene.get("/jwks").await.status, 200);
}

#[tokio::test]
async fn hanging_request_ends_when_the_faults_change() {
    let scene = Scene::start().await;
    scene.idp.set_faults(&[Fault::Network(DemoEndpoint::Jwks, NetworkFault::Hang)]);
    let change = async {
        while scene.idp.counts().jwks == 0 {
            tokio::task::yield_now().await;
        }
        scene.idp.set_faults(&[]);
    };
    let (received, ()) = tokio::join!(arrives(&scene, "/jwks", 1000), change);
    assert!(received.unwrap().is_empty());
    assert_eq!(scene.get("/jwks").await.status, 200);
}

#[tokio::test]
async fn request_with_a_lost_answer_was_processed_and_one_with_503_was_not() {
    let strict = RefreshTokens::RotatingStrictly;
    let scene = Scene::with(Settings { refresh_tokens: strict, ..Settings::default() }).await;
    let tokens = scene.tokens().await;
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    scene.idp.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Unavailable)]);
    assert_eq!(scene.refresh(refresh_token).await.status, 503);
    scene.idp.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Lost)]);
    let head = format!("POST /token HTTP/1.1\r\n{}", basic("gateway:s3%3Acret+%26"));
    let body = query(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)], &[]);
    assert!(scene.bytes(&head, &body).await.unwrap().is_empty());
    scene.idp.set_faults(&[]);
    scene.refresh(refresh_token).await.expect_error(400, "invalid_grant");
    assert_eq!(scene.idp.counts().refreshes, 3);
}

#[tokio::test]
async fn provider_with_a_certificate_has_an_https_issuer() {
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = pair.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(pair.signing_key.serialize_der().into());
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let settings =
        Settings { tls: Some(server.into()), host: "localhost".into(), ..Settings::default() };
    let scene = Scene::with(settings).await;
    assert!(scene.idp.issuer().starts_with("https://localhost:"));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(scene.idp.address()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    scene.idp.set_faults(&[Fault::Discovery(DiscoveryFault::HttpTokenEndpoint)]);
    let request =
        "GET /.well-known/openid-configuration HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut received = String::new();
    stream.read_to_string(&mut received).await.unwrap();
    assert!(received.contains(r#""token_endpoint":"http://localhost:"#), "{received}");
    assert!(received.contains(r#""jwks_uri":"https://localhost:"#));
}
