//! TLS toward clients: certificates by server name, TLS 1.2 and 1.3, ALPN for HTTP/2 and HTTP/1.1.
//! With `client_ca`, clients need a certificate, too.
//! Invariant: a key that does not belong to its certificate is an error at start. Early data is off, so that no
//! request can be replayed (RFC 8446 §8).

use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::time::Time;

use crate::clock::UnixTime;
use crate::server::error::Error;
use crate::server::settings::{CertifiedPair, Settings, TlsVersion};

/// The expiry of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateExpiry {
    /// Source of the certificate: a path, or "inline".
    pub name: String,
    /// `notAfter` (RFC 5280 §4.1.2.5).
    pub not_after: UnixTime,
}

/// The expiry of each certificate. One whose time cannot be read is left out, because it is served nevertheless.
pub(super) fn expiries(pairs: &[CertifiedPair]) -> Vec<CertificateExpiry> {
    let expiry = |pair: &CertifiedPair| {
        Some(CertificateExpiry { name: pair.name.clone(), not_after: pair.not_after()? })
    };
    pairs.iter().filter_map(expiry).collect()
}

impl CertifiedPair {
    /// The end of the certificate's validity, if it can be read.
    pub fn not_after(&self) -> Option<UnixTime> {
        self.validity().map(|(_, not_after)| not_after)
    }

    /// The certificate's validity, if it can be read (RFC 5280 §4.1.2.5).
    pub fn validity(&self) -> Option<(UnixTime, UnixTime)> {
        let leaf = self.leaf()?;
        let leaf = Certificate::from_der(&leaf).ok()?;
        let validity = leaf.tbs_certificate().validity();
        let time =
            |time: &Time| i64::try_from(time.to_unix_duration().as_secs()).ok().map(UnixTime);
        Some((time(&validity.not_before)?, time(&validity.not_after)?))
    }

    /// Whether the certificate is valid for this host: a name, or an address as in a URL.
    pub fn covers(&self, host: &str) -> bool {
        let covered = || {
            let leaf = self.leaf()?;
            let leaf = ParsedCertificate::try_from(&leaf).ok()?;
            let name = ServerName::try_from(host.trim_matches(['[', ']'])).ok()?;
            verify_server_name(&leaf, &name).ok()
        };
        covered().is_some()
    }

    fn leaf(&self) -> Option<CertificateDer<'static>> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).ok()
    }
}

/// The configuration of all TLS listeners; `None` without certificates.
pub(super) fn configure(settings: &Settings) -> Result<Option<Arc<ServerConfig>>, Error> {
    let pairs = &settings.certificates;
    if pairs.is_empty() {
        return Ok(None);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let keys = pairs.iter().map(|pair| load(pair, &provider)).collect::<Result<Vec<_>, _>>()?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(settings.min_tls_version))
        .map_err(Error::Tls)?;
    let mut config = match &settings.client_ca {
        None => {
            let builder = builder.with_no_client_auth();
            let mut config = builder.with_cert_resolver(Arc::new(Certificates(keys)));
            config.ticketer = aws_lc_rs::Ticketer::new().map_err(Error::Tls)?;
            config
        }
        Some(authorities) => {
            let verifier = client_verifier(authorities, provider)?;
            let builder = builder.with_client_cert_verifier(verifier);
            let mut config = builder.with_cert_resolver(Arc::new(Certificates(keys)));
            // SECURITY: a resumed session has the certificate of its first handshake, which may have expired since, and
            // nothing verifies it again. So every connection makes a whole handshake.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Arc::new(config)))
}

/// Accepts clients with a certificate of one of these authorities only.
fn client_verifier(
    authorities: &str,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        let certificate = certificate.map_err(|_| Error::ClientAuthorities)?;
        roots.add(certificate).map_err(|_| Error::ClientAuthorities)?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|_| Error::ClientAuthorities)
}

/// The versions from the oldest one on.
fn versions(oldest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static FROM_1_2: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    static FROM_1_3: [&SupportedProtocolVersion; 1] = [&TLS13];
    match oldest {
        TlsVersion::V1_2 => &FROM_1_2,
        TlsVersion::V1_3 => &FROM_1_3,
    }
}

fn load(pair: &CertifiedPair, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let name = || pair.name.clone();
    let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| Error::Certificate { pair: name() })?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.expose().as_bytes())
        .map_err(|_| Error::Key { pair: name() })?;
    CertifiedKey::from_der(chain, key, provider)
        .map(Arc::new)
        .map_err(|source| Error::Pair { pair: name(), source })
}

/// The certificates in the order of the configuration.
#[derive(Debug)]
struct Certificates(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Certificates {
    /// The first certificate that covers the server name. If none does, or without a server name, the first one.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let [only] = self.0.as_slice() else {
            let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
            let covering = name.and_then(|name| self.0.iter().find(|key| covers(key, &name)));
            return covering.or(self.0.first()).cloned();
        };
        Some(Arc::clone(only))
    }
}

fn covers(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let Ok(leaf) = key.end_entity_cert() else { return false };
    ParsedCertificate::try_from(leaf).is_ok_and(|leaf| verify_server_name(&leaf, name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn pair(name: &str, certificate: String, key: String) -> CertifiedPair {
        CertifiedPair { name: name.to_owned(), certificate, key: Secret::new(key) }
    }

    fn of(certificates: Vec<CertifiedPair>) -> Settings {
        Settings { certificates, ..Settings::listening_nowhere() }
    }

    #[track_caller]
    fn check(pair: CertifiedPair, message: &str) {
        let error = configure(&of(vec![pair])).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn error_names_the_invalid_pair() {
        let one = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["b.example".to_owned()]).unwrap();
        let key = one.signing_key.serialize_pem();
        check(pair("a.pem", one.cert.pem(), other.signing_key.serialize_pem()), "a.pem");
        check(pair("a.pem", "nothing".to_owned(), key.clone()), "no certificate in a.pem");
        check(pair("a.pem", one.cert.pem(), "nothing".to_owned()), "no private key");
        assert!(configure(&of(vec![pair("a.pem", one.cert.pem(), key)])).unwrap().is_some());
        assert!(configure(&of(Vec::new())).unwrap().is_none());
    }

    #[test]
    fn expiry_of_a_certificate_is_read() {
        let mut parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap().pem();
        let good = pair("a.pem", certificate, key.serialize_pem());
        let odd = pair("odd.pem", "nothing".to_owned(), String::new());
        let not_after = UnixTime(1_927_843_200);
        let expected = CertificateExpiry { name: "a.pem".to_owned(), not_after };
        assert_eq!(expiries(&[good, odd]), [expected]);
    }

    #[test]
    fn certificate_covers_the_names_in_it() {
        let names = ["*.a.example", "b.example", "::1"].map(str::to_owned);
        let one = rcgen::generate_simple_self_signed(names).unwrap();
        let pair = pair("a.pem", one.cert.pem(), String::new());
        for (host, expected) in [
            ("x.a.example", true),
            ("a.example", false),
            ("b.example", true),
            ("[::1]", true),
            ("127.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(pair.covers(host), expected, "{host}");
        }
    }

    #[test]
    fn early_data_is_off() {
        let one = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let pair = pair("a.pem", one.cert.pem(), one.signing_key.serialize_pem());
        assert_eq!(configure(&of(vec![pair])).unwrap().unwrap().max_early_data_size, 0);
    }
}
