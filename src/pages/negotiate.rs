//! The format of an answer: gRPC status, page or JSON.
//! Invariant: a gRPC client never gets a page. Other clients get a page only if `Accept` names `text/html`
//! (RFC 9110 §12.5.1); a wildcard is not enough, because API clients send it too.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

/// The format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A gRPC status.
    Grpc,
    /// A page.
    Html,
    /// A JSON object.
    Json,
}

/// What an answer depends on in its request.
#[derive(Clone, Copy, Debug)]
pub struct ResponseContext<'a> {
    /// The format of the answer.
    pub format: Format,
    /// The reference on the page, also in the log.
    pub request_id: &'a str,
}

impl Format {
    /// gRPC by `Content-Type`, a page where `Accept` has `text/html`, else JSON.
    pub fn of(headers: &HeaderMap) -> Self {
        if headers.get(CONTENT_TYPE).is_some_and(is_grpc) {
            Self::Grpc
        } else {
            Self::with_status(headers)
        }
    }

    /// A page or JSON, for clients that look at the HTTP status first.
    pub fn with_status(headers: &HeaderMap) -> Self {
        if headers.get_all(ACCEPT).iter().any(accepts_html) { Self::Html } else { Self::Json }
    }
}

/// `application/grpc`, `application/grpc+proto`, `application/grpc-web`, …
fn is_grpc(content_type: &HeaderValue) -> bool {
    let prefix = b"application/grpc";
    content_type.as_bytes().get(..prefix.len()).is_some_and(|s| s.eq_ignore_ascii_case(prefix))
}

fn accepts_html(accept: &HeaderValue) -> bool {
    // On bytes, and only up to the first match, because it runs for every request.
    accept.as_bytes().split(|byte| *byte == b',').any(|range| {
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let html = parts.next().is_some_and(|media| media.eq_ignore_ascii_case(b"text/html"));
        html && !parts.any(is_zero_weight)
    })
}

/// `q=0` means "not acceptable" (RFC 9110 §12.4.2).
fn is_zero_weight(parameter: &[u8]) -> bool {
    let parameter = str::from_utf8(parameter).unwrap_or_default();
    let weight = parameter.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("q"));
    weight.is_some_and(|(_, value)| value.trim().parse() == Ok(0.0_f32))
}

/// The gRPC code with the meaning of an HTTP status.
pub(super) fn grpc_status(status: StatusCode) -> u16 {
    match status {
        StatusCode::BAD_REQUEST => INVALID_ARGUMENT,
        StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
        StatusCode::FORBIDDEN => PERMISSION_DENIED,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => DEADLINE_EXCEEDED,
        StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::URI_TOO_LONG
        | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        | StatusCode::TOO_MANY_REQUESTS => RESOURCE_EXHAUSTED,
        StatusCode::INTERNAL_SERVER_ERROR => INTERNAL,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => UNAVAILABLE,
        // Not found, wrong host or method. A page that is not an error is no remote procedure either.
        _ => UNIMPLEMENTED,
    }
}

const INVALID_ARGUMENT: u16 = 3;
const DEADLINE_EXCEEDED: u16 = 4;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;
const UNAUTHENTICATED: u16 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], expected: Format) {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        assert_eq!(Format::of(&headers), expected, "{headers:?}");
    }

    #[test]
    fn accept_with_text_html_gets_a_page() {
        check(&[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")], Format::Html);
        check(&[("accept", "application/json, Text/HTML ;q=0.5")], Format::Html);
        check(&[("accept", "application/json"), ("accept", "text/html")], Format::Html);
    }

    #[test]
    fn accept_without_text_html_gets_json() {
        check(&[], Format::Json);
        check(&[("accept", "*/*")], Format::Json);
        check(&[("accept", "text/*")], Format::Json);
        check(&[("accept", "text/html;q=0")], Format::Json);
        check(&[("accept", "text/html; Q=0.000, application/json")], Format::Json);
        check(&[("accept", "text/htmlx")], Format::Json);
    }

    #[test]
    fn content_type_grpc_gets_a_grpc_status_with_any_accept() {
        check(&[("content-type", "application/grpc")], Format::Grpc);
        check(&[("content-type", "Application/gRPC+proto"), ("accept", "text/html")], Format::Grpc);
        check(&[("content-type", "application/grp")], Format::Json);
        check(&[("accept", "application/grpc")], Format::Json);
        let grpc =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))]);
        assert_eq!(Format::with_status(&grpc), Format::Json);
    }

    #[test]
    fn grpc_code_has_the_meaning_of_the_status() {
        for (status, code) in
            [(401, 16), (403, 7), (404, 12), (413, 8), (500, 13), (502, 14), (503, 14), (504, 4)]
        {
            assert_eq!(grpc_status(StatusCode::from_u16(status).unwrap()), code, "{status}");
        }
        assert_ne!(grpc_status(StatusCode::OK), 0);
    }
}
