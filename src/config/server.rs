//! `server:` -> `server::Settings`, and the origin at which browsers reach the gateway.

use crate::config::certificates;
use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::forward_auth;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{
    DAY, DefaultValue, HOUR, KIB, KeySpec, MIB, MINUTE, SECOND, Type, key, millis,
};
use crate::config::listeners;
use crate::config::proxies;
use crate::config::section::Section;
use crate::config::urls::{self, PlainHttp};
use crate::origin::Origin;
use crate::routing::path::PathPrefix;
use crate::server::{Limits, ServerTimeouts, Settings};

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "listen",
        Type::OneOrMore(&Type::Scalar),
        DefaultValue::Is("127.0.0.1:4180"),
        "Listen address: HOST:PORT, unix:PATH or systemd, or a list of them. A unix socket has mode 0660; unix:PATH?mode=0666&group=www-data changes mode and group. systemd stands for the sockets of socket activation, systemd:NAME for those with this FileDescriptorName.",
    ),
    key(
        "public_url",
        Type::Text,
        DefaultValue::Required("public_url: https://wiki.example.com"),
        "The origin at which browsers reach the gateway. Its scheme decides whether cookies are Secure.",
    ),
    key(
        "danger_allow_http",
        Type::Flag,
        DefaultValue::Is("false"),
        "Allows an http:// public_url for hosts other than localhost. Cookies then cross the network unencrypted.",
    ),
    key(
        "endpoint_prefix",
        Type::Text,
        DefaultValue::Is("/oauth2"),
        "Prefix of the gateway's own paths.",
    ),
    key(
        "workers",
        Type::Count { least: 1, most: 1024 },
        DefaultValue::Unset("one per core; container limits are respected"),
        "Number of threads that serve requests.",
    ),
    key(
        "tls",
        Type::Section(certificates::KEYS),
        DefaultValue::Unset("no TLS"),
        "TLS of the listeners. With certificates, every TCP listener accepts TLS only; unix sockets do not use TLS.",
    ),
    key(
        "redirect_http",
        Type::Scalar,
        DefaultValue::Unset("none"),
        "Listen address that answers every plain HTTP request with a redirect (308) to https: HOST:PORT.",
    ),
    key(
        "trusted_proxies",
        Type::List { of: &Type::Text, least: 0 },
        DefaultValue::Is("[]"),
        "Proxies whose X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host are used: networks (CIDR), or unix for peers on unix sockets.",
    ),
    key(
        "client_address_header",
        Type::Text,
        DefaultValue::Unset("X-Forwarded-For"),
        "Header with the client's address, read from trusted proxies instead of X-Forwarded-For. Auth subrequests always use X-Forwarded-For.",
    ),
    key(
        "proxy_protocol",
        Type::Flag,
        DefaultValue::Is("false"),
        "Reads the PROXY protocol, version 1 or 2, on the public listeners, before TLS. Every trusted proxy must send it; a connection of another peer that begins with it is closed.",
    ),
    key(
        "forward_auth",
        Type::Section(forward_auth::KEYS),
        DefaultValue::Unset("auth endpoints are off"),
        "Forward auth: the proxies that can send auth subrequests.",
    ),
    key(
        "limits",
        Type::Section(LIMITS),
        DefaultValue::Unset("all defaults"),
        "Limits of requests and connections.",
    ),
    key(
        "timeouts",
        Type::Section(TIMEOUTS),
        DefaultValue::Unset("all defaults"),
        "Timeouts of client connections, and of the shutdown.",
    ),
];

const LIMITS: &[KeySpec] = &[
    key(
        "header_bytes",
        Type::Size { least: KIB, most: MIB },
        DefaultValue::Is("32KiB"),
        "Maximum size of a request head: request line and all fields.",
    ),
    key(
        "target_bytes",
        Type::Size { least: 64, most: MIB },
        DefaultValue::Is("16KiB"),
        "Maximum length of the request target: path and query.",
    ),
    key(
        "header_count",
        Type::Count { least: 1, most: 1000 },
        DefaultValue::Is("100"),
        "Maximum number of fields in a request head.",
    ),
    key(
        "response_header_bytes",
        Type::Size { least: 8 * KIB, most: MIB },
        DefaultValue::Is("64KiB"),
        "Maximum size of the head of an upstream's response. The number of its fields is not limited.",
    ),
    key(
        "identity_header_bytes",
        Type::Size { least: 64, most: MIB },
        DefaultValue::Is("8KiB"),
        "Maximum size of all identity headers of a request, names and values. Over it the largest ones are left out.",
    ),
    key(
        "connections",
        Type::Count { least: 1, most: 10_000_000 },
        DefaultValue::Is("20000"),
        "Maximum number of client connections. At the limit, the connection that has been idle for longest is \
         closed; if all have a request in progress, a new one gets 503. Never more than half of the files that \
         the process can open.",
    ),
    key(
        "connections_per_client",
        Type::Count { least: 1, most: 10_000_000 },
        DefaultValue::Unset("no limit"),
        "Maximum number of connections of one client address (IPv6: of one /64). One more gets 503. Trusted \
         proxies and peers on unix sockets are exempt.",
    ),
];

const TIMEOUTS: &[KeySpec] = &[
    key(
        "request_headers",
        millis(100, HOUR),
        DefaultValue::Is("10s"),
        "From accepting a connection, including the TLS handshake, to the end of a request head.",
    ),
    key(
        "request_body",
        millis(100, HOUR),
        DefaultValue::Is("30s"),
        "Maximum time without a byte of a request body.",
    ),
    key(
        "keep_alive",
        millis(0, HOUR),
        DefaultValue::Is("75s"),
        "Idle timeout between two requests of a connection.",
    ),
    key(
        "drain_delay",
        millis(0, 10 * MINUTE),
        DefaultValue::Is("0s"),
        "Time between the stop signal and closing the listeners. /readyz answers 503 during this time.",
    ),
    key(
        "drain",
        millis(0, DAY - SECOND),
        DefaultValue::Is("30s"),
        "Time for open requests to finish after that. The rest is then closed.",
    ),
];

/// `server.public_url`.
pub(super) fn public_url(server: &Section<'_>) -> Result<Origin, Reported> {
    let http = http(&server.field("danger_allow_http"));
    server.field("public_url").value(|text| urls::public_url(text, http))
}

/// `danger_allow_http`. If its value is invalid, that error is enough.
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
            return Err(Invalid::new("would leave no paths for routes").hint(hint));
        }
        if let Some(bare) = text.strip_suffix('/') {
            return Err(Invalid::new("must not end with /").suggest(bare));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
        let good =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.chars().all(plain);
        if !segments.split('/').all(good) {
            return Err(Invalid::new(
                "has a segment with other characters than letters, digits, -, _, . and ~",
            )
            .hint(hint));
        }
        Ok(PathPrefix::parse(text)?)
    })
}

/// All other keys of `server:`.
pub(super) fn settings(
    server: &Section<'_>,
    public_url: Option<&Origin>,
) -> Result<Settings, Reported> {
    let listen = listeners::listen(&server.field("listen"));
    let redirect_http = listeners::redirect_http(server, listen.as_deref().ok(), public_url);
    let workers = server.field("workers").optional_count();
    let tls = certificates::settings(server, public_url);
    let proxies = proxies::settings(server);
    let proxy_protocol = proxies::protocol(server);
    let others = listeners::all(listen.as_deref().ok(), redirect_http.as_ref().ok());
    let forward_auth = forward_auth::settings(server, &others);
    if let (Ok(listen), Ok(tls), Some(url)) = (&listen, &tls, public_url) {
        listeners::warn_of_http(server, listen, &tls.certificates, url);
    }
    let limits = server.section("limits").and_then(|section| limits(&section));
    let timeouts = server.section("timeouts").and_then(|section| timeouts(&section));
    let tls = tls?;
    let (trusted_proxies, client_address_header) = proxies?;
    let settings = Settings {
        listen: listen?,
        redirect_http: redirect_http?,
        workers: workers?.unwrap_or_else(cores),
        certificates: tls.certificates,
        min_tls_version: tls.min_version,
        client_ca: tls.client_ca,
        trusted_proxies,
        client_address_header,
        proxy_protocol: proxy_protocol?,
        forward_auth: forward_auth?,
        limits: limits?,
        timeouts: timeouts?,
    };
    proxies::warnings(server, &settings);
    Ok(settings)
}

/// Number of cores for this process; container limits are respected.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn limits(section: &Section<'_>) -> Result<Limits, Reported> {
    let header_bytes = section.field("header_bytes").count();
    let target_bytes = section.field("target_bytes").count();
    let header_count = section.field("header_count").count();
    let response_header_bytes = section.field("response_header_bytes").count();
    let identity_header_bytes = section.field("identity_header_bytes").count();
    let connections = section.field("connections").count();
    let connections_per_client = section.field("connections_per_client").optional_count();
    let limits = Limits {
        header_bytes: header_bytes?,
        target_bytes: target_bytes?,
        header_count: header_count?,
        response_header_bytes: response_header_bytes?,
        identity_header_bytes: identity_header_bytes?,
        connections: connections?,
        connections_per_client: connections_per_client?,
    };
    let written = section.written().any(|key| key == "target_bytes");
    if written && limits.target_bytes > limits.header_bytes {
        let invalid = Invalid::new(
            "has no effect: the request target counts towards header_bytes, which is smaller",
        );
        section.diagnostics.warning(&section.path.key("target_bytes"), &invalid);
    }
    if limits.connections_per_client.is_some_and(|most| most > limits.connections) {
        let invalid = Invalid::new("has no effect: `connections` is smaller");
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
        // There is no key for it.
        write: ServerTimeouts::default().write,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::settings_of;
    use crate::server::TrustedProxies;

    #[test]
    fn defaults_are_those_of_the_server_room() {
        let settings = settings_of("").server;
        assert_eq!(settings.limits, Limits::default());
        assert_eq!(settings.timeouts, ServerTimeouts::default());
        assert_eq!(settings.trusted_proxies, TrustedProxies::default());
    }
}
