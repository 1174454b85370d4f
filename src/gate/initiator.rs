//! What caused a request, by the headers of browsers: a person, a page or the browser itself, or a script.
//! Invariant: no other file interprets `Sec-Fetch-Mode`, `Sec-Fetch-Dest` or `Sec-Purpose`.
//! Source: Fetch Metadata Request Headers §2; Fetch §2.2.5 (`Sec-Purpose`).

use http::{HeaderMap, HeaderName};

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
        let sent = Sent::of(headers);
        if sent.prefetches {
            return Self::Prefetch;
        }
        let navigates = sent.has_mode && !sent.has_other_mode;
        if sent.has_other_destination {
            return if navigates { Self::Frame } else { Self::Subresource };
        }
        if sent.has_other_mode {
            return Self::Script;
        }
        if navigates && sent.has_destination {
            return Self::Person;
        }
        // Browsers send the fields to https and loopback only, but there they send all of them. A WebView adds
        // `X-Requested-With` to its navigations, so that field alone does not show a script.
        let may_be_person = !sent.is_from_browser && !sent.has_requested_with;
        if may_be_person && Format::with_status(headers) == Format::Html {
            Self::Person
        } else {
            Self::Unknown
        }
    }
}

/// What the fields of a request show, collected in one pass.
#[derive(Default)]
struct Sent {
    prefetches: bool,
    has_mode: bool,
    /// A mode other than `navigate`.
    has_other_mode: bool,
    has_destination: bool,
    /// A destination other than a page.
    has_other_destination: bool,
    /// Any `Sec-Fetch-*`.
    is_from_browser: bool,
    has_requested_with: bool,
}

impl Sent {
    fn of(headers: &HeaderMap) -> Self {
        let mut sent = Self::default();
        for (name, value) in headers {
            let (name, value) = (name.as_str(), value.as_bytes());
            match name {
                // `Purpose` is what browsers sent before `Sec-Purpose`, and WebKit still does.
                "sec-purpose" | "purpose" => sent.prefetches |= is_prefetch(value),
                "sec-fetch-mode" => {
                    sent.has_mode = true;
                    sent.has_other_mode |= value != b"navigate";
                }
                "sec-fetch-dest" => {
                    sent.has_destination = true;
                    sent.has_other_destination |= !is_page(value);
                }
                "x-requested-with" => sent.has_requested_with = true,
                _ => {}
            }
            sent.is_from_browser |= name.starts_with("sec-fetch-");
        }
        sent
    }
}

/// Whether a person opens a page whose answer no script can receive: a service worker receives the navigations that it
/// passes on, with the destination `empty`, and those that the browser sends ahead for it (Service Workers §4.1.3).
pub fn opens_unseen_by_scripts(headers: &HeaderMap) -> bool {
    Initiator::of(headers) == Initiator::Person
        && headers.get_all(&SEC_FETCH_DEST).iter().all(|destination| destination == "document")
        && !headers.contains_key(&NAVIGATION_PRELOAD)
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

static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
static NAVIGATION_PRELOAD: HeaderName =
    HeaderName::from_static("service-worker-navigation-preload");

#[cfg(test)]
mod tests {
    use http::HeaderValue;

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
