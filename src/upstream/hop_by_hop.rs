//! Hop-by-hop fields, and trailers (RFC 9110 §7.6.1, §6.5).
//! Invariant: a hop-by-hop field is never forwarded, in either direction, and neither is a field that `Connection`
//! names; a trailer that could be taken for a header field is not relayed.

use http::header::{CONNECTION, Entry, HeaderMap, HeaderName, HeaderValue, TRAILER};

/// Removes the hop-by-hop fields of a response; announces only trailers that will be relayed.
pub(super) fn strip_response(headers: &mut HeaderMap, identity: &[HeaderName]) {
    if !headers.keys().any(|name| is_hop_by_hop(name.as_str())) {
        return;
    }
    let trailers: Vec<HeaderName> = headers
        .get_all(TRAILER)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| may_trail(name, identity))
        .collect();
    strip_connection(headers);
    remove_where(headers, is_hop_by_hop);
    for name in trailers {
        headers.append(TRAILER, HeaderValue::from(name));
    }
}

/// Removes the trailers that must not be relayed.
pub(super) fn strip_trailers(trailers: &mut HeaderMap, identity: &[HeaderName]) {
    let unwanted: Vec<_> =
        trailers.keys().filter(|name| !may_trail(name, identity)).cloned().collect();
    for name in unwanted {
        trailers.remove(name);
    }
}

/// Whether a field may be a trailer (RFC 9110 §6.5.1).
fn may_trail(name: &HeaderName, identity: &[HeaderName]) -> bool {
    let text = name.as_str();
    let forbidden = matches!(
        text,
        "content-length"
            | "content-type"
            | "content-encoding"
            | "content-range"
            | "host"
            | "set-cookie"
            | "cookie"
            | "authorization"
            | "www-authenticate"
            | "cache-control"
            | "location"
    );
    // Some servers treat `_` like `-`, as in CGI variables.
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    // SECURITY: a client or a proxy that merges trailers would take these for header fields.
    !forbidden && !is_hop_by_hop(text) && plain && !identity.contains(name)
}

/// Removes `Connection` and the fields it names (RFC 9110 §7.6.1).
pub(super) fn strip_connection(headers: &mut HeaderMap) {
    let Entry::Occupied(connection) = headers.entry(CONNECTION) else { return };
    let (_, values) = connection.remove_entry_mult();
    let listed: Vec<HeaderName> = values
        .flat_map(|value| {
            let names = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            let names =
                names.filter(|name| !IN_EVERY_CONNECTION.iter().any(|usual| same(usual, name)));
            names.filter_map(|name| HeaderName::from_bytes(name).ok()).collect::<Vec<_>>()
        })
        .collect();
    for name in listed {
        headers.remove(name);
    }
}

/// Removes every field with an unwanted name.
pub(super) fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    // Most requests have none, and then nothing is allocated.
    let names: Vec<_> = headers.keys().filter(|name| unwanted(name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Whether a field is hop-by-hop (RFC 9110 §7.6.1, RFC 7540 §3.2.1, CVE-2016-5385).
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'c') => name == "connection",
        Some(b'h') => name == "http2-settings",
        Some(b'k') => name == "keep-alive",
        Some(b'p') => name == "proxy" || name.starts_with("proxy-"),
        Some(b't') => matches!(name, "te" | "trailer" | "transfer-encoding"),
        Some(b'u') => name == "upgrade",
        _ => false,
    }
}

fn same(a: &str, b: &[u8]) -> bool {
    a.as_bytes().eq_ignore_ascii_case(b)
}

/// Tokens of `Connection` that name no field, or one that is removed anyway.
const IN_EVERY_CONNECTION: [&str; 4] = ["keep-alive", "close", "upgrade", "te"];
