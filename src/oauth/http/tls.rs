//! TLS of requests to a provider: which servers are trusted, and the certificate of this client.
//! Invariant: a client certificate is shown only to a server that requests one and that is trusted.

use crate::oauth::client_auth::ClientCertificate;
use crate::oauth::error::Error;
use crate::trust::{self, TrustError};

/// Without ALPN the connection uses HTTP/1.1, which is enough for one request.
pub(super) fn client(
    ca: Option<&str>,
    certificate: Option<&ClientCertificate>,
) -> Result<rustls::ClientConfig, Error> {
    let certificate = certificate.map(|pair| (pair.chain.as_str(), pair.key.expose()));
    trust::client(ca, certificate).map_err(|fault| {
        Error::Settings(match fault {
            TrustError::Authority(cause) => format!("ca: {cause}"),
            TrustError::ClientCertificate(cause) => format!("client_certificate: {cause}"),
            TrustError::Tls(cause) => cause,
        })
    })
}
