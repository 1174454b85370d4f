//! `server:` -> `server::Settings`, and where browsers reach the gateway.

use ipnet::IpNet;

use crate::config::address;
use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::forward_auth;
use crate::config::invalid::Invalid;
use crate::config::pem;
use crate::config::section::Section;
use crate::config::urls::{self, Http};
use crate::origin::Origin;
use crate::routing::path::PathPrefix;
use crate::secret::Secret;
use crate::server::{CertifiedPair, Limits, ListenAddress, Settings, Timeouts, TrustedProxies};

/// `server.public_url`.
pub(super) fn public_url(server: &Section<'_>) -> Result<Origin, Reported> {
    let http = http(&server.field("danger_allow_http"));
    server.field("public_url").value(|text| urls::public_url(text, http))
}

/// `danger_allow_http`; where it cannot be read, its own problem is enough.
pub(super) fn http(flag: &Field<'_>) -> Http {
    match flag.flag() {
        Ok(false) => Http::Loopback,
        Ok(true) | Err(_) => Http::Anywhere,
    }
}

/// `server.endpoint_prefix`.
pub(super) fn endpoint_prefix(server: &Section<'_>) -> Result<PathPrefix, Reported> {
    server.field("endpoint_prefix").value(|text| {
        let hint = "write a path such as /oauth2";
        if text.is_empty() {
            return Err(Invalid::new("is empty").hint(hint));
        }
        let segments = text.strip_prefix('/').ok_or_else(|| {
            Invalid::new("must start with /").suggest(format!("/{}", text.trim_end_matches('/')))
        })?;
        if segments.is_empty() {
            return Err(Invalid::new("must leave paths to the routes").hint(hint));
        }
        if let Some(bare) = text.strip_suffix('/') {
            return Err(Invalid::new("must not end with /").suggest(bare));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
        let good =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.chars().all(plain);
        if !segments.split('/').all(good) {
            return Err(
                Invalid::new("must consist of letters, digits, - and _ between its /").hint(hint)
            );
        }
        Ok(PathPrefix::parse(text)?)
    })
}

/// `server:` but for what browsers see.
pub(super) fn settings(
    server: &Section<'_>,
    public_url: Option<&Origin>,
) -> Result<Settings, Reported> {
    let listen = listen(&server.field("listen"));
    let workers = server.field("workers").optional_count();
    let certificates = certificates(server, public_url);
    let trusted_proxies = trusted_proxies(&server.field("trusted_proxies"));
    let forward_auth = forward_auth::settings(server, listen.as_deref().ok());
    if let (Ok(listen), Ok(pairs), Some(url)) = (&listen, &certificates, public_url) {
        warn_of_http(server, listen, pairs, url);
    }
    let limits = server.section("limits").and_then(|section| limits(&section));
    let timeouts = server.section("timeouts").and_then(|section| timeouts(&section));
    Ok(Settings {
        listen: listen?,
        workers: workers?.unwrap_or_else(cores),
        certificates: certificates?,
        trusted_proxies: trusted_proxies?,
        forward_auth: forward_auth?,
        limits: limits?,
        timeouts: timeouts?,
    })
}

fn listen(field: &Field<'_>) -> Result<Vec<ListenAddress>, Reported> {
    let addresses = field.list(|text| address::listen(text, field.diagnostics))?;
    for (at, one) in addresses.iter().enumerate() {
        if let Some(other) = addresses.iter().take(at).position(|other| address::clash(one, other))
        {
            let what = format!("cannot be listened on together with {}", field.path.item(other));
            return Err(field.diagnostics.error(&field.path.item(at), &what.into(), None));
        }
    }
    Ok(addresses)
}

/// The cores of this process, container limits respected.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn certificates(
    server: &Section<'_>,
    public_url: Option<&Origin>,
) -> Result<Vec<CertifiedPair>, Reported> {
    let field = server.section("tls")?.field("certificates");
    let items = field.items()?;
    let pairs: Vec<_> =
        items.iter().map(|item| item.section().and_then(|section| certificate(&section))).collect();
    let pairs = pairs.into_iter().collect::<Result<Vec<CertifiedPair>, Reported>>()?;
    warn_of_certificates(&field, &pairs, public_url);
    Ok(pairs)
}

/// With certificates every TCP listener speaks TLS, and nothing else.
fn warn_of_http(
    server: &Section<'_>,
    listen: &[ListenAddress],
    pairs: &[CertifiedPair],
    public_url: &Origin,
) {
    let tcp = listen.iter().any(|address| matches!(address, ListenAddress::Tcp(_)));
    if tcp && !pairs.is_empty() && !public_url.is_https() {
        let invalid = Invalid::new(
            "is http://, but with `tls.certificates` the gateway speaks https only: a browser that is sent \
             here finds nobody",
        )
        .hint("write https://, or remove the certificates");
        server.diagnostics.warning(&server.path.key("public_url"), &invalid);
    }
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

fn trusted_proxies(field: &Field<'_>) -> Result<TrustedProxies, Reported> {
    let peers = field.list(|text| match text {
        "unix" => Ok(None),
        network => address::proxy_network(network).map(Some),
    })?;
    let meant = |(at, network): (_, Option<_>)| Some(address::without_host(network?, field, at));
    let unix = peers.contains(&None);
    let networks: Vec<IpNet> = peers.into_iter().enumerate().filter_map(meant).collect();
    // SECURITY: who trusts everybody lets everybody say who they are (CVE-2026-76835).
    if address::covers_the_internet(&networks) {
        let invalid = Invalid::new(
            "cover the whole internet together: anyone could forge X-Forwarded headers",
        )
        .hint("list the addresses of your proxies only, such as 10.0.0.0/8");
        return Err(field.error(&invalid));
    }
    Ok(TrustedProxies { unix, networks })
}

fn limits(section: &Section<'_>) -> Result<Limits, Reported> {
    let header_bytes = section.field("header_bytes").count();
    let target_bytes = section.field("target_bytes").count();
    let header_count = section.field("header_count").count();
    let connections = section.field("connections").count();
    let connections_per_client = section.field("connections_per_client").optional_count();
    let limits = Limits {
        header_bytes: header_bytes?,
        target_bytes: target_bytes?,
        header_count: header_count?,
        connections: connections?,
        connections_per_client: connections_per_client?,
    };
    let written = section.written().any(|key| key == "target_bytes");
    if written && limits.target_bytes > limits.header_bytes {
        let invalid = Invalid::new(
            "is never reached: the target is part of the head, and header_bytes is less",
        );
        section.diagnostics.warning(&section.path.key("target_bytes"), &invalid);
    }
    if limits.connections_per_client.is_some_and(|most| most > limits.connections) {
        let invalid = Invalid::new("is never reached: `connections` is less");
        section.diagnostics.warning(&section.path.key("connections_per_client"), &invalid);
    }
    Ok(limits)
}

fn timeouts(section: &Section<'_>) -> Result<Timeouts, Reported> {
    let request_headers = section.field("request_headers").duration();
    let request_body = section.field("request_body").duration();
    let keep_alive = section.field("keep_alive").duration();
    let drain_delay = section.field("drain_delay").duration();
    let drain = section.field("drain").duration();
    Ok(Timeouts {
        request_headers: request_headers?,
        request_body: request_body?,
        keep_alive: keep_alive?,
        drain_delay: drain_delay?,
        drain: drain?,
        // Not to be set: nobody has asked for another.
        write: Timeouts::default().write,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::settings_of;

    #[test]
    fn the_tables_defaults_are_those_of_the_room() {
        let settings = settings_of("").server;
        assert_eq!(settings.limits, Limits::default());
        assert_eq!(settings.timeouts, Timeouts::default());
        assert_eq!(settings.trusted_proxies, TrustedProxies::default());
    }
}
