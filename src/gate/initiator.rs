//! What caused a request, by the headers of browsers: a person, a page or the browser itself, or a script.
//! Invariant: no other file interprets `Sec-Fetch-Mode`, `Sec-Fetch-Dest` or `Sec-Purpose`.
//! Source: Fetch Metadata Request Headers §2; Fetch §2.2.5 (`Sec-Purpose`).

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::pages::Format;

/// What caused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// A person opens a page.
    Person,
    /// The browser loads a page in advance, in case a person opens it.
    Prefetch,
    /// A page shows it in a frame.
    Frame,
    /// A page loads it as a part of itself, such as an image.
    Subresource,
    /// A script.
    Script,
    /// The headers do not show the cause.
    Unknown,
}

impl Initiator {
    /// The initiator of a request: by `Sec-Fetch-*` if the browser sends them, else by `Accept`.
    pub fn of(headers: &HeaderMap) -> Self {
        // `Purpose` is what browsers sent before `Sec-Purpose`, and WebKit still does.
        if [&SEC_PURPOSE, &PURPOSE].into_iter().any(|name| values(headers, name).any(is_prefetch)) {
            return Self::Prefetch;
        }
        let mut modes = values(headers, &SEC_FETCH_MODE).peekable();
        let mut destinations = values(headers, &SEC_FETCH_DEST).peekable();
        let has_mode = modes.peek().is_some();
        let navigates = has_mode && modes.all(|mode| mode == b"navigate");
        let has_destination = destinations.peek().is_some();
        if !destinations.all(is_page) {
            return if navigates { Self::Frame } else { Self::Subresource };
        }
        if has_mode && !navigates {
            return Self::Script;
        }
        if navigates && has_destination {
            return Self::Person;
        }
        // Browsers send the fields to https and loopback only, but there they send all of them. A WebView adds
        // `X-Requested-With` to its navigations, so that field alone does not show a script.
        let from_browser = headers.keys().any(|name| name.as_str().starts_with("sec-fetch-"));
        let is_page = Format::with_status(headers) == Format::Html;
        if is_page && !from_browser && !headers.contains_key(&X_REQUESTED_WITH) {
            Self::Person
        } else {
            Self::Unknown
        }
    }
}

/// Whether a person opens a page whose answer no script can receive: a service worker receives the navigations that it
/// passes on, with the destination `empty`, and those that the browser sends ahead for it (Service Workers §4.1.3).
pub fn opens_unseen_by_scripts(headers: &HeaderMap) -> bool {
    Initiator::of(headers) == Initiator::Person
        && values(headers, &SEC_FETCH_DEST).all(|destination| destination == b"document")
        && !headers.contains_key(&NAVIGATION_PRELOAD)
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes)
}

/// `empty`: the navigation comes through a service worker.
fn is_page(destination: &[u8]) -> bool {
    matches!(destination, b"document" | b"empty")
}

/// `prefetch`, `prefetch;prerender`, `prefetch;anonymous-client-ip`.
fn is_prefetch(purpose: &[u8]) -> bool {
    let mut tokens = purpose.split(|byte| matches!(byte, b';' | b','));
    tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"prefetch"))
}

static SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
static PURPOSE: HeaderName = HeaderName::from_static("purpose");
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
static NAVIGATION_PRELOAD: HeaderName =
    HeaderName::from_static("service-worker-navigation-preload");
static X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[track_caller]
    fn check(fields: &[(&'static str, &'static str)], expected: Initiator) {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        assert_eq!(Initiator::of(&headers), expected, "{headers:?}");
    }

    const NAVIGATE: (&str, &str) = ("sec-fetch-mode", "navigate");
    const DOCUMENT: (&str, &str) = ("sec-fetch-dest", "document");
    const EMPTY: (&str, &str) = ("sec-fetch-dest", "empty");
    const HTML: (&str, &str) = ("accept", "text/html");

    #[test]
    fn navigation_is_a_persons_also_through_a_service_worker() {
        check(&[NAVIGATE, DOCUMENT], Initiator::Person);
        check(&[NAVIGATE, EMPTY], Initiator::Person);
        check(&[NAVIGATE, DOCUMENT, ("x-requested-with", "com.example.app")], Initiator::Person);
        check(&[HTML], Initiator::Person);
    }

    #[test]
    fn prefetch_is_found_in_both_fields_and_before_everything_else() {
        for field in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "prefetch; anonymous-client-ip"),
            ("purpose", "Prefetch"),
        ] {
            check(&[field, NAVIGATE, DOCUMENT], Initiator::Prefetch);
            check(&[field, ("sec-fetch-mode", "no-cors"), EMPTY], Initiator::Prefetch);
            check(&[field, HTML], Initiator::Prefetch);
        }
        check(&[("purpose", "prefetching"), NAVIGATE, DOCUMENT], Initiator::Person);
    }

    #[test]
    fn frame_and_subresource_are_no_pages() {
        for destination in ["iframe", "frame", "object", "embed", "fencedframe", "Document", ""] {
            check(&[NAVIGATE, ("sec-fetch-dest", destination), HTML], Initiator::Frame);
        }
        check(
            &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
            Initiator::Subresource,
        );
        check(&[("sec-fetch-dest", "image"), HTML], Initiator::Subresource);
        check(&[NAVIGATE, DOCUMENT, ("sec-fetch-dest", "iframe")], Initiator::Frame);
    }

    #[test]
    fn request_of_a_script_or_of_an_unknown_client_is_not_a_persons() {
        check(&[("sec-fetch-mode", "cors"), EMPTY, HTML], Initiator::Script);
        check(&[NAVIGATE, ("sec-fetch-mode", "cors"), DOCUMENT], Initiator::Script);
        check(&[NAVIGATE, HTML], Initiator::Unknown);
        check(&[("sec-fetch-site", "same-origin"), HTML], Initiator::Unknown);
        check(&[HTML, ("x-requested-with", "XMLHttpRequest")], Initiator::Unknown);
        check(&[("accept", "*/*")], Initiator::Unknown);
        check(&[], Initiator::Unknown);
    }
}
