//! TLS of requests to a provider: which servers are trusted, and the certificate of this client.
//! Invariant: a client certificate is shown only to a server that requests one and that is trusted.

use std::error::Error as StdError;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::oauth::client_auth::ClientCertificate;
use crate::oauth::error::Error;
use crate::trust;

/// Without ALPN the connection uses HTTP/1.1, which is enough for one request.
pub(super) fn client(
    ca: Option<&str>,
    certificate: Option<&ClientCertificate>,
) -> Result<rustls::ClientConfig, Error> {
    let config = trust::client(ca).map_err(|fault| {
        Error::Settings(match fault {
            trust::TrustError::Authority(cause) => format!("ca: {cause}"),
            trust::TrustError::Tls(cause) => cause,
        })
    })?;
    let Some(ClientCertificate { chain, key }) = certificate else {
        return Ok(config.with_no_client_auth());
    };
    let unusable = |cause: &dyn StdError| Error::Settings(format!("client_certificate: {cause}"));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes());
    let (chain, key) = (chain.map_err(|e| unusable(&e))?, key.map_err(|e| unusable(&e))?);
    config.with_client_auth_cert(chain, key).map_err(|error| unusable(&error))
}
