//! The format of an answer: gRPC status, page or JSON; and the language of a page.
//! Invariant: a gRPC client never gets a page. Other clients get a page only if `Accept` names `text/html`
//! (RFC 9110 §12.5.1); a wildcard is not enough, because API clients send it too.

use http::header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::grpc::is_grpc;
use crate::pages::Language;

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
    /// The language of a page.
    pub language: Language,
    /// The ID of the request, as in the log; a page shows its end.
    pub request_id: &'a str,
    /// Where the request can be tried again; empty for its own address.
    pub retry: Option<&'a str>,
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

impl Language {
    /// The language of a page in this format. Other formats, which most requests of programs have, need not look for it.
    pub fn of_page(format: Format, headers: &HeaderMap) -> Self {
        match format {
            Format::Html => Self::of(headers),
            Format::Grpc | Format::Json => Self::default(),
        }
    }

    /// The language that the client prefers of those that pages have (RFC 9110 §12.5.4).
    fn of(headers: &HeaderMap) -> Self {
        let fields = headers.get_all(ACCEPT_LANGUAGE).iter();
        let ranges = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
        let (mut best, mut best_weight) = (Self::default(), 0.0);
        for range in ranges {
            let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let language = parts.next().and_then(Self::of_range);
            let weight = parts.find_map(weight).unwrap_or(1.0);
            // Of two with the same weight, the first is preferred.
            if let Some(language) = language.filter(|_| weight > best_weight) {
                (best, best_weight) = (language, weight);
            }
        }
        best
    }

    /// `de`, `de-AT`. `*` is no language.
    fn of_range(range: &[u8]) -> Option<Self> {
        let primary = range.split(|byte| *byte == b'-').next()?;
        Self::ALL.into_iter().find(|it| primary.eq_ignore_ascii_case(it.tag().as_bytes()))
    }
}

fn accepts_html(accept: &HeaderValue) -> bool {
    // On bytes, and only up to the first match, because it runs for every request.
    accept.as_bytes().split(|byte| *byte == b',').any(|range| {
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let html = parts.next().is_some_and(|media| media.eq_ignore_ascii_case(b"text/html"));
        // `q=0` means "not acceptable" (RFC 9110 §12.4.2).
        html && !parts.any(|parameter| weight(parameter) == Some(0.0))
    })
}

/// The value of a parameter `q` (RFC 9110 §12.4.2).
fn weight(parameter: &[u8]) -> Option<f32> {
    let parameter = str::from_utf8(parameter).ok()?;
    let (name, value) = parameter.split_once('=')?;
    let weight: f32 = value.trim().parse().ok().filter(|_| name.eq_ignore_ascii_case("q"))?;
    (0.0..=1.0).contains(&weight).then_some(weight)
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

    #[track_caller]
    fn check_language(accepted: &[&'static str], expected: Language) {
        let field = |value: &&'static str| (ACCEPT_LANGUAGE, HeaderValue::from_static(value));
        let headers: HeaderMap = accepted.iter().map(field).collect();
        assert_eq!(Language::of(&headers), expected, "{accepted:?}");
    }

    #[test]
    fn page_has_the_first_language_of_the_highest_weight_that_it_knows() {
        check_language(&[], Language::English);
        check_language(&["de"], Language::German);
        check_language(&["ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7"], Language::Korean);
        check_language(&["DE-at , en ; q=0.9"], Language::German);
        check_language(&["en;q=0.5, de;Q=0.8, ko;q=0.7"], Language::German);
        check_language(&["fr-FR,fr;q=0.9", "ko;q=0.1"], Language::Korean);
        check_language(&["en, de"], Language::English);
        check_language(&["ko, de"], Language::Korean);
    }

    #[test]
    fn page_is_english_if_no_language_of_the_client_is_known() {
        for other in ["fr", "*", "deu", "de_DE", "d", "", ",,;q=1", "de;q=0", "de;q=0.000, *;q=0.1"]
        {
            check_language(&[other], Language::English);
        }
        check_language(&["ko;q=NaN, de;q=0.5"], Language::Korean);
        check_language(&["ko;q=2, de;q=0.5"], Language::Korean);
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
