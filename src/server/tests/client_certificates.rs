//! `client_ca`: which client certificates are accepted, and that no handshake skips the check.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::TlsConnector;

use super::*;
use crate::secret::Secret;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate and its key, as PEM.
    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        change(&mut params);
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn settings(&self, client_ca: Option<&Self>) -> Settings {
        let (certificate, key) = self.issue(|_| {});
        let pair = CertifiedPair { name: "a".to_owned(), certificate, key: Secret::new(key) };
        let client_ca = client_ca.map(|authority| authority.0.pem());
        Settings { certificates: vec![pair], client_ca, ..settings() }
    }

    /// A client that trusts this authority, and shows a certificate.
    fn client(
        &self,
        version: &'static SupportedProtocolVersion,
        certificate: Option<&(String, String)>,
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![chain], key).unwrap()
            }
        };
        config.resumption = Resumption::in_memory_sessions(8);
        TlsConnector::from(Arc::new(config))
    }
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

/// The answer on a new connection, and how its handshake went; empty if the server closes. In TLS 1.3 the client learns
/// of that only after its own part of the handshake.
async fn exchange(running: &Running, client: &TlsConnector) -> (String, Option<HandshakeKind>) {
    let name = ServerName::try_from("a.example").unwrap();
    let Ok(mut stream) = client.connect(name, running.connect().await).await else {
        return (String::new(), None);
    };
    let get = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    drop(stream.write_all(get).await);
    let answer = until_closed(&mut stream).await;
    (answer, stream.get_ref().1.handshake_kind())
}

#[tokio::test]
async fn client_needs_a_valid_certificate_of_the_authority() {
    let (ours, others) = (Authority::new(), Authority::new());
    let running = Running::start(ours.settings(Some(&ours))).await;
    let long_ago = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 12, 31);
    };
    let of_a_server = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    let of_a_client = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    for version in VERSIONS {
        for (what, certificate, accepted) in [
            ("none", None, false),
            ("plain", Some(ours.issue(|_| {})), true),
            ("for clients", Some(ours.issue(of_a_client)), true),
            ("for servers", Some(ours.issue(of_a_server)), false),
            ("expired", Some(ours.issue(long_ago)), false),
            ("of another authority", Some(others.issue(|_| {})), false),
        ] {
            let client = ours.client(version, certificate.as_ref());
            let (answer, _) = exchange(&running, &client).await;
            assert_eq!(
                answer.starts_with("HTTP/1.1 200 "),
                accepted,
                "{what} {version:?}: {answer}"
            );
        }
    }
    let plain = running.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(!plain.starts_with("HTTP/"), "{plain}");
}

#[tokio::test]
async fn resumption_does_not_skip_the_check() {
    let ours = Authority::new();
    let certificate = ours.issue(|_| {});
    for version in VERSIONS {
        // Without client certificates, the second handshake of a client is resumed.
        let running = Running::start(ours.settings(None)).await;
        let client = ours.client(version, None);
        exchange(&running, &client).await;
        assert_eq!(exchange(&running, &client).await.1, Some(HandshakeKind::Resumed));
        // A ticket from before the setting does not open the door after it.
        running.replace(&ours.settings(Some(&ours))).await;
        assert_eq!(exchange(&running, &client).await.0, "");
        let client = ours.client(version, Some(&certificate));
        for _ in 0..3 {
            let (answer, kind) = exchange(&running, &client).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert_eq!(kind, Some(HandshakeKind::Full));
        }
        // A reload with another authority rejects the certificates of the last one.
        running.replace(&ours.settings(Some(&Authority::new()))).await;
        assert_eq!(exchange(&running, &client).await.0, "");
    }
}

#[test]
fn authorities_that_cannot_be_read_are_an_error() {
    let ours = Authority::new();
    for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let settings = Settings { client_ca: Some(text.to_owned()), ..ours.settings(None) };
        let error =
            ActiveSettings::new(&settings, context(), &Tasks::default()).unwrap_err().to_string();
        assert!(error.contains("server.tls.client_ca"), "{error}");
    }
}
