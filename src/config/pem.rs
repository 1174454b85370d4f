//! Certificates and keys: a path, or PEM text (RFC 7468) in the configuration itself.

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::config::diagnostics::{Diagnostics, Reported};
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::section::Section;
use crate::secret::Secret;

/// PEM text and its origin: a path, or "inline".
#[derive(Clone, Debug)]
pub(super) struct Pem {
    pub(super) name: String,
    pub(super) text: Secret,
}

/// Reads a field with certificates to trust.
pub(super) fn authorities(field: &Field<'_>) -> Result<Option<String>, Reported> {
    field.optional(|value| {
        let pem = Pem::read(value, field.diagnostics)?;
        let mut roots = RootCertStore::empty();
        for certificate in pem.certificates()? {
            roots
                .add(certificate)
                .map_err(|why| format!("contains a certificate that cannot be read: {why}"))?;
        }
        Ok(pem.text.expose().to_owned())
    })
}

/// Reads a field with a certificate chain.
pub(super) fn chain(field: &Field<'_>) -> Result<Option<Pem>, Reported> {
    field.optional(|value| {
        let pem = Pem::read(value, field.diagnostics)?;
        pem.certificates()?;
        Ok(pem)
    })
}

/// Reads a field with a private key.
pub(super) fn key(field: &Field<'_>) -> Result<Option<Pem>, Reported> {
    field.optional(|value| {
        let pem = Pem::read(value, field.diagnostics)?;
        pem.key()?;
        Ok(pem)
    })
}

/// Checks that a key belongs to the first certificate of a chain.
pub(super) fn check_pair(chain: &Pem, key: &Pem) -> Result<(), Invalid> {
    match CertifiedKey::from_der(chain.certificates()?, key.key()?, &default_provider()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(Invalid::new("does not belong to the certificate")
                .hint("check that the file of the certificate begins with the leaf certificate"))
        }
        Err(why) => Err(format!("cannot be used for TLS with the certificate: {why}").into()),
    }
}

/// Reads the fields `client_certificate` and `client_key`, which come together: PEM texts.
pub(super) fn client_pair(section: &Section<'_>) -> Result<Option<(String, Secret)>, Reported> {
    let (chain_field, key_field) =
        (section.field("client_certificate"), section.field("client_key"));
    let (chain, key) = (chain(&chain_field), key(&key_field));
    match (chain?, key?) {
        (None, None) => Ok(None),
        (Some(chain), Some(key)) => {
            check_pair(&chain, &key).map_err(|invalid| key_field.error(&invalid))?;
            Ok(Some((chain.text.expose().to_owned(), Secret::new(key.text.expose()))))
        }
        (Some(_), None) => Err(key_field.error(&"is required with client_certificate".into())),
        (None, Some(_)) => Err(chain_field.error(&"is required with client_key".into())),
    }
}

/// Reports a client certificate that servers reject now: expired, or not valid yet.
pub(super) fn warn_of_validity(field: &Field<'_>, chain: &Pem) {
    let parsed = chain.leaf().and_then(|leaf| Certificate::from_der(&leaf).ok());
    let Some(parsed) = parsed else { return };
    let validity = parsed.tbs_certificate().validity();
    let [begin, end] = [validity.not_before, validity.not_after]
        .map(|time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX));
    let now = field.diagnostics.now().0;
    if end < now {
        let invalid = Invalid::new("has expired: the provider rejects it").hint("renew it");
        field.diagnostics.outdated(&field.path, &invalid);
    } else if begin > now {
        let invalid = Invalid::new("is not valid yet: the provider rejects it")
            .hint("check the clock of this machine");
        field.diagnostics.warning(&field.path, &invalid);
    }
}

impl Pem {
    /// The first certificate.
    pub(super) fn leaf(&self) -> Option<CertificateDer<'static>> {
        self.certificates().ok()?.into_iter().next()
    }

    fn read(value: &str, diagnostics: &Diagnostics<'_>) -> Result<Self, Invalid> {
        if value.contains("-----BEGIN ") {
            return Ok(Self { name: "inline".to_owned(), text: Secret::new(value) });
        }
        if value.trim().is_empty() {
            return Err("is empty".into());
        }
        let content =
            diagnostics.file(value).map_err(|invalid| match looks_like_a_path(value) {
                true => invalid,
                false => Invalid::new("is neither PEM text nor the path of a readable file"),
            })?;
        let text = String::from_utf8(content).map_err(|_| {
            Invalid::new("contains no PEM text")
                .hint("convert DER with `openssl x509 -inform der` or `openssl pkey -inform der`")
        })?;
        Ok(Self { name: diagnostics.at(value).display().to_string(), text: Secret::new(text) })
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Invalid> {
        let text = self.text.expose().as_bytes();
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            Ok(_) => Err(Invalid::new("contains no certificate")
                .hint("PEM needs a line -----BEGIN CERTIFICATE-----")),
            Err(_) => Err("contains damaged PEM text".into()),
        }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, Invalid> {
        let text = self.text.expose();
        if text.contains("ENCRYPTED") {
            return Err(Invalid::new("contains a key with a passphrase, which is not supported").hint(
                "remove it with `openssl pkey -in with.key -out without.key`, and make the new file readable \
                 only for this user",
            ));
        }
        PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
            Invalid::new("contains no private key")
                .hint("PEM needs a line -----BEGIN PRIVATE KEY----- (or RSA, or EC)")
        })
    }
}

// SECURITY: a key pasted without its PEM lines would be shown as the path of a missing file. Base64 has no dot, and
// the base64 of a key (DER, a SEQUENCE) begins with an M.
pub(super) fn looks_like_a_path(value: &str) -> bool {
    let starts = value.starts_with('/') && !value.contains(['+', '=']);
    value.len() < 200 && (starts || value.contains('.')) && !value.contains(char::is_whitespace)
}
