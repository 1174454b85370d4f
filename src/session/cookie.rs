//! The gateway's cookies: names, prefixes, attributes (RFC 6265bis §4.1). They never contain a token.
//! Invariant: every value that we set is base64url, so nothing in it can end the value or the header.

use cookie::{Cookie, CookieBuilder, SameSite as Attribute, time};
use http::header::{COOKIE, Entry, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use memchr::memchr;
use std::time::Duration;

use crate::random;
use crate::session::{CookieSettings, Persistence, SameSite};

/// Names and attributes of the gateway's cookies, fixed by the configuration.
#[derive(Clone, Debug)]
pub struct Cookies {
    session: String,
    login: String,
    target: String,
    secure: bool,
    domain: Option<String>,
    same_site: Attribute,
    login_same_site: Attribute,
    persistence: Persistence,
}

/// One of the gateway's cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// The id of a session.
    Session,
    /// Binds a `state` to the browser that started the sign-in; always host-only.
    Login,
    /// A return target that is too long for a `state`, sealed; always host-only.
    LoginTarget,
}

/// The value of one of our cookies in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent<'h> {
    /// The cookie is absent.
    Nothing,
    /// One value.
    Value(&'h str),
    /// Different values under the same name: another host has set one of them, so none is used.
    Conflict,
}

impl Cookies {
    /// The cookies for a `public_url` with or without https. `login` is the `SameSite` of those of a sign-in.
    pub fn new(settings: &CookieSettings, https: bool, login: SameSite) -> Self {
        let session = settings.name.clone().unwrap_or_else(|| match (https, &settings.domain) {
            (true, None) => "__Host-portcullis".to_owned(),
            (true, Some(_)) => "__Secure-portcullis".to_owned(),
            (false, _) => "portcullis".to_owned(),
        });
        let bare = session.trim_start_matches("__Host-").trim_start_matches("__Secure-");
        let prefix = if https { "__Host-" } else { "" };
        Self {
            login: format!("{prefix}{bare}-login"),
            target: format!("{prefix}{bare}-login-target"),
            session,
            secure: https,
            domain: settings.domain.clone(),
            same_site: attribute(settings.same_site),
            login_same_site: attribute(login),
            persistence: settings.persistence,
        }
    }

    /// The value of one of our cookies in a request; names are compared exactly (RFC 6265bis §5.7).
    pub fn sent<'h>(&self, headers: &'h HeaderMap, name: Name) -> Sent<'h> {
        let (wanted, mut sent) = (self.name(name).as_bytes(), None);
        for field in headers.get_all(COOKIE) {
            for pair in pairs(field).filter(|pair| pair.name == wanted) {
                match sent.replace(pair.value) {
                    // SECURITY: a sibling host can set a cookie with our name. Nothing shows which one is
                    // ours, so neither is used (RFC 6265bis §8.6).
                    Some(before) if before != pair.value => return Sent::Conflict,
                    Some(_) | None => {}
                }
            }
        }
        // A value that is not UTF-8 is not ours, but it has our name: an invalid value, so that the request
        // counts as one with a session cookie.
        sent.map_or(Sent::Nothing, |value| Sent::Value(str::from_utf8(value).unwrap_or_default()))
    }

    /// All values of one of our cookies in a request, also those that another host has set.
    pub fn all_sent<'h>(
        &self,
        headers: &'h HeaderMap,
        name: Name,
    ) -> impl Iterator<Item = &'h str> {
        let all = headers.get_all(COOKIE).into_iter().flat_map(pairs);
        let named = all.filter(move |pair| pair.name == self.name(name).as_bytes());
        named.filter_map(|pair| str::from_utf8(pair.value).ok())
    }

    /// `Set-Cookie` of a cookie; without `max_age` it lasts until the browser closes.
    pub fn set(&self, name: Name, value: String, max_age: Option<Duration>) -> HeaderValue {
        let mut cookie = self.build(name, value);
        if let Some(age) = max_age {
            let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
            cookie = cookie.max_age(time::Duration::seconds(seconds));
        }
        header(&cookie.build())
    }

    /// `Set-Cookie` of the session cookie, for a session that ends after `lifetime`.
    pub fn set_session(&self, id: String, lifetime: Duration) -> HeaderValue {
        let max_age = match self.persistence {
            Persistence::Session => Some(lifetime),
            Persistence::Browser => None,
        };
        self.set(Name::Session, id, max_age)
    }

    /// `Set-Cookie` that removes a cookie. It has the same attributes, because otherwise the browser keeps the
    /// cookie.
    pub fn clear(&self, name: Name) -> HeaderValue {
        header(&self.build(name, String::new()).max_age(time::Duration::ZERO).build())
    }

    /// Removes the session cookie for every `Domain` and `Path` that matches this request: the host that tossed a
    /// cookie chose them, and the request does not show them. If there are too many for one response, it removes a
    /// part, selected by `turn`, and the browser is redirected here until none is left.
    pub fn clear_tossed(&self, host: &str, path: &str, turn: usize) -> Vec<HeaderValue> {
        let paths: Vec<_> = cookie_paths(path).collect();
        let domains: Vec<_> = cookie_domains(host).collect();
        let places = paths.len() * domains.len();
        let first = if places <= MOST_CLEARED { 0 } else { turn % places };
        // SECURITY: the combinations are counted, not collected: a path of slashes on a host with many labels has
        // millions.
        let cleared = (first..first + places.min(MOST_CLEARED)).filter_map(|at| {
            let at = at % places;
            let path = paths.get(at / domains.len())?;
            self.clear_at(path, *domains.get(at % domains.len())?)
        });
        let mut cleared: Vec<_> = cleared.collect();
        let own = self.clear(Name::Session);
        if !cleared.contains(&own) {
            cleared.push(own);
        }
        cleared
    }

    /// [`Self::clear_tossed`] if a request has several session cookies with different values; else nothing.
    pub fn clear_conflict(&self, headers: &HeaderMap, host: &str, path: &str) -> Vec<HeaderValue> {
        match self.sent(headers, Name::Session) {
            Sent::Conflict => self.clear_tossed(host, path, random::turn()),
            Sent::Nothing | Sent::Value(_) => Vec::new(),
        }
    }

    /// Removes all of our cookies, also tossed ones, so that the browser starts without any.
    pub fn clear_all(&self, host: &str, path: &str) -> Vec<HeaderValue> {
        let mut cleared = self.clear_tossed(host, path, random::turn());
        cleared.extend([Name::Login, Name::LoginTarget].map(|name| self.clear(name)));
        cleared
    }

    fn clear_at(&self, path: &str, domain: Option<&str>) -> Option<HeaderValue> {
        let mut cookie = self.build(Name::Session, String::new()).path(path.to_owned()).build();
        cookie.unset_domain();
        if let Some(domain) = domain {
            cookie.set_domain(domain.to_owned());
        }
        cookie.set_max_age(time::Duration::ZERO);
        HeaderValue::try_from(cookie.to_string()).ok()
    }

    /// Removes our cookies from a request; the others stay unchanged.
    // SECURITY: an upstream that learns the session id can act as the user.
    pub fn strip_request(&self, headers: &mut HeaderMap) {
        let Entry::Occupied(mut fields) = headers.entry(COOKIE) else { return };
        if !fields.iter().flat_map(pairs).any(|pair| self.is_ours(pair.name)) {
            return;
        }
        match self.without_ours(fields.iter()) {
            Some(others) => drop(fields.insert(others)),
            None => drop(fields.remove()),
        }
    }

    /// The cookies of a request without ours, as one field; `None` if none is left.
    pub fn others(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        self.without_ours(headers.get_all(COOKIE).iter())
    }

    fn without_ours<'h>(
        &self,
        fields: impl Iterator<Item = &'h HeaderValue>,
    ) -> Option<HeaderValue> {
        let others = fields.flat_map(pairs).filter(|pair| !self.is_ours(pair.name));
        let others: Vec<&[u8]> = others.map(|pair| pair.text).collect();
        if others.is_empty() {
            return None;
        }
        let mut value = HeaderValue::try_from(others.join(&b"; "[..])).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Removes our cookies from an upstream's response.
    // SECURITY: an upstream that sets our cookie could plant a session.
    pub fn strip_response(&self, headers: &mut HeaderMap) {
        let is_ours = |value: &HeaderValue| self.is_ours(set_name(value.as_bytes()));
        if !headers.get_all(SET_COOKIE).iter().any(is_ours) {
            return;
        }
        let kept: Vec<HeaderValue> =
            headers.get_all(SET_COOKIE).iter().filter(|value| !is_ours(value)).cloned().collect();
        headers.remove(SET_COOKIE);
        for value in kept {
            headers.append(SET_COOKIE, value);
        }
    }

    /// `Domain` of the session cookie.
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    fn name(&self, name: Name) -> &str {
        match name {
            Name::Session => &self.session,
            Name::Login => &self.login,
            Name::LoginTarget => &self.target,
        }
    }

    fn is_ours(&self, name: &[u8]) -> bool {
        [&self.session, &self.login, &self.target].iter().any(|ours| ours.as_bytes() == name)
    }

    fn build(&self, name: Name, value: String) -> CookieBuilder<'_> {
        let cookie =
            Cookie::build((self.name(name), value)).path("/").http_only(true).secure(self.secure);
        match (name, &self.domain) {
            (Name::Session, Some(domain)) => cookie.same_site(self.same_site).domain(domain),
            (Name::Session, None) => cookie.same_site(self.same_site),
            (Name::Login | Name::LoginTarget, _) => cookie.same_site(self.login_same_site),
        }
    }
}

fn attribute(same_site: SameSite) -> Attribute {
    match same_site {
        SameSite::Lax => Attribute::Lax,
        SameSite::None => Attribute::None,
    }
}

/// Every `Path` that matches a request's path (RFC 6265bis §5.1.4), the shortest first. Browsers ignore longer
/// attributes (§5.6).
fn cookie_paths(path: &str) -> impl Iterator<Item = &str> {
    // SECURITY: a `;` would end the attribute and start one that the client chose.
    let end = path.find(';');
    let fit = path.get(..end.unwrap_or(path.len())).unwrap_or_default();
    let to_slash = fit.match_indices('/').flat_map(|(at, _)| [fit.get(..at), fit.get(..=at)]);
    let whole = (end.is_none() && !path.ends_with('/')).then_some(path);
    let all = to_slash.chain([whole]).flatten();
    all.take_while(|path| path.len() <= LONGEST_ATTRIBUTE).filter(|path| path.starts_with('/'))
}

/// No `Domain`, and every `Domain` that matches a host (RFC 6265bis §5.1.3), the longest first. Browsers
/// reject public suffixes.
fn cookie_domains(host: &str) -> impl Iterator<Item = Option<&str>> {
    let above = host.match_indices('.').filter_map(|(at, _)| host.get(at + 1..));
    let is_name = host.parse::<std::net::Ipv4Addr>().is_err();
    let named =
        [host].into_iter().chain(above).filter(move |domain| is_name && domain.contains('.'));
    [None].into_iter().chain(named.map(Some))
}

/// One pair of a `Cookie` field.
struct Pair<'h> {
    /// The whole pair, trimmed.
    text: &'h [u8],
    /// Empty without `=`.
    name: &'h [u8],
    value: &'h [u8],
}

/// The pairs of a `Cookie` field. It may contain any bytes, and a pair that is not UTF-8 must not hide the
/// others.
fn pairs(field: &HeaderValue) -> impl Iterator<Item = Pair<'_>> {
    let mut rest = Some(field.as_bytes());
    let texts = std::iter::from_fn(move || {
        // Skips a run of separators in one step, so that a field of separators costs no more than another.
        let begins = |byte: &u8| *byte != b';' && !byte.is_ascii_whitespace();
        let (text, behind) =
            halves(b';', rest.and_then(|rest| rest.get(rest.iter().position(begins)?..))?);
        rest = behind;
        Some(text.trim_ascii())
    });
    texts.filter(|text| !text.is_empty()).map(|text| match halves(b'=', text) {
        (name, Some(value)) => Pair { text, name: name.trim_ascii(), value: value.trim_ascii() },
        (value, None) => Pair { text, name: b"", value },
    })
}

/// The name with which a browser returns the cookie of a `Set-Cookie` (RFC 6265bis §5.7).
// SECURITY: a browser stores `=name=value` as a cookie without a name, and sends it as `name=value`.
fn set_name(field: &[u8]) -> &[u8] {
    let pair = halves(b';', field).0.trim_ascii();
    let sent = pair.strip_prefix(b"=").unwrap_or(pair);
    halves(b'=', sent).0.trim_ascii()
}

/// The text before the first `mark`, and the text after it.
fn halves(mark: u8, text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let Some((before, from)) = memchr(mark, text).and_then(|at| text.split_at_checked(at)) else {
        return (text, None);
    };
    (before, from.get(1..))
}

#[expect(
    clippy::expect_used,
    reason = "names are checked by the configuration, values are base64url"
)]
fn header(cookie: &Cookie<'_>) -> HeaderValue {
    let mut value =
        HeaderValue::from_str(&cookie.to_string()).expect("our cookies are valid header values");
    value.set_sensitive(true);
    value
}

/// Bytes of an attribute that browsers accept.
const LONGEST_ATTRIBUTE: usize = 1024;
/// `Set-Cookie` fields in one response: proxies in front of us limit the size of its head.
const MOST_CLEARED: usize = 16;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn cookies(domain: Option<&str>, https: bool) -> Cookies {
        let domain = domain.map(str::to_owned);
        Cookies::new(&CookieSettings { domain, ..CookieSettings::default() }, https, SameSite::Lax)
    }

    fn request(cookie: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_static(cookie))])
    }

    #[test]
    fn names_depend_on_scheme_and_domain() {
        let names = |cookies: Cookies| (cookies.session, cookies.login);
        let own = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(names(cookies(None, true)), own("__Host-portcullis", "__Host-portcullis-login"));
        assert_eq!(
            names(cookies(Some("example.com"), true)),
            own("__Secure-portcullis", "__Host-portcullis-login")
        );
        assert_eq!(names(cookies(None, false)), own("portcullis", "portcullis-login"));
    }

    #[test]
    fn set_and_clear_have_the_strictest_attributes_that_work() {
        let value =
            cookies(None, true).set(Name::Session, "v".into(), Some(Duration::from_secs(60)));
        assert_eq!(
            value.to_str().unwrap(),
            "__Host-portcullis=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
        );
        let value = cookies(Some("example.com"), true).clear(Name::Session);
        assert_eq!(
            value.to_str().unwrap(),
            "__Secure-portcullis=; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=example.com; Max-Age=0"
        );
    }

    #[test]
    fn session_cookie_ends_with_the_session_or_with_the_browser() {
        let set = |persistence| {
            let settings = CookieSettings { persistence, ..CookieSettings::default() };
            let cookies = Cookies::new(&settings, true, SameSite::Lax);
            let value = cookies.set_session("v".into(), Duration::from_secs(60));
            value.to_str().unwrap().contains("Max-Age=60")
        };
        assert!(set(Persistence::Session));
        assert!(!set(Persistence::Browser));
    }

    #[test]
    fn long_path_on_a_deep_host_gets_few_set_cookies_of_accepted_length() {
        let (host, path) = ("a.".repeat(120) + "example.com", "/a".repeat(8000));
        for turn in [0, 1 << 10, 1 << 20, usize::MAX] {
            let cleared = cookies(Some("example.com"), true).clear_tossed(&host, &path, turn);
            assert!(cleared.len() <= MOST_CLEARED + 1);
            assert!(cleared.iter().all(|line| line.len() < 1500), "{turn}");
        }
    }

    #[test]
    fn tossed_cookie_is_cleared_for_every_domain_and_path() {
        let cleared = cookies(Some("example.com"), true).clear_tossed("a.example.com", "/b/c", 0);
        let places: Vec<_> = cleared
            .iter()
            .map(|line| Cookie::parse(line.to_str().unwrap()).unwrap())
            .map(|cookie| {
                assert!(cookie.max_age() == Some(time::Duration::ZERO), "{cookie}");
                (cookie.path().unwrap().to_owned(), cookie.domain().map(str::to_owned))
            })
            .collect();
        let domains = [None, Some("a.example.com"), Some("example.com")];
        let expected = ["/", "/b", "/b/", "/b/c"]
            .iter()
            .flat_map(|path| domains.map(|domain| ((*path).to_owned(), domain.map(str::to_owned))));
        assert_eq!(places, expected.collect::<Vec<_>>());
    }

    #[test]
    fn every_domain_and_path_is_cleared_in_some_turn() {
        let cookies = cookies(Some("example.com"), true);
        let cleared = |turn| cookies.clear_tossed("a.b.example.com", "/1/2/3/4", turn);
        let all: HashSet<_> = (0..40).flat_map(cleared).collect();
        assert_eq!((all.len(), cleared(0).len(), cleared(9).len()), (4 * 8, 16, 17));
    }

    #[test]
    fn clearing_is_bounded_and_sets_no_attribute_that_a_client_chose() {
        let cookies = cookies(None, false);
        let cleared = |host, path: &str| cookies.clear_tossed(host, path, 0);
        let counts = ["/", "/a", "/a/"].map(|path| cleared("localhost", path).len());
        assert_eq!(counts, [1, 2, 3]);
        assert_eq!(cleared("localhost", &"/a".repeat(1000)).len(), MOST_CLEARED);
        assert_eq!(cleared("127.0.0.1", "/").len(), 1);
        for path in ["/; Max-Age=9", "/a\r\nb"] {
            let cleared = cleared("localhost", path);
            assert_eq!(cleared, ["portcullis=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"]);
        }
    }

    #[test]
    fn different_values_under_one_name_are_a_conflict() {
        let cookies = cookies(None, false);
        let check =
            |text, expected| assert_eq!(cookies.sent(&request(text), Name::Session), expected);
        check("a=b; portcullis=1", Sent::Value("1"));
        check("portcullis=1; portcullis=1", Sent::Value("1"));
        check("portcullis=1; portcullis=2", Sent::Conflict);
        check("Portcullis=1; xportcullis=2", Sent::Nothing);
    }

    #[test]
    fn own_cookies_are_removed_from_requests() {
        let cookies = cookies(None, false);
        let check = |text, expected: Option<&str>| {
            let mut headers = request(text);
            cookies.strip_request(&mut headers);
            assert_eq!(
                headers.get(COOKIE).map(|value| value.to_str().unwrap()),
                expected,
                "{text}"
            );
        };
        check("portcullis=1", None);
        check("a=1; portcullis=1;b=2 ; portcullis-login=3", Some("a=1; b=2"));
        check("a=1;b=2", Some("a=1;b=2"));
        check("flag; portcullis=1; =x=y; z==", Some("flag; =x=y; z=="));
    }

    #[test]
    fn pair_that_is_not_utf8_hides_no_other() {
        let cookies = cookies(None, false);
        let value = HeaderValue::from_bytes(b"a=\xff; portcullis=1; \xe4=2").unwrap();
        let mut headers = HeaderMap::from_iter([(COOKIE, value)]);
        assert_eq!(cookies.sent(&headers, Name::Session), Sent::Value("1"));
        cookies.strip_request(&mut headers);
        assert_eq!(headers[COOKIE].as_bytes(), b"a=\xff; \xe4=2");
    }

    #[test]
    fn own_cookies_are_removed_from_responses_in_every_spelling() {
        let cookies = cookies(None, false);
        let mut headers = HeaderMap::new();
        for value in [
            "portcullis=evil; Path=/",
            "a=1",
            "  portcullis-login =x",
            "=portcullis=evil",
            "= portcullis = evil",
            "portcullis",
            "=portcullis",
        ] {
            headers.append(SET_COOKIE, HeaderValue::from_static(value));
        }
        cookies.strip_response(&mut headers);
        let kept: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(kept, ["a=1"]);
    }
}
