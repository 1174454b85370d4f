//! `session:` -> `session::Settings`.

use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DAY, DefaultValue, KIB, KeySpec, MIB, SECOND, Type, key, millis};
use crate::config::section::Section;
use crate::origin::Origin;
use crate::routing::host::is_below;
use crate::secret::Secret;
use crate::session::{CookieSettings, SameSite, Settings};

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "lifetime",
        millis(SECOND, 400 * DAY),
        DefaultValue::Is("12h"),
        "The absolute end, from sign-in; a refresh does not move it.",
    ),
    key(
        "idle_timeout",
        millis(SECOND, 400 * DAY),
        DefaultValue::Unset("none"),
        "The end after this long without a request.",
    ),
    key(
        "refresh_before",
        millis(0, DAY),
        DefaultValue::Is("60s"),
        "Refresh when the access token has less than this left, or half of its life if shorter.",
    ),
    key(
        "outage_grace",
        millis(0, 7 * DAY),
        DefaultValue::Is("5m"),
        "Go on this long after expiry while the token endpoint cannot be reached.",
    ),
    key(
        "cookie",
        Type::Section(COOKIE),
        DefaultValue::Unset("all defaults"),
        "The session cookie.",
    ),
    key(
        "max_sessions",
        Type::Count { least: 1, most: 100_000_000 },
        DefaultValue::Is("100000"),
        "Sessions in all; when full, a long-unused one leaves.",
    ),
    key(
        "max_sessions_per_user",
        Type::Count { least: 1, most: 100_000_000 },
        DefaultValue::Is("1000"),
        "Sessions of one person.",
    ),
    key(
        "max_bytes",
        Type::Size { least: KIB, most: 64 * MIB },
        DefaultValue::Is("128KiB"),
        "Bytes of claims and tokens of one session; what nothing uses is dropped above it.",
    ),
    key(
        "secret",
        Type::OneOrMore(&Type::Secret),
        DefaultValue::Unset("made at start"),
        "Seals what leaves the process, newest first; `portcullis keygen` makes one.",
    ),
    key("store", Type::Choice(&["memory"]), DefaultValue::Is("memory"), "Where sessions are kept."),
];

const COOKIE: &[KeySpec] = &[
    key(
        "name",
        Type::Text,
        DefaultValue::Unset(
            "__Host-portcullis; __Secure-portcullis with a domain; portcullis for http",
        ),
        "The name as it is sent.",
    ),
    key(
        "domain",
        Type::Text,
        DefaultValue::Unset("the host of public_url alone"),
        "Shares the session with every host in this domain.",
    ),
    key(
        "same_site",
        Type::Choice(&["lax", "none"]),
        DefaultValue::Is("lax"),
        "none sends the cookie from frames on other sites too.",
    ),
];

/// The fewest characters of `session.secret`.
const SHORTEST_SECRET: usize = 32;

/// All of it. The cookie must fit `public_url`, where that is known.
pub(super) fn settings(
    root: &Section<'_>,
    public_url: Option<&Origin>,
) -> Result<Settings, Reported> {
    let section = root.section("session")?;
    let lifetime = section.field("lifetime").duration();
    let idle_timeout = section.field("idle_timeout").optional_duration();
    let refresh_before = section.field("refresh_before").duration();
    let outage_grace = section.field("outage_grace").duration();
    let cookie = section.section("cookie").and_then(|cookie| cookie_of(&cookie, public_url));
    let max_sessions = section.field("max_sessions").count();
    let max_sessions_per_user = section.field("max_sessions_per_user").count();
    let max_bytes = section.field("max_bytes").count();
    let secrets = secrets(&section.field("secret"));
    let store = section.field("store").choice(|text| (text == "memory").then_some(()));
    if let (Ok(lifetime), Ok(Some(idle))) = (&lifetime, &idle_timeout)
        && idle >= lifetime
    {
        let invalid = Invalid::new("is never reached: lifetime ends the session first");
        section.diagnostics.warning(&section.path.key("idle_timeout"), &invalid);
    }
    store?;
    Ok(Settings {
        lifetime: lifetime?,
        idle_timeout: idle_timeout?,
        refresh_before: refresh_before?,
        outage_grace: outage_grace?,
        cookie: cookie?,
        max_sessions: max_sessions?,
        max_sessions_per_user: max_sessions_per_user?,
        max_bytes: max_bytes?,
        secrets: secrets?,
    })
}

fn secrets(field: &Field<'_>) -> Result<Vec<Secret>, Reported> {
    field.secrets(|text| match text.chars().count() {
        0..SHORTEST_SECRET => {
            Err(Invalid::new(format!("is too short: at least {SHORTEST_SECRET} characters"))
                .hint("`portcullis keygen` makes one"))
        }
        _ => Ok(Secret::new(text)),
    })
}

fn cookie_of(
    section: &Section<'_>,
    public_url: Option<&Origin>,
) -> Result<CookieSettings, Reported> {
    let domain = section.field("domain").optional(|text| domain(text, public_url));
    let has_domain = section.field("domain").node.is_some();
    let name = section.field("name").optional(|text| name(text, public_url, has_domain));
    if let (Ok(Some(name)), Some(url)) = (&name, public_url) {
        warn_of_prefix(section, name, url, has_domain);
    }
    let same_site = section.field("same_site").choice(|text| match text {
        "lax" => Some(SameSite::Lax),
        "none" => Some(SameSite::None),
        _ => None,
    });
    // RFC 6265bis §5.6: browsers drop `SameSite=None` without `Secure`.
    if matches!(same_site, Ok(SameSite::None)) && public_url.is_some_and(|url| !url.is_https()) {
        let invalid =
            Invalid::new("cannot be none with an http:// public_url: browsers drop the cookie");
        return Err(section.field("same_site").error(&invalid));
    }
    Ok(CookieSettings { name: name?, domain: domain?, same_site: same_site? })
}

/// A name whose prefix does not contradict the attributes (RFC 6265bis §4.1.3).
fn name(text: &str, public_url: Option<&Origin>, has_domain: bool) -> Result<String, Invalid> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || text.len() > 100 || !text.chars().all(token) {
        return Err(Invalid::new("is not a cookie's name")
            .hint("use letters, digits, - and _, at most 100 of them"));
    }
    // Browsers compare the prefixes without case.
    let lower = text.to_ascii_lowercase();
    let (host, secure) = (lower.starts_with("__host-"), lower.starts_with("__secure-"));
    if (host || secure) && public_url.is_some_and(|url| !url.is_https()) {
        return Err(Invalid::new(
            "has a prefix that browsers take over https only, and public_url is http",
        )
        .hint("choose a name without __Host- and __Secure-"));
    }
    if host && has_domain {
        let rest = text.get("__Host-".len()..).unwrap_or_default();
        return Err(Invalid::new("has the prefix __Host-, which browsers refuse beside a domain")
            .suggest(format!("__Secure-{rest}")));
    }
    Ok(text.to_owned())
}

/// Over https a name without a prefix gives away what browsers enforce for those with one.
fn warn_of_prefix(section: &Section<'_>, name: &str, public_url: &Origin, has_domain: bool) {
    let lower = name.to_ascii_lowercase();
    if !public_url.is_https() || lower.starts_with("__host-") || lower.starts_with("__secure-") {
        return;
    }
    let prefix = if has_domain { "__Secure-" } else { "__Host-" };
    let invalid = Invalid::new(format!(
        "has no prefix: with {prefix} browsers make sure that no unencrypted page sets this cookie"
    ));
    let invalid = match section.field("name").is_literal() {
        true => invalid.hint(format!("write {prefix}{name}, or remove the key")),
        false => invalid.hint(format!("begin the name with {prefix}, or remove the key")),
    };
    section.diagnostics.warning(&section.path.key("name"), &invalid);
}

/// Whether anyone may register names below a domain: `co.uk`, `duckdns.org`.
fn is_public_suffix(domain: &str) -> bool {
    // A name under no known rule is not known to be one: `corp.internal`.
    psl::suffix(domain.as_bytes()).is_some_and(|suffix| suffix.is_known() && suffix == domain)
}

/// A domain that the host of `public_url` lies in.
fn domain(text: &str, public_url: Option<&Origin>) -> Result<String, Invalid> {
    if let Some(bare) = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')) {
        let what = "must begin with a name: the cookie is sent to all below it, too";
        return Err(Invalid::new(what).suggest(bare));
    }
    let host = match url::Host::parse(text) {
        Ok(url::Host::Domain(host)) if !host.ends_with('.') => host,
        Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => {
            return Err(Invalid::new("is an address; browsers share cookies among names only"));
        }
        Ok(url::Host::Domain(_)) | Err(_) => {
            return Err(Invalid::new("is not a domain").hint("write one such as example.com"));
        }
    };
    if !host.contains('.') {
        return Err(Invalid::new("is a single label; browsers refuse a cookie for all of it")
            .hint("write a domain such as example.com"));
    }
    // SECURITY: every owner of a name below would get the session cookie, were it not that browsers refuse it.
    if is_public_suffix(&host) {
        return Err(Invalid::new(
            "is a public suffix, below which anyone may register names: browsers refuse the cookie",
        )
        .hint("write your own domain, such as example.com, or remove the key"));
    }
    match public_url {
        Some(url) if url.host() != host && !is_below(url.host(), &host) => {
            Err(Invalid::new("does not cover the host of server.public_url")
                .hint("the session cookie is set there"))
        }
        Some(_) | None => Ok(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_suffixes_are_known_and_private_domains_are_none() {
        for suffix in ["co.uk", "duckdns.org", "github.io", "com", "foo.ck", "xn--p1ai"] {
            assert!(is_public_suffix(suffix), "{suffix}");
        }
        for domain in [
            "example.com",
            "example.co.uk",
            "me.duckdns.org",
            "internal",
            "corp.internal",
            "lan",
            "www.ck",
        ] {
            assert!(!is_public_suffix(domain), "{domain}");
        }
    }
}
