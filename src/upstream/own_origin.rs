//! URLs of the upstream's own origin in a response. An upstream that gets its own `Host` names itself in redirects.
//! Invariant: only the origin of such a URL changes; what follows it stays byte for byte, and every other URL stays.

use http::header::{CONTENT_LOCATION, HeaderMap, HeaderValue, LOCATION};
use url::Url;

use crate::origin::Origin;
use crate::upstream::request::Forwarded;

/// The origin that the visitor requested, as it was sent to the upstream.
#[derive(Debug)]
pub(super) struct VisitorOrigin {
    proto: HeaderValue,
    host: HeaderValue,
}

impl VisitorOrigin {
    pub(super) fn of(forwarded: &Forwarded) -> Self {
        Self { proto: forwarded.proto.clone(), host: forwarded.host.clone() }
    }
}

/// Replaces the upstream's own origin by the visitor's in `Location` and `Content-Location`.
pub(super) fn rewrite(headers: &mut HeaderMap, own: &Origin, visitor: &VisitorOrigin) {
    for name in [LOCATION, CONTENT_LOCATION] {
        if let Some(value) = headers.get(&name)
            && let Some(rewritten) = rewritten(value, own, visitor)
        {
            headers.insert(name, rewritten);
        }
    }
}

/// `None`: the value stays.
fn rewritten(value: &HeaderValue, own: &Origin, visitor: &VisitorOrigin) -> Option<HeaderValue> {
    let text = str::from_utf8(value.as_bytes()).ok()?;
    let (scheme, behind) = text.split_once("//")?;
    let scheme = match scheme {
        // A URL without a scheme has that of the request.
        "" => own.scheme(),
        scheme => scheme.strip_suffix(':')?,
    };
    let end = behind.find(['/', '\\', '?', '#']).unwrap_or(behind.len());
    let (authority, rest) = behind.split_at_checked(end)?;
    let url = Url::parse(&format!("{scheme}://{authority}")).ok()?;
    if Origin::of(&url)? != *own {
        return None;
    }
    let parts = [visitor.proto.as_bytes(), b"://", visitor.host.as_bytes(), rest.as_bytes()];
    HeaderValue::from_bytes(&parts.concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(location: &str, expected: &str) {
        let own = Origin::parse("http://wiki:8080").unwrap();
        let [proto, host] = ["https", "wiki.example"].map(HeaderValue::from_static);
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_bytes(location.as_bytes()).unwrap());
        headers.insert(CONTENT_LOCATION, HeaderValue::from_bytes(location.as_bytes()).unwrap());
        rewrite(&mut headers, &own, &VisitorOrigin { proto, host });
        for name in [LOCATION, CONTENT_LOCATION] {
            assert_eq!(headers.get(name).unwrap().as_bytes(), expected.as_bytes(), "{location}");
        }
    }

    #[test]
    fn own_origin_becomes_that_of_the_visitor() {
        check("http://wiki:8080/a?b=%2f#c", "https://wiki.example/a?b=%2f#c");
        check("HTTP://WIKI:08080/\u{e4}?//x", "https://wiki.example/\u{e4}?//x");
        check("HTTP://WIKI:08080/a//b", "https://wiki.example/a//b");
        check("http://wiki:8080", "https://wiki.example");
        check("http://wiki:8080?x", "https://wiki.example?x");
        check("//wiki:8080/a", "https://wiki.example/a");
        check("http://user@wiki:8080/a", "https://wiki.example/a");
    }

    #[test]
    fn every_other_url_stays() {
        for url in [
            "/a",
            "a//b",
            "?next=http://wiki:8080/",
            "/a?next=http://wiki:8080/",
            "http://wiki/a",
            "http://wiki:80801/a",
            "http://wiki:8080.evil.example/a",
            "http://wiki:8080@evil.example/a",
            "https://wiki:8080/a",
            "http:/wiki:8080/a",
            "ftp://wiki:8080/a",
            "http://",
            "",
        ] {
            check(url, url);
        }
    }
}
