//! `session:` -> `session::Settings`.

use std::path::PathBuf;

use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::host_names::is_public_suffix;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DAY, DefaultValue, KIB, KeySpec, MIB, SECOND, Type, key, millis};
use crate::config::section::Section;
use crate::config::session_store;
use crate::origin::Origin;
use crate::routing::host::is_below;
use crate::secret::Secret;
use crate::session::{CookieSettings, Persistence, SameSite, Settings};

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "lifetime",
        millis(SECOND, 400 * DAY),
        DefaultValue::Is("12h"),
        "Maximum lifetime of a session, from sign-in. A refresh does not extend it.",
    ),
    key(
        "idle_timeout",
        millis(SECOND, 400 * DAY),
        DefaultValue::Unset("none"),
        "Idle timeout: a session ends after this time without a request.",
    ),
    key(
        "refresh_before",
        millis(0, DAY),
        DefaultValue::Is("60s"),
        "Refresh the tokens when the access token expires within this time, or after half of its lifetime if that is shorter.",
    ),
    key(
        "outage_grace",
        millis(0, 7 * DAY),
        DefaultValue::Is("5m"),
        "How long a session stays valid after its access token expired, while the token endpoint cannot be reached.",
    ),
    key(
        "recheck",
        millis(SECOND, 400 * DAY),
        DefaultValue::Unset("none"),
        "Ask the provider at this interval whether the session still stands: by a refresh, or else by userinfo or the profile.",
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
        "Maximum number of sessions in memory. At the limit, sessions that have not been used for long are evicted.",
    ),
    key(
        "max_sessions_per_user",
        Type::Count { least: 1, most: 100_000_000 },
        DefaultValue::Is("1000"),
        "Maximum number of sessions of one user.",
    ),
    key(
        "max_bytes",
        Type::Size { least: KIB, most: 64 * MIB },
        DefaultValue::Is("128KiB"),
        "Maximum size of the claims and tokens of one session. Above it, unused claims and tokens are dropped.",
    ),
    key(
        "secret",
        Type::OneOrMore(&Type::Secret),
        DefaultValue::Unset("a random secret for each process"),
        "Secret that encrypts the state of sign-ins and stored sessions, or a list with the newest first. `portcullis keygen` creates one.",
    ),
    session_store::STORE,
    key(
        "snapshot",
        Type::Text,
        DefaultValue::Unset("none: a restart signs all users out"),
        "File that keeps the sessions, encrypted with `secret`, over a restart or a crash. One process at a time can use it.",
    ),
];

const COOKIE: &[KeySpec] = &[
    key(
        "name",
        Type::Text,
        DefaultValue::Unset(
            "__Host-portcullis; __Secure-portcullis with a domain; portcullis for http",
        ),
        "Name of the cookie.",
    ),
    key(
        "domain",
        Type::Text,
        DefaultValue::Unset("only the host of public_url"),
        "Domain of the cookie. All hosts in this domain share the session.",
    ),
    key(
        "same_site",
        Type::Choice(&["lax", "none"]),
        DefaultValue::Is("lax"),
        "SameSite attribute. With none, browsers also send the cookie in frames on other sites.",
    ),
    key(
        "persistent",
        Type::Flag,
        DefaultValue::Is("true"),
        "Whether the cookie outlives the browser. With false it has no Max-Age.",
    ),
];

/// Minimum length of `session.secret`, in characters.
const SHORTEST_SECRET: usize = 32;

/// `session`. The cookie must match `public_url`, if that is known.
pub(super) fn settings(
    root: &Section<'_>,
    public_url: Option<&Origin>,
) -> Result<Settings, Reported> {
    let section = root.section("session")?;
    let lifetime = section.field("lifetime").duration();
    let idle_timeout = section.field("idle_timeout").optional_duration();
    let refresh_before = section.field("refresh_before").duration();
    let outage_grace = section.field("outage_grace").duration();
    let recheck = section.field("recheck").optional_duration();
    let cookie = section.section("cookie").and_then(|cookie| cookie_of(&cookie, public_url));
    let max_sessions = section.field("max_sessions").count();
    let max_sessions_per_user = section.field("max_sessions_per_user").count();
    let max_bytes = section.field("max_bytes").count();
    let secrets = secrets(&section.field("secret"));
    let snapshot = snapshot(&section);
    let store = session_store::read(&section);
    if let (Ok(lifetime), Ok(Some(idle))) = (&lifetime, &idle_timeout)
        && idle >= lifetime
    {
        let invalid = Invalid::new("has no effect: `lifetime` ends the session earlier");
        section.diagnostics.warning(&section.path.key("idle_timeout"), &invalid);
    }
    if let (Ok(lifetime), Ok(Some(recheck))) = (&lifetime, &recheck)
        && recheck >= lifetime
    {
        let invalid = Invalid::new("has no effect: `lifetime` ends the session earlier");
        section.diagnostics.warning(&section.path.key("recheck"), &invalid);
    }
    Ok(Settings {
        lifetime: lifetime?,
        idle_timeout: idle_timeout?,
        refresh_before: refresh_before?,
        outage_grace: outage_grace?,
        recheck: recheck?,
        cookie: cookie?,
        max_sessions: max_sessions?,
        max_sessions_per_user: max_sessions_per_user?,
        max_bytes: max_bytes?,
        secrets: secrets?,
        store: store?,
        snapshot: snapshot?,
    })
}

/// The path, relative to the configuration file.
fn snapshot(section: &Section<'_>) -> Result<Option<PathBuf>, Reported> {
    let field = section.field("snapshot");
    let path = field.optional(|text| match text {
        "" => Err(Invalid::new("is empty").hint("write the path of a file")),
        folder if folder.ends_with('/') => {
            Err(Invalid::new("is a folder").hint("write the path of a file"))
        }
        path => Ok(section.diagnostics.at(path)),
    })?;
    if path.is_some() && section.field("secret").node.is_none() {
        let invalid = Invalid::new("needs session.secret, which encrypts the file")
            .hint("run `portcullis keygen` to create a secret, and set session.secret");
        return Err(field.error(&invalid));
    }
    Ok(path)
}

fn secrets(field: &Field<'_>) -> Result<Vec<Secret>, Reported> {
    field.secrets(|text| match text.chars().count() {
        0..SHORTEST_SECRET => Err(Invalid::new(format!(
            "is too short: it needs at least {SHORTEST_SECRET} characters"
        ))
        .hint("run `portcullis keygen` to create one")),
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
    let same_site = section.field("same_site").value(|text| match text {
        "lax" => Ok(SameSite::Lax),
        "none" => Ok(SameSite::None),
        other => {
            let invalid = Invalid::new("is not one of lax, none");
            Err(match other.to_ascii_lowercase().as_str() {
                lower @ ("lax" | "none") => invalid.suggest(lower),
                "strict" => invalid.hint(
                    "write lax: browsers do not send a strict cookie after the redirect from the provider",
                ),
                _ => invalid,
            })
        }
    });
    let persistence = section.field("persistent").flag().map(|persistent| match persistent {
        true => Persistence::Session,
        false => Persistence::Browser,
    });
    // RFC 6265bis §5.6: browsers drop `SameSite=None` without `Secure`.
    if matches!(same_site, Ok(SameSite::None)) && public_url.is_some_and(|url| !url.is_https()) {
        let invalid =
            Invalid::new("cannot be none with an http:// public_url: browsers reject the cookie");
        return Err(section.field("same_site").error(&invalid));
    }
    Ok(CookieSettings {
        name: name?,
        domain: domain?,
        same_site: same_site?,
        persistence: persistence?,
    })
}

/// Parses a name; its prefix must not contradict the attributes (RFC 6265bis §4.1.3).
fn name(text: &str, public_url: Option<&Origin>, has_domain: bool) -> Result<String, Invalid> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || text.len() > 100 || !text.chars().all(token) {
        return Err(Invalid::new("is not a valid cookie name")
            .hint("use at most 100 letters, digits, - and _"));
    }
    // Browsers compare the prefixes case-insensitively.
    let lower = text.to_ascii_lowercase();
    let (host, secure) = (lower.starts_with("__host-"), lower.starts_with("__secure-"));
    if (host || secure) && public_url.is_some_and(|url| !url.is_https()) {
        return Err(Invalid::new(
            "has a prefix that browsers accept over https only, but public_url is http",
        )
        .hint("choose a name without the prefix __Host- or __Secure-"));
    }
    if host && has_domain {
        let rest = text.get("__Host-".len()..).unwrap_or_default();
        return Err(Invalid::new(
            "has the prefix __Host-, which browsers reject for a cookie with a domain",
        )
        .suggest(format!("__Secure-{rest}")));
    }
    Ok(text.to_owned())
}

/// Warns about a name without a prefix over https: browsers protect names with a prefix.
fn warn_of_prefix(section: &Section<'_>, name: &str, public_url: &Origin, has_domain: bool) {
    let lower = name.to_ascii_lowercase();
    if !public_url.is_https() || lower.starts_with("__host-") || lower.starts_with("__secure-") {
        return;
    }
    let prefix = if has_domain { "__Secure-" } else { "__Host-" };
    let invalid = Invalid::new(format!(
        "has no prefix: with {prefix}, browsers do not allow unencrypted pages to set this cookie"
    ));
    let invalid = match section.field("name").is_literal() {
        true => invalid.hint(format!("write {prefix}{name}, or remove the key to use the default")),
        false => invalid
            .hint(format!("begin the name with {prefix}, or remove the key to use the default")),
    };
    section.diagnostics.warning(&section.path.key("name"), &invalid);
}

/// Parses a domain; it must contain the host of `public_url`.
fn domain(text: &str, public_url: Option<&Origin>) -> Result<String, Invalid> {
    if let Some(bare) = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')) {
        let what = "begins with a dot or a wildcard: the cookie is sent to all subdomains anyway";
        return Err(Invalid::new(what).suggest(bare));
    }
    let host = match url::Host::parse(text) {
        Ok(url::Host::Domain(host)) if !host.ends_with('.') => host,
        Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => {
            return Err(Invalid::new(
                "is an IP address: browsers share cookies between names only",
            ));
        }
        Ok(url::Host::Domain(_)) | Err(_) => {
            return Err(Invalid::new("is not a domain").hint("write a domain such as example.com"));
        }
    };
    if !host.contains('.') {
        return Err(Invalid::new("has no dot: browsers reject a cookie for a single label")
            .hint("write a domain such as example.com"));
    }
    // SECURITY: every owner of a name below it would receive the session cookie, if browsers did not reject it.
    if is_public_suffix(&host) {
        return Err(Invalid::new(
            "is a public suffix, below which anyone can register names: browsers reject the cookie",
        )
        .hint("write your own domain, such as example.com, or remove the key"));
    }
    match public_url {
        Some(url) if url.host() != host && !is_below(url.host(), &host) => Err(Invalid::new(
            "does not contain the host of server.public_url, which sets the session cookie",
        )
        .hint("write a domain that contains this host, or remove the key")),
        Some(_) | None => Ok(host),
    }
}
