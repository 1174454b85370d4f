//! An origin: scheme, host and port (RFC 6454), the unit of a browser's same-origin policy.
//! Invariant: the host is lower case ASCII without a trailing dot; a default port is not written.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use url::{Host, Url};

/// `http://HOST[:PORT]` or `https://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    https: bool,
    /// A DNS name, an IPv4 address, or an IPv6 address in brackets.
    host: String,
    port: u16,
}

/// The reason why a text is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnOrigin {
    /// It does not start with `http://` or `https://`.
    #[error("must start with http:// or https://")]
    Scheme,
    /// It is not a URL.
    #[error("is not a URL: {0}")]
    Url(String),
    /// It has a path, query, fragment or credentials.
    #[error("must be an origin only: scheme, host and port, without path, query or user")]
    More,
}

impl Origin {
    /// Parses `SCHEME://HOST[:PORT]`. A single `/` may follow.
    pub fn parse(text: &str) -> Result<Self, NotAnOrigin> {
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Err(NotAnOrigin::Scheme);
        }
        let url = Url::parse(text).map_err(|error| NotAnOrigin::Url(error.to_string()))?;
        let only = matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !only {
            return Err(NotAnOrigin::More);
        }
        Self::of(&url).ok_or(NotAnOrigin::Scheme)
    }

    /// The origin of an `http` or `https` URL.
    pub fn of(url: &Url) -> Option<Self> {
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = url.host_str()?;
        let host = host.strip_suffix('.').unwrap_or(host).to_owned();
        Some(Self { https, host, port: url.port_or_known_default()? })
    }

    /// The URL with the path and query of another one, at this origin.
    pub fn at(&self, url: &Url) -> Option<Url> {
        // Not joined: a path that begins with `//` would name another host.
        let mut here = Url::parse(&self.to_string()).ok()?;
        here.set_path(url.path());
        here.set_query(url.query());
        Some(here)
    }

    /// The origin of the value of a `Host` field. The default port is that of the scheme.
    pub fn of_host(https: bool, host: &str, port: Option<u16>) -> Self {
        let port = port.unwrap_or(if https { 443 } else { 80 });
        if is_normal(host) {
            return Self { https, host: host.to_owned(), port };
        }
        // A host that is invalid to a browser, such as an address out of range, is only lower-cased.
        let host = Host::parse(host)
            .map_or_else(|_| host.to_ascii_lowercase(), |normal| normal.to_string());
        let host = host.strip_suffix('.').unwrap_or(&host).to_owned();
        Self { https, host, port }
    }

    /// Whether the scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// The host; an IPv6 address is in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, by default that of the scheme.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `HOST[:PORT]`, as in a `Host` field.
    pub fn authority(&self) -> String {
        match self.written_port() {
            None => self.host.clone(),
            Some(port) => format!("{}:{port}", self.host),
        }
    }

    /// The URL of a path and query at this origin.
    pub fn url(&self, path: &str) -> String {
        // Each 401 has such a URL, and a formatter would cost several times as much.
        let mut url = String::with_capacity(LONGEST_REST + self.host.len() + path.len());
        url.push_str(self.scheme());
        url.push_str("://");
        url.push_str(&self.host);
        if let Some(port) = self.written_port() {
            url.push(':');
            url.push_str(itoa::Buffer::new().format(port));
        }
        url.push_str(path);
        url
    }

    /// The host, in one form for each machine as far as the host shows it: this machine has several names.
    pub fn machine(&self) -> Cow<'_, str> {
        match self.address().map(|address| address.to_canonical()) {
            // Linux takes an unspecified address for this machine's.
            Some(it) if it.is_unspecified() || it.is_loopback() => LOCALHOST.into(),
            Some(other) => other.to_string().into(),
            None if self.is_loopback() => LOCALHOST.into(),
            None => self.host.as_str().into(),
        }
    }

    /// The port, if it is not the default of the scheme.
    pub fn written_port(&self) -> Option<u16> {
        let default = if self.https { 443 } else { 80 };
        (self.port != default).then_some(self.port)
    }

    /// Whether the host is `localhost`, a name below it, or a loopback address.
    pub fn is_loopback(&self) -> bool {
        self.host == LOCALHOST
            || self.host.ends_with(".localhost")
            || self.address().is_some_and(|address| address.is_loopback())
    }

    /// Whether the host is an IP address.
    pub fn is_address(&self) -> bool {
        self.address().is_some()
    }

    /// The host, if it is an address.
    fn address(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url(""))
    }
}

const LOCALHOST: &str = "localhost";

/// The length of `https://` and `:65535`.
const LONGEST_REST: usize = 14;

/// Whether a host is in the form to which a browser would bring it. It need not find all that are: it saves the
/// parser of URLs for nearly every request.
fn is_normal(host: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
    };
    if !host.bytes().all(plain) {
        return false;
    }
    match host.rsplit('.').next().and_then(|label| label.bytes().next()) {
        // A name whose last label begins with a letter is no address. An `xn--` label may be invalid.
        Some(b'a'..=b'z') => !host.contains("xn--"),
        // `127.1` and `017.0.0.1` are addresses in another form.
        Some(b'0'..=b'9') => host.parse::<Ipv4Addr>().is_ok(),
        Some(_) | None => false,
    }
}

/// Whether this is a DNS name in its preferred form (RFC 1123 §2.1). Underscores are allowed: container names have
/// them.
pub fn is_name(name: &str) -> bool {
    let bare = name.strip_suffix('.').unwrap_or(name);
    bare.len() <= 253 && bare.as_bytes().split(|byte| *byte == b'.').all(is_label)
}

fn is_label(label: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
    (1..=63).contains(&label.len())
        && label.iter().all(plain)
        && !label.starts_with(b"-")
        && !label.ends_with(b"-")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, NotAnOrigin>) {
        let origin = Origin::parse(text).map(|origin| origin.to_string());
        assert_eq!(origin, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn origin_is_normalized() {
        check("https://Wiki.Example.com:443/", Ok("https://wiki.example.com"));
        check("http://localhost:4180", Ok("http://localhost:4180"));
        check("http://[::1]:80", Ok("http://[::1]"));
        check("https://a.example.", Ok("https://a.example"));
    }

    #[test]
    fn host_field_and_url_have_the_same_origin() {
        let check = |https, host, port, expected| {
            let origin = Origin::of_host(https, host, port);
            assert_eq!(origin, Origin::parse(expected).unwrap(), "{host}");
        };
        check(true, "wiki.example", Some(443), "https://wiki.example");
        check(true, "Wiki.Example.", None, "https://wiki.example");
        check(false, "wiki.example", Some(443), "http://wiki.example:443");
        check(false, "[0::1]", Some(80), "http://[::1]");
        check(false, "127.0.0.1", None, "http://127.0.0.1");
        check(false, "127.1", Some(8080), "http://127.0.0.1:8080");
        check(false, "0x7f.1", None, "http://127.0.0.1");
        let odd = Origin::of_host(true, "999.999.999.999", Some(443));
        assert_eq!(odd.to_string(), "https://999.999.999.999");
    }

    proptest! {
        #[test]
        fn normal_host_is_what_a_browser_makes_of_it(host in "[a-z0-9.-]{0,6}|(xn--|[0-9]{1,3}|[.]|[a-z]|0x[0-9a-f]|-){0,8}") {
            if is_normal(&host) {
                let parsed = Host::parse(&host).map(|host| host.to_string());
                prop_assert!(parsed.as_ref().is_ok_and(|parsed| *parsed == host), "{:?}", parsed);
            }
        }
    }

    #[test]
    fn text_that_is_not_only_an_origin_is_rejected() {
        check("wiki.example.com", Err(NotAnOrigin::Scheme));
        check("ftp://wiki.example.com", Err(NotAnOrigin::Scheme));
        check("https://wiki.example.com/app", Err(NotAnOrigin::More));
        check("https://me@wiki.example.com", Err(NotAnOrigin::More));
    }

    #[test]
    fn machine_is_the_same_for_each_of_its_names() {
        let machine = |host: &str| Origin::of_host(false, host, None).machine().into_owned();
        for host in [
            "LocalHost",
            "a.localhost.",
            "127.0.0.1",
            "127.0.0.2",
            "127.1",
            "[::1]",
            "0.0.0.0",
            "[::]",
        ] {
            assert_eq!(machine(host), "localhost", "{host}");
        }
        assert_eq!(machine("[::ffff:127.0.0.1]"), "localhost");
        assert_eq!(machine("[::ffff:10.0.0.1]"), "10.0.0.1");
        for host in ["128.0.0.1", "wiki.example", "localhost.example"] {
            assert_eq!(machine(host), host);
        }
    }

    #[test]
    fn loopback_is_recognized_by_name_and_address() {
        for text in ["http://localhost", "http://a.localhost", "http://127.0.0.9", "http://[::1]"] {
            assert!(Origin::parse(text).unwrap().is_loopback(), "{text}");
        }
        assert!(!Origin::parse("http://localhost.example").unwrap().is_loopback());
    }
}
