//! `server.tls:` -> the certificate chains and keys of the listeners, and the authorities of client certificates.

use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::pem;
use crate::config::section::Section;
use crate::origin::Origin;
use crate::secret::Secret;
use crate::server::{CertifiedPair, TlsVersion};

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "certificates",
        Type::List { of: &Type::Section(CERTIFICATE), least: 1 },
        DefaultValue::Unset("no TLS"),
        "Certificate chains with their keys. The server name that the client sends (SNI) selects one; the first is the default.",
    ),
    key(
        "min_version",
        Type::Scalar,
        DefaultValue::Is("\"1.2\""),
        "Oldest version of TLS that the listeners accept: 1.2 or 1.3.",
    ),
    key(
        "client_ca",
        Type::Pem,
        DefaultValue::Unset("clients need no certificate"),
        "Authorities of client certificates: a path or the PEM text. Every TLS client must then show a certificate of one of them.",
    ),
];

const CERTIFICATE: &[KeySpec] = &[
    key(
        "certificate",
        Type::Pem,
        DefaultValue::Required("certificate: /etc/portcullis/tls.crt"),
        "Certificate chain, leaf first: a path or the PEM text.",
    ),
    key(
        "key",
        Type::Pem,
        DefaultValue::Required("key: /etc/portcullis/tls.key"),
        "Private key, without a passphrase: a path or the PEM text.",
    ),
];

/// `server.tls`.
#[derive(Debug)]
pub(super) struct Tls {
    /// The listeners' own certificates.
    pub(super) certificates: Vec<CertifiedPair>,
    /// The oldest version.
    pub(super) min_version: TlsVersion,
    /// Authorities of client certificates, as PEM.
    pub(super) client_ca: Option<String>,
}

/// `server.tls`.
pub(super) fn settings(server: &Section<'_>, public_url: Option<&Origin>) -> Result<Tls, Reported> {
    let section = server.section("tls")?;
    let min_version = section.field("min_version").value(|text| match text {
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        other => {
            let number = other.trim_start_matches(|c: char| !c.is_ascii_digit());
            let invalid = Invalid::new("is not one of 1.2, 1.3");
            Err(match number {
                "1.2" | "1.3" => invalid.suggest(number),
                _ => invalid.hint("write 1.2 or 1.3"),
            })
        }
    });
    let field = section.field("certificates");
    let items = field.items()?;
    let pairs: Vec<_> = items
        .iter()
        .map(|item| Section::of(item).and_then(|section| certificate(&section)))
        .collect();
    let client_ca = client_ca(&section.field("client_ca"), items.is_empty());
    let certificates = pairs.into_iter().collect::<Result<Vec<CertifiedPair>, Reported>>()?;
    warn_of_certificates(&field, &certificates, public_url);
    Ok(Tls { certificates, min_version: min_version?, client_ca: client_ca? })
}

/// Reads the authorities of client certificates.
fn client_ca(field: &Field<'_>, without_tls: bool) -> Result<Option<String>, Reported> {
    let authorities = pem::authorities(field)?;
    // SECURITY: the operator expects that clients without a certificate are rejected.
    if authorities.is_some() && without_tls {
        let invalid =
            Invalid::new("has no effect without `certificates`: the listeners do not use TLS")
                .hint("set `tls.certificates`, or let the load balancer check client certificates");
        return Err(field.error(&invalid));
    }
    Ok(authorities)
}

/// Warns about certificates that browsers reject: expired, not valid yet, or for other names.
fn warn_of_certificates(field: &Field<'_>, pairs: &[CertifiedPair], public_url: Option<&Origin>) {
    let now = field.diagnostics.now();
    for (at, pair) in pairs.iter().enumerate() {
        let Some((begin, end)) = pair.validity() else { continue };
        let left = end.0.saturating_sub(now.0);
        let path = field.path.item(at).key("certificate");
        if left < 0 {
            let invalid = Invalid::new("has expired: browsers reject it").hint("renew it");
            field.diagnostics.outdated(&path, &invalid);
            continue;
        }
        let invalid = if begin > now {
            Invalid::new("is not valid yet: browsers reject it")
                .hint("check the clock of this machine, and the dates with `openssl x509 -noout -dates -in FILE`")
        } else if left < EXPIRES_SOON {
            Invalid::new(format!("expires in {} days", left / A_DAY)).hint("renew it")
        } else {
            continue;
        };
        field.diagnostics.warning(&path, &invalid);
    }
    if let Some(url) = public_url
        && !pairs.is_empty()
        && !pairs.iter().any(|pair| pair.covers(url.host()))
    {
        let invalid = Invalid::new("do not cover the host of public_url: browsers reject them")
            .hint("add a certificate for this host");
        field.diagnostics.warning(&field.path, &invalid);
    }
}

/// Remaining time of a certificate, in seconds, that causes a warning. Automatic renewal happens earlier.
pub const EXPIRES_SOON: i64 = 14 * A_DAY;
const A_DAY: i64 = 24 * 60 * 60;

fn certificate(section: &Section<'_>) -> Result<CertifiedPair, Reported> {
    let (chain_field, key_field) = (section.field("certificate"), section.field("key"));
    let (chain, key) = (pem::chain(&chain_field), pem::key(&key_field));
    let chain = chain?.ok_or_else(|| chain_field.missing(None))?;
    let key = key?.ok_or_else(|| key_field.missing(None))?;
    pem::check_pair(&chain, &key).map_err(|invalid| key_field.error(&invalid))?;
    Ok(CertifiedPair {
        name: chain.name,
        certificate: chain.text.expose().to_owned(),
        key: Secret::new(key.text.expose()),
    })
}
