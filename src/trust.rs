//! TLS toward upstreams and providers: which server certificates are trusted.
//! Invariant: name, validity and signature of a certificate are always checked, whether it is trusted because of
//! a root of the system, an authority of the operator, or because the operator lists the certificate itself.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WantsClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// The reason why no TLS client can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The certificates of `ca` cannot be used.
    #[error("{0}")]
    Authority(String),
    /// The client certificate and its key cannot be used together.
    #[error("{0}")]
    ClientCertificate(String),
    /// The TLS library reports an error.
    #[error("{0}")]
    Tls(String),
}

/// A TLS client for 1.2 and 1.3. It trusts the roots of the system, or Mozilla's if the system has none (as in an
/// empty container), and the certificates of `ca`, a PEM text with at least one. To a trusted server that requests
/// one, it shows the client certificate, PEM texts of a chain and its key.
pub fn client(
    ca: Option<&str>,
    certificate: Option<(&str, &str)>,
) -> Result<ClientConfig, TrustError> {
    let trusting = trusting(ca)?;
    let Some((chain, key)) = certificate else { return Ok(trusting.with_no_client_auth()) };
    let unusable = |error: &dyn std::error::Error| TrustError::ClientCertificate(error.to_string());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
    let (chain, key) = (chain.map_err(|e| unusable(&e))?, key.map_err(|e| unusable(&e))?);
    trusting.with_client_auth_cert(chain, key).map_err(|error| unusable(&error))
}

fn trusting(ca: Option<&str>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TrustError> {
    let tls = |error: &dyn std::error::Error| TrustError::Tls(error.to_string());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let own = ca.map_or(Ok(Vec::new()), own)?;
    for certificate in &own {
        roots.add(certificate.clone()).map_err(|error| TrustError::Authority(error.to_string()))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let authorities =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| tls(&error))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| tls(&error))?;
    let verifier = Arc::new(Verifier { authorities, own });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier))
}

fn own(ca: &str) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let own: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(ca.as_bytes()).collect();
    match own {
        Ok(own) if own.is_empty() => {
            Err(TrustError::Authority("contains no certificate".to_owned()))
        }
        Ok(own) => Ok(own),
        Err(error) => Err(TrustError::Authority(error.to_string())),
    }
}

/// The usual checks, except that a server certificate that is listed in `ca` needs no issuer. Most self-signed
/// certificates are marked as authorities, and webpki rejects those as server certificates.
#[derive(Debug)]
struct Verifier {
    authorities: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.own.iter().any(|own| own == end_entity) {
            return verify_own(end_entity, server_name, now);
        }
        let authorities = &self.authorities;
        authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

// SECURITY: as an authority, it would be trusted for every name; as a server certificate, only for its own names.
fn verify_own(
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
    let parsed = Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let validity = parsed.tbs_certificate().validity();
    let [not_before, not_after] = [validity.not_before, validity.not_after]
        .map(|time| UnixTime::since_unix_epoch(time.to_unix_duration()));
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    Ok(ServerCertVerified::assertion())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

    use super::*;

    /// A certificate as `openssl req -x509` makes it: marked as an authority.
    fn self_signed(name: &str) -> (String, CertificateDer<'static>) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 12, 31);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        (made.pem(), made.der().clone())
    }

    fn at(year: i32, month: u8) -> UnixTime {
        let seconds = date_time_ymd(year, month, 15).unix_timestamp();
        UnixTime::since_unix_epoch(Duration::from_secs(seconds.try_into().unwrap()))
    }

    #[test]
    fn listed_certificate_is_trusted_for_its_name_and_validity() {
        let (_, own) = self_signed("wiki.internal");
        let name = ServerName::try_from("wiki.internal").unwrap();
        let verified = |now| verify_own(&own, &name, now).map_err(|error| error.to_string());
        assert!(verified(at(2026, 6)).is_ok());
        assert!(verified(at(2025, 6)).unwrap_err().contains("not valid yet"));
        assert!(verified(at(2027, 6)).unwrap_err().contains("expired"));
        let other = ServerName::try_from("other.internal").unwrap();
        let rejected = verify_own(&own, &other, at(2026, 6)).unwrap_err();
        assert!(matches!(rejected, Error::InvalidCertificate(_)), "{rejected}");
    }

    #[test]
    fn self_signed_certificate_is_trusted_only_if_it_is_listed() {
        let ((listed, own), (_, other)) = (self_signed("a.internal"), self_signed("a.internal"));
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let authorities = authorities.build().unwrap();
        let verifier = Verifier { authorities, own: super::own(&listed).unwrap() };
        let name = ServerName::try_from("a.internal").unwrap();
        let trusted = |certificate| {
            verifier.verify_server_cert(certificate, &[], &name, &[], at(2026, 6)).is_ok()
        };
        assert!(trusted(&own) && !trusted(&other));
    }

    #[test]
    fn text_without_certificates_is_rejected() {
        for wrong in
            ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
        {
            assert!(matches!(client(Some(wrong), None), Err(TrustError::Authority(_))), "{wrong}");
        }
        let listed = self_signed("a.internal").0;
        assert!(client(Some(&listed), None).is_ok() && client(None, None).is_ok());
    }
}
