//! Tells requests of the gateway's own pages, and of the user directly, from those of other sites.
//! Source: Fetch Metadata Request Headers (`Sec-Fetch-Site`); RFC 6454 (`Origin`).

use http::header::{HeaderMap, ORIGIN, REFERER};
use http::{HeaderName, HeaderValue};
use url::Url;

use crate::origin::Origin;

/// Whether a page of one of the `own` origins, or the user directly, sent a request. With a cookie domain, the
/// other hosts of the site share the session, so their pages count too.
// SECURITY: another site must not make the browser change anything here, not even by an image.
pub(super) fn is_same_origin(
    headers: &HeaderMap,
    own: &[&Origin],
    cookie_domain: Option<&str>,
) -> bool {
    if headers.contains_key(SEC_FETCH_SITE) {
        let mut sites = headers.get_all(SEC_FETCH_SITE).iter().map(HeaderValue::as_bytes);
        return sites.all(|site| match site {
            b"same-origin" | b"none" => true,
            b"same-site" => cookie_domain.is_some(),
            _ => false,
        });
    }
    let sent = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let is_own = |text: &str| {
        let sent = Url::parse(text).ok().and_then(|url| Origin::of(&url));
        sent.is_some_and(|sent| own.contains(&&sent))
    };
    match (sent(ORIGIN), sent(REFERER)) {
        (None, None) => true,
        (Some(sent), _) | (None, Some(sent)) => is_own(sent),
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: &[(&'static str, &'static str)], cookie_domain: Option<&str>, expected: bool) {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let own = ["https://wiki.example", "https://app.example"];
        let own = own.map(|origin| Origin::parse(origin).unwrap());
        let headers = HeaderMap::from_iter(fields);
        let same = is_same_origin(&headers, &[&own[0], &own[1]], cookie_domain);
        assert_eq!(same, expected, "{headers:?}");
    }

    #[test]
    fn sec_fetch_site_decides_alone_where_it_is_sent() {
        check(&[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")], None, true);
        check(&[("sec-fetch-site", "none")], None, true);
        check(&[("sec-fetch-site", "same-site")], None, false);
        check(&[("sec-fetch-site", "same-site")], Some("example"), true);
        check(&[("sec-fetch-site", "cross-site"), ("origin", "https://wiki.example")], None, false);
        check(&[("sec-fetch-site", "Same-Origin")], None, false);
        check(&[("sec-fetch-site", "")], None, false);
    }

    #[test]
    fn origin_else_referer_decides_where_sec_fetch_site_is_missing() {
        check(&[], None, true);
        check(&[("origin", "https://wiki.example")], None, true);
        check(
            &[("origin", "https://app.example"), ("referer", "https://evil.example/")],
            None,
            true,
        );
        check(&[("origin", "null"), ("referer", "https://wiki.example/")], None, false);
        check(&[("origin", "http://wiki.example")], None, false);
        check(&[("referer", "https://wiki.example/page")], None, true);
        check(&[("referer", "https://wiki.example.evil.example/")], None, false);
    }
}
