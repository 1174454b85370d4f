//! In which form an answer of ours is given: gRPC status, page or JSON.
//! Invariant: who asks over gRPC never gets a page, and nobody gets a page who did not name
//! `text/html` (RFC 9110 §12.5.1; a wildcard is not enough, since every program sends one).

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A gRPC status.
    Grpc,
    /// A page.
    Html,
    /// A JSON object.
    Json,
}

/// What an answer needs to know of the request.
#[derive(Clone, Copy, Debug)]
pub struct ResponseContext<'a> {
    /// The form it takes.
    pub format: Format,
    /// The reference that the log has too.
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

    /// The form for who looks at the status before anything else: a page or JSON.
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
    // By bytes, and no further than to the first match: this is done for every request.
    accept.as_bytes().split(|byte| *byte == b',').any(|range| {
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let html = parts.next().is_some_and(|media| media.eq_ignore_ascii_case(b"text/html"));
        html && !parts.any(is_zero_weight)
    })
}

/// `q=0` means "not this" (RFC 9110 §12.4.2).
fn is_zero_weight(parameter: &[u8]) -> bool {
    let parameter = str::from_utf8(parameter).unwrap_or_default();
    let weight = parameter.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("q"));
    weight.is_some_and(|(_, value)| value.trim().parse() == Ok(0.0_f32))
}

/// The gRPC code that says what the HTTP status would have said.
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
        // Not found, wrong host or method; a page that is no error is no remote procedure either.
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
    fn a_page_is_for_those_who_name_html() {
        check(&[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")], Format::Html);
        check(&[("accept", "application/json, Text/HTML ;q=0.5")], Format::Html);
        check(&[("accept", "application/json"), ("accept", "text/html")], Format::Html);
    }

    #[test]
    fn everybody_else_gets_json() {
        check(&[], Format::Json);
        check(&[("accept", "*/*")], Format::Json);
        check(&[("accept", "text/*")], Format::Json);
        check(&[("accept", "text/html;q=0")], Format::Json);
        check(&[("accept", "text/html; Q=0.000, application/json")], Format::Json);
        check(&[("accept", "text/htmlx")], Format::Json);
    }

    #[test]
    fn grpc_is_told_by_content_type_whatever_accept_says() {
        check(&[("content-type", "application/grpc")], Format::Grpc);
        check(&[("content-type", "Application/gRPC+proto"), ("accept", "text/html")], Format::Grpc);
        check(&[("content-type", "application/grp")], Format::Json);
        check(&[("accept", "application/grpc")], Format::Json);
        let grpc =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))]);
        assert_eq!(Format::with_status(&grpc), Format::Json);
    }

    #[test]
    fn grpc_codes_say_what_the_status_says() {
        for (status, code) in
            [(401, 16), (403, 7), (404, 12), (413, 8), (500, 13), (502, 14), (503, 14), (504, 4)]
        {
            assert_eq!(grpc_status(StatusCode::from_u16(status).unwrap()), code, "{status}");
        }
        assert_ne!(grpc_status(StatusCode::OK), 0);
    }
}
