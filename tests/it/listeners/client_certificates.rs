//! `server.tls.client_ca` by the real binary: without a certificate nothing is served, and the log says why.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::gateway::Gateway;
use crate::support::wire::{Wire, request, status};

#[tokio::test(flavor = "multi_thread")]
async fn client_without_a_certificate_is_rejected_and_the_log_says_why() {
    let made = rcgen::generate_simple_self_signed(["wiki.localhost".to_owned()]).unwrap();
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(path("tls.key"), made.signing_key.serialize_pem()).unwrap();
    let gateway = Gateway::start_with(&format!(
        "server:\n  listen: 127.0.0.1:0\n  public_url: https://wiki.localhost\n  tls:\n    \
         certificates: [{{ certificate: {0}, key: {1} }}]\n    client_ca: {0}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\n\
         routes: [{{ upstream: \"http://127.0.0.1:9\", allow: public }}]\n",
        path("tls.crt"),
        path("tls.key")
    ));
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("wiki.localhost").unwrap();
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let mut answer = Vec::new();
    // In TLS 1.3 the client learns only after its own part of the handshake that it is rejected.
    if let Ok(mut stream) = TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        stream.write_all(request("GET /ping", "Connection: close\r\n").as_bytes()).await.ok();
        stream.read_to_end(&mut answer).await.ok();
    }
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    gateway.log_until("client certificate does not satisfy server.tls.client_ca");
    let admin = gateway.address_of("admin listening");
    let mut wire = Wire::of(TcpStream::connect(admin).await.unwrap());
    wire.say(request("GET /healthz", "Connection: close\r\n").replace("wiki.", "")).await;
    assert_eq!(status(&wire.rest().await), 200);
}
