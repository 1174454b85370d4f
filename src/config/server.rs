//! `server:` -> `server::Settings`, and where browsers reach the gateway.

use ipnet::IpNet;

use crate::config::address;
use crate::config::certificates;
use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::forward_auth;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{
    DAY, DefaultValue, HOUR, KIB, KeySpec, MIB, MINUTE, SECOND, Type, key, millis,
};
use crate::config::section::Section;
use crate::config::urls::{self, PlainHttp};
use crate::origin::Origin;
use crate::routing::path::PathPrefix;
use crate::server::{
    CertifiedPair, Limits, ListenAddress, ServerTimeouts, Settings, TrustedProxies,
};

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "listen",
        Type::OneOrMore(&Type::Scalar),
        DefaultValue::Is("127.0.0.1:4180"),
        "Where to listen: HOST:PORT or unix:PATH, one or a list.",
    ),
    key(
        "public_url",
        Type::Text,
        DefaultValue::Required("public_url: https://wiki.example.com"),
        "The origin at which browsers reach the gateway; its scheme decides on secure cookies.",
    ),
    key(
        "danger_allow_http",
        Type::Flag,
        DefaultValue::Is("false"),
        "Takes an http:// public_url beyond loopback: cookies then cross the network in the clear.",
    ),
    key(
        "endpoint_prefix",
        Type::Text,
        DefaultValue::Is("/oauth2"),
        "Where the gateway's own paths begin.",
    ),
    key(
        "workers",
        Type::Count { least: 1, most: 1024 },
        DefaultValue::Unset("one per core, container limits respected"),
        "Threads that serve requests.",
    ),
    key(
        "tls",
        Type::Section(certificates::KEYS),
        DefaultValue::Unset("plain HTTP"),
        "With certificates every TCP listener speaks TLS, unix sockets do not.",
    ),
    key(
        "trusted_proxies",
        Type::List { of: &Type::Text, least: 0 },
        DefaultValue::Is("[]"),
        "Whose X-Forwarded-For, -Proto and -Host are believed: CIDRs, or unix for unix sockets.",
    ),
    key(
        "forward_auth",
        Type::Section(forward_auth::KEYS),
        DefaultValue::Unset("no proxy may ask"),
        "Which proxies may ask at the auth endpoints, and where.",
    ),
    key(
        "limits",
        Type::Section(LIMITS),
        DefaultValue::Unset("all defaults"),
        "Bounds of a request.",
    ),
    key(
        "timeouts",
        Type::Section(TIMEOUTS),
        DefaultValue::Unset("all defaults"),
        "Deadlines of a client's connection and of the end of the process.",
    ),
];

const LIMITS: &[KeySpec] = &[
    key(
        "header_bytes",
        Type::Size { least: KIB, most: MIB },
        DefaultValue::Is("32KiB"),
        "The head of a request, all fields together.",
    ),
    key(
        "target_bytes",
        Type::Size { least: 64, most: MIB },
        DefaultValue::Is("16KiB"),
        "The request target: path and query.",
    ),
    key(
        "header_count",
        Type::Count { least: 1, most: 1000 },
        DefaultValue::Is("100"),
        "Fields in the head of a request.",
    ),
    key(
        "connections",
        Type::Count { least: 1, most: 10_000_000 },
        DefaultValue::Is("20000"),
        "Open connections of clients; when reached, the longest idle one is closed for the next, and if all \
         have a request under way, the next one gets 503. Half the files that the process may open, if that \
         is less.",
    ),
    key(
        "connections_per_client",
        Type::Count { least: 1, most: 10_000_000 },
        DefaultValue::Unset("no limit"),
        "Open connections of one client address (IPv6: of one /64); one more gets 503. Trusted proxies and \
         peers on unix sockets are exempt.",
    ),
];

const TIMEOUTS: &[KeySpec] = &[
    key(
        "request_headers",
        millis(100, HOUR),
        DefaultValue::Is("10s"),
        "From accept, TLS included, to the end of a request's head.",
    ),
    key(
        "request_body",
        millis(100, HOUR),
        DefaultValue::Is("30s"),
        "Without a byte of a request's body.",
    ),
    key(
        "keep_alive",
        millis(0, HOUR),
        DefaultValue::Is("75s"),
        "Without a request on a connection.",
    ),
    key(
        "drain_delay",
        millis(0, 10 * MINUTE),
        DefaultValue::Is("0s"),
        "From the signal to stop until listeners close; /readyz already says 503.",
    ),
    key(
        "drain",
        millis(0, DAY - SECOND),
        DefaultValue::Is("30s"),
        "From then until requests that are still open are cut.",
    ),
];

/// `server.public_url`.
pub(super) fn public_url(server: &Section<'_>) -> Result<Origin, Reported> {
    let http = http(&server.field("danger_allow_http"));
    server.field("public_url").value(|text| urls::public_url(text, http))
}

/// `danger_allow_http`; where it cannot be read, its own problem is enough.
pub(super) fn http(flag: &Field<'_>) -> PlainHttp {
    match flag.flag() {
        Ok(false) => PlainHttp::Loopback,
        Ok(true) | Err(_) => PlainHttp::Anywhere,
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
    let certificates = certificates::settings(server, public_url);
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

fn timeouts(section: &Section<'_>) -> Result<ServerTimeouts, Reported> {
    let request_headers = section.field("request_headers").duration();
    let request_body = section.field("request_body").duration();
    let keep_alive = section.field("keep_alive").duration();
    let drain_delay = section.field("drain_delay").duration();
    let drain = section.field("drain").duration();
    Ok(ServerTimeouts {
        request_headers: request_headers?,
        request_body: request_body?,
        keep_alive: keep_alive?,
        drain_delay: drain_delay?,
        drain: drain?,
        // Not to be set: nobody has asked for another.
        write: ServerTimeouts::default().write,
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
        assert_eq!(settings.timeouts, ServerTimeouts::default());
        assert_eq!(settings.trusted_proxies, TrustedProxies::default());
    }
}
