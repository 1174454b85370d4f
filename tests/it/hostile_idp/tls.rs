//! The provider's certificate (RFC 9525, RFC 9325 §3.1.1, OIDC Core §16.17).

use std::sync::Arc;

use portcullis::clock::Clock;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Failed, check_log, check_page};
use crate::support::browser::{Answer, Browser};
use crate::support::faults::{IdentityProvider, Settings};
use crate::support::gateway::Gateway;
use crate::support::provider;

/// A certification authority that only a configuration may name.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// TLS with a certificate for `name`.
    pub(super) fn server(&self, name: &str) -> Arc<ServerConfig> {
        self.server_of(CertificateParams::new([name.to_owned()]).unwrap())
    }

    fn server_of(&self, params: CertificateParams) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().der().clone();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.serialize_der().into()));
        Arc::new(config.unwrap())
    }

    /// The key of a provider's section that trusts it.
    pub(super) fn key(&self) -> String {
        format!("ca: \"{}\"", self.0.pem().replace("\r\n", "\n").replace('\n', "\\n"))
    }
}

/// What `start` answers at a gateway whose provider has this issuer, and what that gateway logs.
async fn start(issuer: &str, ca: &str) -> (Answer, Gateway) {
    let section = provider::section_with(issuer, ca);
    let gateway = Gateway::start(&format!("{section}routes: [{{ allow: authenticated }}]\n"));
    (Browser::new(&gateway).navigate("/oauth2/start").await, gateway)
}

async fn provider_with(tls: Arc<ServerConfig>) -> IdentityProvider {
    let settings = Settings { tls: Some(tls), host: "localhost".into(), ..provider::settings() };
    IdentityProvider::start(settings, Clock::system()).await.unwrap()
}

async fn check(tls: Arc<ServerConfig>, ca: &str, what: &str, expected: super::Outcome) {
    let provider = provider_with(tls).await;
    let (answer, gateway) = start(provider.issuer(), ca).await;
    match expected {
        super::SignedIn => {
            let to = answer.redirect().unwrap_or_else(|| panic!("{what}: {answer:?}"));
            assert!(to.as_str().starts_with(provider.issuer()), "{what}: {to}");
        }
        Failed(status, check) => {
            assert_eq!(answer.status, status, "{what}: {answer:?}");
            check_page(&answer, what);
            check_log(&gateway, &answer, check);
            assert_eq!(provider.counts().discovery, 0, "{what}: the provider received a request");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_with_an_invalid_certificate_gets_no_request() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let params = || CertificateParams::new(["localhost".to_owned()]).unwrap();
    let mut past = params();
    (past.not_before, past.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let mut future = params();
    (future.not_before, future.not_after) = (date_time_ymd(2999, 1, 1), date_time_ymd(3000, 1, 1));
    let failed = |why| Failed(503, why);
    check(ours.server("localhost"), &ours.key(), "good", super::SignedIn).await;
    check(ours.server_of(past), &ours.key(), "expired", failed("certificate expired")).await;
    check(
        ours.server_of(future),
        &ours.key(),
        "not yet valid",
        failed("certificate not valid yet"),
    )
    .await;
    let other = ours.server("other.example");
    check(other, &ours.key(), "another name", failed("not valid for name")).await;
    let forged = failed("BadSignature");
    check(theirs.server("localhost"), &ours.key(), "another authority of the name", forged).await;
    let unknown = failed("UnknownIssuer");
    check(ours.server("localhost"), "", "no authority that we know", unknown).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_with_tls_1_1_gets_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 4096];
            drop(stream.read(&mut hello).await);
            drop(stream.write_all(&server_hello_of_tls_1_1()).await);
            drop(stream.read(&mut hello).await);
        }
    });
    let (answer, gateway) = start(&issuer, &Authority::new().key()).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    check_page(&answer, "TLS 1.1");
    check_log(&gateway, &answer, "cannot reach localhost");
    assert_eq!(Browser::new(&gateway).fetch("/oauth2/ping").await.status, 200);
    serving.abort();
}

/// RFC 4346 §7.4.1.3: version 1.1, no session, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA.
fn server_hello_of_tls_1_1() -> Vec<u8> {
    let body = [&[3, 2][..], &[7; 32], &[0], &[0xc0, 0x13], &[0]].concat();
    let handshake = [&[2, 0, 0, body.len() as u8][..], &body].concat();
    [&[0x16, 3, 2, 0, handshake.len() as u8][..], &handshake].concat()
}
