//! `HOST[:PORT]`, the value of a `Host` field or `:authority` (RFC 9110 §7.2).
//! Invariant: the host is a DNS name or an IP literal and the port is a number, which hyper does not check.

use std::net::Ipv6Addr;

use http::HeaderValue;

use crate::origin::is_name;

/// A valid authority in its original spelling, or an absent one, which is empty. Compare case-insensitively.
#[derive(Clone, Debug)]
pub struct Authority {
    text: HeaderValue,
    host: usize,
    port: Option<u16>,
}

impl Authority {
    /// Parses a field's value. Returns `None` if it is empty, has user information, or has an empty port.
    pub fn parse(value: HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let rest = match text.strip_prefix('[') {
            Some(literal) => {
                let (address, rest) = literal.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                rest
            }
            None => {
                let end = text.bytes().position(|byte| byte == b':').unwrap_or(text.len());
                let (name, rest) = text.split_at_checked(end)?;
                is_name(name).then_some(rest)?
            }
        };
        let host = text.len() - rest.len();
        let port = match rest.strip_prefix(':') {
            Some(digits) => Some(port(digits)?),
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Self { text: value, host, port })
    }

    /// The authority of an HTTP/1.0 request without `Host`: an empty text.
    pub(super) fn absent() -> Self {
        Self { text: HeaderValue::from_static(""), host: 0, port: None }
    }

    /// Host and port.
    pub fn as_str(&self) -> &str {
        self.text.to_str().unwrap_or_default()
    }

    /// The host; an IPv6 address is in brackets.
    pub fn host(&self) -> &str {
        self.as_str().get(..self.host).unwrap_or_default()
    }

    /// The port, if it is written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Host and port as a header value; shares the text.
    pub fn to_value(&self) -> HeaderValue {
        self.text.clone()
    }

    /// Whether both are equal, compared case-insensitively.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        self.text.as_bytes().eq_ignore_ascii_case(other.text.as_bytes())
    }
}

fn port(digits: &str) -> Option<u16> {
    // `u16` would also parse a sign.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &'static str, expected: Option<(&str, Option<u16>)>) {
        let authority = Authority::parse(HeaderValue::from_static(text));
        let parts = authority.as_ref().map(|authority| (authority.host(), authority.port()));
        assert_eq!(parts, expected, "{text:?}");
    }

    #[test]
    fn name_and_ip_literal_are_valid() {
        check("wiki.example.com", Some(("wiki.example.com", None)));
        check("Wiki.Example.com.:8443", Some(("Wiki.Example.com.", Some(8443))));
        check("my_app-1:0", Some(("my_app-1", Some(0))));
        check("a--b.c", Some(("a--b.c", None)));
        check("127.0.0.1:65535", Some(("127.0.0.1", Some(65535))));
        check("[::1]", Some(("[::1]", None)));
        check("[2001:db8::1]:80", Some(("[2001:db8::1]", Some(80))));
    }

    #[test]
    fn malformed_authority_is_rejected() {
        for text in [
            "",
            ".",
            ":80",
            "a@b",
            "a/b",
            "a:b",
            "a:",
            "a:65536",
            "a:+80",
            "a:80:80",
            "a b",
            "a,b",
            "a..b",
            "-a",
            "a-",
            "a.-b",
            "a-.b",
            ".a",
            "-",
            "a%20b",
            "a?b",
            "a#b",
            "a\\b",
            "::1",
            "[::1",
            "[::1]a",
            "[::1%25eth0]",
            "[::1]:",
            "[1.2.3.4]",
            "u:p@a",
        ] {
            check(text, None);
        }
        assert!(Authority::parse(HeaderValue::from_bytes(b"\xc3\xa4.example").unwrap()).is_none());
        assert!(Authority::parse(HeaderValue::from_str(&"a".repeat(64)).unwrap()).is_none());
    }
}
