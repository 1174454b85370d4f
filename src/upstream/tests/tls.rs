//! TLS toward an upstream: which certificates are trusted.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::upstream::tests::scripted_upstream::{ScriptedConnection, ScriptedUpstream};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate and its key, as PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

fn acceptor(authority: &Authority, name: &str, requests_client: bool) -> TlsAcceptor {
    let (certificate, key) = authority.issue(name);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if requests_client {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.0.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let chain =
        CertificateDer::pem_slice_iter(certificate.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn peer(acceptor: TlsAcceptor) -> ScriptedUpstream {
    ScriptedUpstream::start(move |_, connection: ScriptedConnection| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(connection.stream).await else { return };
            let alpn = String::from_utf8(stream.get_ref().1.alpn_protocol().unwrap().to_vec());
            let mut connection = ScriptedConnection { stream, reports: connection.reports };
            connection.report(&alpn.unwrap());
            while connection.head().await.is_some() {
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        }
    })
    .await
}

fn secure(peer: &ScriptedUpstream, ca: Option<&Authority>, name: Option<&str>) -> Settings {
    let origin = format!("https://127.0.0.1:{}", peer.address.port());
    let mut settings = settings(Target::Origin(Origin::parse(&origin).unwrap()));
    settings.tls.ca = ca.map(|authority| authority.0.pem());
    settings.tls.server_name = name.map(str::to_owned);
    settings
}

#[tokio::test]
async fn upstream_of_a_configured_authority_is_trusted() {
    let authority = Authority::new();
    let mut by_address = peer(acceptor(&authority, "127.0.0.1", false)).await;
    let upstream = made(&secure(&by_address, Some(&authority), None));
    for _ in 0..2 {
        assert_eq!(get(&upstream).await.unwrap().text(), "ok");
    }
    assert_eq!(
        (by_address.next_report().await.as_str(), by_address.connections()),
        ("http/1.1", 1)
    );
    let by_name = peer(acceptor(&authority, "wiki.internal", false)).await;
    let settings = secure(&by_name, Some(&authority), Some("wiki.internal"));
    assert_eq!(get(&made(&settings)).await.unwrap().text(), "ok");
}

#[tokio::test]
async fn unknown_authority_and_other_name_are_rejected() {
    let authority = Authority::new();
    let peer = peer(acceptor(&authority, "127.0.0.1", false)).await;
    for settings in [
        secure(&peer, None, None),
        secure(&peer, Some(&Authority::new()), None),
        secure(&peer, Some(&authority), Some("wiki.internal")),
    ] {
        assert!(matches!(get(&made(&settings)).await, Err(Error::TlsFailed(_))));
    }
}

#[tokio::test]
async fn client_certificate_is_sent_on_request() {
    let authority = Authority::new();
    let peer = peer(acceptor(&authority, "127.0.0.1", true)).await;
    let mut settings = secure(&peer, Some(&authority), None);
    assert!(get(&made(&settings)).await.is_err());
    let (certificate, key) = authority.issue("gateway");
    settings.tls.client = Some((certificate, Secret::new(key)));
    assert_eq!(get(&made(&settings)).await.unwrap().text(), "ok");
}

#[tokio::test]
async fn plain_http_and_unfinished_handshake_are_different_errors() {
    let plain = ScriptedUpstream::start(|_, mut connection: ScriptedConnection| async move {
        connection.bytes(5).await;
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    assert!(matches!(get(&made(&secure(&plain, None, None))).await, Err(Error::TlsFailed(_))));
    let silent = ScriptedUpstream::start(|_, mut connection: ScriptedConnection| async move {
        connection.rest().await;
    })
    .await;
    let mut settings = secure(&silent, None, None);
    settings.timeouts.connect = Duration::from_millis(60);
    let answer = get(&made(&settings)).await;
    assert!(matches!(answer, Err(Error::TooSlow(Phase::Connecting))));
}

#[test]
fn settings_that_cannot_work_are_rejected() {
    let secure = Target::Origin(Origin::parse("https://wiki.internal").unwrap());
    let bad = |tls: TlsSettings| {
        let settings = Settings { tls, ..settings(secure.clone()) };
        match Upstream::new(&settings, &[], &TargetPools::default()) {
            Err(Error::Settings(fault)) => fault,
            _ => panic!("accepted"),
        }
    };
    let ca = Some("no PEM".to_owned());
    assert_eq!(bad(TlsSettings { ca, ..TlsSettings::default() }), SettingsFault::Authority);
    let server_name = Some("not a name".to_owned());
    let fault = bad(TlsSettings { server_name, ..TlsSettings::default() });
    assert!(matches!(fault, SettingsFault::ServerName(_)));
    let (certificate, _) = Authority::new().issue("a");
    let (_, key) = Authority::new().issue("b");
    let client = Some((certificate, Secret::new(key)));
    let fault = bad(TlsSettings { client, ..TlsSettings::default() });
    assert!(matches!(fault, SettingsFault::ClientCertificate(_)));
}
