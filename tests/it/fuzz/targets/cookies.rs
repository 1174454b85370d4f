//! `Cookie` and `Set-Cookie` of any bytes (RFC 6265bis).
//! Invariants: our cookies are found as the simplest of all parsers finds them, none of them goes on to the
//! application, every other cookie does, and the application cannot set a cookie of the gateway.

use http::header::{COOKIE, HeaderValue, SET_COOKIE};
use http::{HeaderMap, HeaderName};
use portcullis::server::Authority;
use portcullis::session::cookie::{Cookies, Name, Sent};
use portcullis::session::{CookieSettings, SameSite};

/// Takes fields, one a line.
pub fn run(data: &[u8]) {
    let https = CookieSettings { domain: Some("example.com".to_owned()), ..Default::default() };
    for (cookies, names) in [
        (Cookies::new(&CookieSettings::default(), false, SameSite::Lax), PLAIN),
        (Cookies::new(&https, true, SameSite::None), SECURE),
    ] {
        requests(&cookies, &names, data);
        responses(&cookies, &names, data);
    }
    cleared(&Cookies::new(&https, true, SameSite::None), data);
}

fn requests(cookies: &Cookies, names: &[&str; 3], data: &[u8]) {
    let mut headers = fields(COOKIE, data);
    let before = values(&headers);
    for (name, text) in [Name::Session, Name::Login, Name::LoginTarget].into_iter().zip(names) {
        let mut found: Vec<&[u8]> = under(&before, text).collect();
        found.dedup();
        let expected = match found.as_slice() {
            [] => Sent::Nothing,
            // What is no text counts as an empty value.
            [one] => Sent::Value(str::from_utf8(one).unwrap_or_default()),
            _ => Sent::Conflict,
        };
        assert_eq!(cookies.sent(&headers, name), expected, "{text}");
        let texts = under(&before, text).filter_map(|value| str::from_utf8(value).ok());
        assert!(cookies.all_sent(&headers, name).eq(texts), "{text}");
    }
    cookies.strip_request(&mut headers);
    let after = values(&headers);
    let others = before.iter().filter(|(name, _)| !is_one_of(names, name));
    assert!(after.iter().eq(others), "{:?}", headers.get_all(COOKIE));
}

fn responses(cookies: &Cookies, names: &[&str; 3], data: &[u8]) {
    let mut headers = fields(SET_COOKIE, data);
    let all: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    cookies.strip_response(&mut headers);
    let left: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    // A browser keeps `=a=b` without a name and sends it as `a=b`. `a` alone has no name either, but some
    // applications read it as one.
    let comes_back = |value: &HeaderValue| {
        let pair = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        let sent = pair.trim_ascii().strip_prefix(b"=").unwrap_or(pair.trim_ascii());
        let name = sent.split(|byte| *byte == b'=').next().unwrap_or_default();
        is_one_of(names, name.trim_ascii())
    };
    let expected = all.iter().filter(|value| !comes_back(value));
    assert!(left.iter().eq(expected), "{left:?}");
}

/// A challenge removes tossed cookies, at places that the visitor's host and path name.
fn cleared(cookies: &Cookies, data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (host, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return;
    }
    let Some(authority) = HeaderValue::from_str(host).ok().and_then(Authority::parse) else {
        return;
    };
    let (host, path) = (authority.host(), if path.is_empty() { "/" } else { path });
    for turn in [0, data.len()] {
        let cleared = cookies.clear_tossed(host, path, turn);
        assert!((1..=17).contains(&cleared.len()), "{} fields", cleared.len());
        for value in cleared {
            let value = value.to_str().unwrap();
            assert!(value.starts_with("__Secure-portcullis=; "), "{value}");
            let count =
                |word: &str| value.split("; ").filter(|part| part.starts_with(word)).count();
            assert_eq!(
                (count("Max-Age=0"), count("Max-Age"), count("Path=/")),
                (1, 1, 1),
                "{value}"
            );
            assert!(count("Path") == 1 && count("Domain") <= 1, "{value}");
        }
    }
}

fn fields(name: HeaderName, data: &[u8]) -> HeaderMap {
    let lines = data.split(|byte| *byte == b'\n').take(8);
    let values = lines.filter_map(|line| HeaderValue::from_bytes(line).ok());
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(&name, value);
    }
    headers
}

/// Name and value of every pair that is not empty.
fn values(headers: &HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    let fields = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let pairs = fields.flat_map(|field| field.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    pairs.filter(|pair| !pair.is_empty()).map(halves).collect()
}

/// A pair without `=` is a value without a name (RFC 6265bis §5.7).
fn halves(pair: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let pair = pair.trim_ascii();
    match pair.iter().position(|byte| *byte == b'=') {
        None => (Vec::new(), pair.to_vec()),
        Some(at) => (pair[..at].trim_ascii().to_vec(), pair[at + 1..].trim_ascii().to_vec()),
    }
}

fn under<'a>(
    values: &'a [(Vec<u8>, Vec<u8>)],
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let named = values.iter().filter(move |(known, _)| known == name.as_bytes());
    named.map(|(_, value)| value.as_slice())
}

fn is_one_of(names: &[&str], name: &[u8]) -> bool {
    names.iter().any(|known| known.as_bytes() == name)
}

const PLAIN: [&str; 3] = ["portcullis", "portcullis-login", "portcullis-login-target"];
const SECURE: [&str; 3] =
    ["__Secure-portcullis", "__Host-portcullis-login", "__Host-portcullis-login-target"];
