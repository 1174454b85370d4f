//! Files that change while the gateway serves, without an order: certificates, links of Kubernetes, files mounted alone.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::CertifiedKey;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::operator::{ask, until, value};
use crate::support::wire::{answers_to, request, status};

const SUCCESSES: &str = "config_reloads_total{outcome=\"success\"}";
const FAILURES: &str = "config_reloads_total{outcome=\"failure\"}";

/// A configuration without certificates; `/` answers 403, or 502 to clients with one of these addresses.
fn plain(allow: &str) -> String {
    format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\" }}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\n\
         routes: [{{ upstream: \"http://127.0.0.1:9\", allow: [{{ public: true, client_addresses: [{allow}] }}] }}]\n"
    )
}

async fn status_of_root(gateway: &Gateway) -> u16 {
    status(&answers_to(gateway, request("GET /", "")).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn swapped_folder_of_kubernetes_and_file_written_in_place_take_effect() {
    let folder = TempDir::new().unwrap();
    let volume = folder.path().join("volume");
    let swap = |name: &str, allow: &str| {
        std::fs::create_dir_all(volume.join(name)).unwrap();
        std::fs::write(volume.join(name).join("portcullis.yaml"), plain(allow)).unwrap();
        symlink(name, volume.join("..data_tmp")).unwrap();
        std::fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    };
    swap("..2026_1", "127.0.0.1");
    let file = volume.join("portcullis.yaml");
    symlink("..data/portcullis.yaml", &file).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["run", "--config"]).arg(&file);
    let gateway = Gateway::start_command(command, folder);
    assert_eq!(status_of_root(&gateway).await, 502);
    swap("..2026_2", "192.0.2.1");
    std::fs::remove_dir_all(volume.join("..2026_1")).unwrap();
    until(&gateway, SUCCESSES, |count| count == 1.0).await;
    assert_eq!(status_of_root(&gateway).await, 403);
    // The same file with other content, as where it is mounted alone.
    std::fs::write(volume.join("..2026_2/portcullis.yaml"), plain("127.0.0.1")).unwrap();
    until(&gateway, SUCCESSES, |count| count == 2.0).await;
    assert_eq!(status_of_root(&gateway).await, 502);
}

type Pair = CertifiedKey<rcgen::KeyPair>;

/// A certificate that expires in this year.
fn pair(year: i32) -> Pair {
    let mut parameters = rcgen::CertificateParams::new(["wiki.localhost".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
    let signing_key = rcgen::KeyPair::generate().unwrap();
    CertifiedKey { cert: parameters.self_signed(&signing_key).unwrap(), signing_key }
}

/// A configuration with the pair in this folder; `more` are further keys of `tls`.
fn with_tls(folder: &Path, more: &str) -> String {
    let folder = folder.display();
    format!(
        "server:\n  listen: 127.0.0.1:0\n  public_url: https://wiki.localhost\n  tls: {{ \
         certificates: [{{ certificate: {folder}/tls.crt, key: {folder}/tls.key }}]{more} }}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\n\
         routes: [{{ upstream: \"http://127.0.0.1:9\", allow: public }}]\n"
    )
}

/// A client that trusts both.
fn client(pairs: &[&Pair]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    pairs.iter().for_each(|pair| roots.add(pair.cert.der().clone()).unwrap());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// The certificate, how the handshake was, and the status of an answer, if there is one.
async fn shaken(gateway: &Gateway, client: &TlsConnector) -> Option<(Vec<u8>, HandshakeKind, u16)> {
    let name = ServerName::try_from("wiki.localhost").unwrap();
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let mut stream = client.connect(name, stream).await.ok()?;
    let asked = request("GET /oauth2/ping", "Connection: close\r\n");
    stream.write_all(asked.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (_, tls) = stream.get_ref();
    let certificate = tls.peer_certificates()?[0].to_vec();
    (!answer.is_empty()).then(|| (certificate, tls.handshake_kind().unwrap(), status(&answer)))
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_certificate_is_served_once_its_key_is_there() {
    let (old, new) = (pair(2041), pair(2042));
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write("tls.crt", old.cert.pem());
    write("tls.key", old.signing_key.serialize_pem());
    let gateway = Gateway::start_with(&with_tls(folder.path(), ""));
    let name = folder.path().join("tls.crt").display().to_string();
    let expiry = format!("certificate_expiry_timestamp_seconds{{name=\"{name}\"}}");
    let served = async || shaken(&gateway, &client(&[&old, &new])).await.unwrap().0;
    assert_eq!(served().await, old.cert.der().to_vec());
    assert_eq!(value(&gateway, &expiry).await, Some(2_240_611_200.0));

    write("tls.crt", new.cert.pem());
    until(&gateway, FAILURES, |count| count == 1.0).await;
    assert_eq!(served().await, old.cert.der().to_vec());
    assert_eq!(value(&gateway, &expiry).await, Some(2_240_611_200.0));
    let text = ask(&gateway, "/readyz").await.body;
    let expected = "certificates[0].key: does not belong to the certificate";
    assert!(text.contains("last reload failed: ") && text.contains(expected), "{text}");
    assert!(!text.contains("PRIVATE KEY"), "{text}");

    write("tls.key", new.signing_key.serialize_pem());
    until(&gateway, SUCCESSES, |count| count == 1.0).await;
    assert_eq!(served().await, new.cert.der().to_vec());
    assert_eq!(value(&gateway, &expiry).await, Some(2_272_147_200.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_of_client_certificates_reach_clients_that_would_resume() {
    let own = pair(2041);
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write("tls.crt", own.cert.pem());
    write("tls.key", own.signing_key.serialize_pem());
    let gateway = Gateway::start_with(&with_tls(folder.path(), ""));
    let client = client(&[&own]);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let (_, shaken, status) = shaken(&gateway, &client).await.unwrap();
        assert_eq!((shaken, status), (kind, 200));
    }
    let authority = format!(", client_ca: {}/tls.crt", folder.path().display());
    gateway.reload(&with_tls(folder.path(), &authority));
    until(&gateway, SUCCESSES, |count| count == 1.0).await;
    assert_eq!(shaken(&gateway, &client).await, None);
    gateway.log_until("client certificate does not satisfy server.tls.client_ca");
}
