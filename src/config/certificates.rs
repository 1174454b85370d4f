//! `server.tls.certificates:` -> the chains and keys of the listeners.

use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::pem;
use crate::config::section::Section;
use crate::origin::Origin;
use crate::secret::Secret;
use crate::server::CertifiedPair;

pub(super) const KEYS: &[KeySpec] = &[key(
    "certificates",
    Type::List { of: &Type::Section(CERTIFICATE), least: 1 },
    DefaultValue::Unset("none: plain HTTP"),
    "Chains and their keys, chosen by the name that the client asks for; the first is the default.",
)];

const CERTIFICATE: &[KeySpec] = &[
    key(
        "certificate",
        Type::Pem,
        DefaultValue::Required("certificate: /etc/portcullis/tls.crt"),
        "The chain, leaf first: a path or the PEM text.",
    ),
    key(
        "key",
        Type::Pem,
        DefaultValue::Required("key: /etc/portcullis/tls.key"),
        "Its private key: a path or the PEM text.",
    ),
];

/// All of them.
pub(super) fn settings(
    server: &Section<'_>,
    public_url: Option<&Origin>,
) -> Result<Vec<CertifiedPair>, Reported> {
    let field = server.section("tls")?.field("certificates");
    let items = field.items()?;
    let pairs: Vec<_> = items
        .iter()
        .map(|item| Section::of(item).and_then(|section| certificate(&section)))
        .collect();
    let pairs = pairs.into_iter().collect::<Result<Vec<CertifiedPair>, Reported>>()?;
    warn_of_certificates(&field, &pairs, public_url);
    Ok(pairs)
}

/// Browsers refuse what is over, and what is for another name.
fn warn_of_certificates(field: &Field<'_>, pairs: &[CertifiedPair], public_url: Option<&Origin>) {
    let now = field.diagnostics.now();
    for (at, pair) in pairs.iter().enumerate() {
        let Some((begin, end)) = pair.validity() else { continue };
        let left = end.0.saturating_sub(now.0);
        let path = field.path.item(at).key("certificate");
        if left < 0 {
            let invalid = Invalid::new("has expired: browsers refuse it").hint("renew it");
            field.diagnostics.outdated(&path, &invalid);
            continue;
        }
        let invalid = if begin > now {
            Invalid::new("is not valid yet: browsers refuse it until its first day")
                .hint("compare `openssl x509 -noout -dates` with the clock of this machine")
        } else if left < SOON {
            Invalid::new(format!("ends in {} days", left / A_DAY)).hint("renew it")
        } else {
            continue;
        };
        field.diagnostics.warning(&path, &invalid);
    }
    if let Some(url) = public_url
        && !pairs.is_empty()
        && !pairs.iter().any(|pair| pair.covers(url.host()))
    {
        let invalid = Invalid::new("are for other names than that of public_url")
            .hint("browsers refuse them there; add one that covers it");
        field.diagnostics.warning(&field.path, &invalid);
    }
}

/// A certificate that is renewed by itself is renewed before.
const SOON: i64 = 14 * A_DAY;
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
