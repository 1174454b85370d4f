//! Names of headers that a configuration can give a purpose.
//! Invariant: a name has one spelling, because the server drops names with other characters than letters, digits and -.

use http::HeaderName;

use crate::config::invalid::Invalid;

/// Parses a header name that all upstreams read in the same way.
// SECURITY: some upstreams read `X_User` and `X.User` as `X-User`, so only letters, digits and - are accepted.
pub(super) fn plain(text: &str) -> Result<HeaderName, Invalid> {
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(Invalid::new("contains other characters than letters, digits and -")
            .hint("choose another name: some applications read `_` and `.` as `-`"));
    }
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| "is not a valid header name".into())
}

/// Whether HTTP or the gateway gives this name another purpose.
pub(super) fn is_in_use(name: &HeaderName) -> bool {
    let text = name.as_str();
    text.starts_with("content-") || text.starts_with("sec-") || IN_USE.contains(&text)
}

/// Whether a proxy usually sends the client's address in this header.
pub(super) fn is_address(name: &HeaderName) -> bool {
    matches!(name.as_str(), "x-forwarded-for" | "x-real-ip")
}

/// Fields that frame a message, belong to one connection, or are set by the gateway.
const IN_USE: [&str; 24] = [
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
    "cookie",
    "set-cookie",
    "date",
    "forwarded",
    "origin",
    "referer",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-real-ip",
    "x-request-id",
];
