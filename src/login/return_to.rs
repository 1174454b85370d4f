//! Where a browser may be sent back to: the open-redirect guard (RFC 9700 §4.11).
//! Invariant: a `ReturnTo` is a path on the host of `public_url`, or an absolute URL on a host that has a
//! route and shares the session cookie. Every byte of it is allowed in a `Location`.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::Url;

use crate::origin::Origin;
use crate::routing::Site;
use crate::routing::host::{HostPattern, is_below};
use crate::routing::path::PathInterpretations;

/// A target that a browser may be sent back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(String);

/// The targets that a browser may be sent back to.
#[derive(Clone, Debug)]
pub struct AllowedTargets {
    site: Site,
    base: Url,
    /// `session.cookie.domain`.
    domain: Option<String>,
    hosts: Vec<HostPattern>,
}

impl ReturnTo {
    /// `/`, which is always allowed.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// The target as in a `Location` header.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The target without its query.
    #[must_use]
    pub fn without_query(&self) -> Self {
        Self(self.0.split(['?', '#']).next().unwrap_or("/").to_owned())
    }
}

impl AllowedTargets {
    /// The targets of this site: `domain` is the domain of the session cookie, `hosts` those of the routes.
    pub fn new(
        site: Site,
        domain: Option<&str>,
        hosts: Vec<HostPattern>,
    ) -> Result<Self, url::ParseError> {
        let base = Url::parse(&site.public_url().to_string())?;
        Ok(Self { site, base, domain: domain.map(str::to_owned), hosts })
    }

    /// The target in `rd`, else `/`.
    pub fn parse_or_root(&self, rd: Option<&str>) -> ReturnTo {
        rd.and_then(|rd| self.parse(rd)).unwrap_or_else(ReturnTo::root)
    }

    /// The target in `rd`, if a browser may be sent there. `rd` is percent-decoded once.
    pub fn parse(&self, rd: &str) -> Option<ReturnTo> {
        // SECURITY: browsers read `\` as `/` and drop tabs and line ends, so `/\evil` and `/<tab>/evil` are other
        // hosts to them. No honest target has one of these characters. In a query, browsers leave a
        // `\` as it is.
        let before_query = rd.split(['?', '#']).next().unwrap_or_default();
        if rd.chars().any(char::is_control) || before_query.contains('\\') {
            return None;
        }
        let begins = |scheme: &str| {
            rd.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        let absolute = begins("http://") || begins("https://");
        if !absolute && (!rd.starts_with('/') || rd.starts_with("//")) {
            return None;
        }
        let url = self.base.join(rd).ok()?;
        let origin = Origin::of(&url)?;
        if !url.username().is_empty() || url.password().is_some() || !self.shares_session(&origin) {
            return None;
        }
        // The host of an absolute URL must have a route. A path alone is on the host of `public_url`.
        if absolute && !self.hosts.iter().any(|host| host.matches(origin.host())) {
            return None;
        }
        // SECURITY: `/..//evil.example` becomes `//evil.example` when its dot segment is removed.
        if url.path().starts_with("//") || !self.is_forwardable(url.path()) {
            return None;
        }
        let target = encode(url.path(), url.query(), url.fragment())?;
        Some(ReturnTo(self.site.return_to(&origin, &target)))
    }

    /// A path and query on another host of the site, as an absolute URL.
    pub fn on_host(&self, authority: &str, path_and_query: &str) -> Option<ReturnTo> {
        self.parse(&format!("{}://{authority}{path_and_query}", self.site.public_url().scheme()))
    }

    /// A target as an absolute URL, for another host, where a path alone would be a path of that host.
    pub fn absolute(&self, target: &ReturnTo) -> ReturnTo {
        let text = target.as_str();
        if text.starts_with('/') {
            ReturnTo(format!("{}{text}", self.site.public_url()))
        } else {
            target.clone()
        }
    }

    fn shares_session(&self, origin: &Origin) -> bool {
        let public_url = self.site.public_url();
        if origin == public_url {
            return true;
        }
        let same_scheme_and_port =
            origin.is_https() == public_url.is_https() && origin.port() == public_url.port();
        let shares_cookie = self
            .domain
            .as_deref()
            .is_some_and(|domain| origin.host() == domain || is_below(origin.host(), domain));
        same_scheme_and_port && shares_cookie
    }

    /// Whether a path can be interpreted and is an endpoint of the gateway in no interpretation. Returning to an
    /// endpoint would loop.
    fn is_forwardable(&self, path: &str) -> bool {
        PathInterpretations::of_any_encoding(path).is_ok_and(|interpretations| {
            !interpretations.plain().path().contains('\\')
                && !self.site.prefix().matches_any(&interpretations)
        })
    }
}

/// Encodes a target for a `Location`. If it is too long, its query is dropped; `None` if its path is too long.
fn encode(path: &str, query: Option<&str>, fragment: Option<&str>) -> Option<String> {
    let mut target = escape(path);
    if target.len() > MAX_BYTES {
        return None;
    }
    let path_only = target.len();
    for (sign, part) in [('?', query), ('#', fragment)] {
        if let Some(part) = part {
            target.push(sign);
            target.push_str(&escape(part));
        }
    }
    if target.len() > MAX_BYTES {
        target.truncate(path_only);
    }
    Some(target)
}

/// Encodes characters that browsers leave as they are in a query but strict servers reject (RFC 3986 §2).
fn escape(part: &str) -> String {
    utf8_percent_encode(part, &RAW).to_string()
}

const RAW: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
const MAX_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::routing::path::PathPrefix;

    fn targets(domain: Option<&str>) -> AllowedTargets {
        let public_url = Origin::parse("https://app.example.com").unwrap();
        let hosts = ["app.example.com", "wiki.example.com", "evil.example.net"];
        let hosts = hosts.map(|host| HostPattern::parse(host).unwrap()).into();
        let site = Site::new(public_url, PathPrefix::parse("/OAuth2").unwrap());
        AllowedTargets::new(site, domain, hosts).unwrap()
    }

    #[track_caller]
    fn check(rd: &str, expected: &str) {
        assert_eq!(
            targets(Some("example.com")).parse_or_root(Some(rd)).as_str(),
            expected,
            "{rd:?}"
        );
    }

    #[test]
    fn path_on_the_host_of_public_url_is_allowed() {
        check("/", "/");
        check("/a/b?c=d&e=%2F", "/a/b?c=d&e=%2F");
        check("/a?x=[1]|{2}^", "/a?x=%5B1%5D%7C%7B2%7D%5E");
        check("/a?b#c", "/a?b#c");
        check("/a?file=C:\\temp#\\x", "/a?file=C:%5Ctemp#%5Cx");
        check("https://app.example.com?x=\\@evil.example", "/?x=%5C@evil.example");
        check("/ä?ö", "/%C3%A4?%C3%B6");
        check("https://app.example.com/a", "/a");
        check("https://APP.example.com:443/a", "/a");
        check("HTTPS://app.example.com/a", "/a");
    }

    #[test]
    fn other_host_of_a_route_is_allowed_if_it_shares_the_cookie() {
        check("https://wiki.example.com/a?b", "https://wiki.example.com/a?b");
        let alone = targets(None).parse_or_root(Some("https://wiki.example.com/a"));
        assert_eq!(alone, ReturnTo::root());
    }

    #[test]
    fn target_on_another_host_becomes_the_root() {
        for rd in [
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/..//evil.example",
            "/.//evil.example",
            "/%2e%2e//evil.example",
            "https:evil.example",
            "https:/evil.example",
            "https://evil.example",
            "https://app.example.com@evil.example",
            "https://user@app.example.com/",
            "https://app.example.com\\@evil.example/",
            "https://app.example.com\\?@evil.example/",
            "/\\evil.example?\\",
            "https://app.example.com.evil.example/",
            "https://evil.example.net/",
            "https://evilexample.com/",
            "http://app.example.com/",
            "https://app.example.com:8443/",
            "https://unknown.example.com/",
            "javascript:alert(1)",
            "data:text/html,x",
            "evil.example",
            "%2f%2fevil.example",
            "/%5Cevil.example",
            "/ok\r\nX-Inj: 1",
            "",
            " /a",
        ] {
            check(rd, "/");
        }
    }

    #[test]
    fn endpoint_path_becomes_the_root() {
        for rd in [
            "/oauth2",
            "/OAuth2/sign_out",
            "/oauth2/sign_out",
            "/oauth2/../oauth2/x",
            "/%6fauth2/start",
            "/oauth2%2fx",
        ] {
            check(rd, "/");
        }
        check("/oauth2x", "/oauth2x");
    }

    #[test]
    fn absolute_url_of_a_host_without_a_route_becomes_the_root() {
        let public_url = Origin::parse("https://auth.example.com").unwrap();
        let hosts = vec![HostPattern::parse("wiki.example.com").unwrap()];
        let prefix = PathPrefix::parse("/oauth2").unwrap();
        let targets =
            AllowedTargets::new(Site::new(public_url, prefix), Some("example.com"), hosts).unwrap();
        let target = |rd| targets.parse_or_root(Some(rd)).as_str().to_owned();
        assert_eq!(target("https://wiki.example.com/a"), "https://wiki.example.com/a");
        assert_eq!(target("https://auth.example.com/a"), "/");
        assert_eq!(target("https://other.example.com/a"), "/");
        assert_eq!(target("/a"), "/a");
    }

    #[test]
    fn query_of_a_long_target_is_dropped() {
        check(&format!("/a?{}", "x".repeat(3000)), "/a");
        check(&format!("/{}", "x".repeat(3000)), "/");
    }

    proptest! {
        #[test]
        fn browser_stays_on_the_site(rd in "(/|//|\\\\|https:|http:|evil\\.example|@|\\.\\.|%2f|%5c|\\?|#|:|\t|app\\.example\\.com|[ -~]){0,12}") {
            let target = targets(None).parse_or_root(Some(&rd));
            let base = Url::parse("https://app.example.com/oauth2/callback").unwrap();
            let reached = base.join(target.as_str()).unwrap();
            prop_assert_eq!(Origin::of(&reached).unwrap().to_string(), "https://app.example.com");
            prop_assert!(http::HeaderValue::from_str(target.as_str()).is_ok());
        }
    }
}
