//! Exact and wildcard hosts. They are compared case-insensitively, without the port and one trailing dot
//! (RFC 9110 §4.2.3).
//! Invariant: a `HostPattern` contains lower case ASCII only.

use std::borrow::Cow;

/// The host that a route is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// `wiki.example.com`.
    Exact(String),
    /// `*.example.com`: every subdomain, but not `example.com` itself. Contains `example.com`.
    Below(String),
    /// `"*"`.
    Any,
}

impl HostPattern {
    /// Parses a host, `*.HOST` or `*`. The error continues a sentence and does not quote the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        if name.contains('*') {
            return Err("can have a `*` only as the whole first label: *.example.com".into());
        }
        if name.contains("://") || name.contains('/') {
            return Err("must be a host, without scheme and path".into());
        }
        let host = match url::Host::parse(name) {
            Ok(host) => host.to_string(),
            Err(_) if name.contains(':') => return Err("must be a host, without a port".into()),
            Err(_) => return Err("is not a host name".into()),
        };
        let host = host.strip_suffix('.').unwrap_or(&host).to_owned();
        if host.split('.').any(str::is_empty) {
            return Err("is not a host name: it has two dots in a row".into());
        }
        Ok(if below { Self::Below(host) } else { Self::Exact(host) })
    }

    /// Whether a host in normal form matches.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Below(name) => is_below(host, name),
            Self::Any => true,
        }
    }
}

/// The normal form of a host, for comparison with patterns: lower case, without one trailing dot; an address as a
/// browser writes it.
// SECURITY: a second spelling of a host must not find a weaker route than the first.
pub fn normal(host: &str) -> Cow<'_, str> {
    let name = host.strip_suffix('.').unwrap_or(host);
    if let Some(address) = host.starts_with('[').then(|| url::Host::parse(host).ok()).flatten() {
        address.to_string().into()
    } else if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        // This is so for nearly every host.
        name.into()
    }
}

/// Whether `host` is a subdomain of `domain`.
pub fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|left| left.len() > 1 && left.ends_with('.'))
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, host: &str, expected: bool) {
        assert_eq!(
            HostPattern::parse(pattern).unwrap().matches(host),
            expected,
            "{pattern} {host}"
        );
    }

    #[test]
    fn patterns_match_whole_labels() {
        check("Wiki.Example.com.", "wiki.example.com", true);
        check("*.example.com", "a.b.example.com", true);
        check("*.example.com", "example.com", false);
        check("*.example.com", "badexample.com", false);
        check("*.example.com", ".example.com", false);
        check("*", "anything", true);
        check("bücher.example", "xn--bcher-kva.example", true);
        check("[::1]", "[::1]", true);
    }

    #[test]
    fn host_has_one_normal_form() {
        for (host, expected) in [
            ("Wiki.Example.COM.", "wiki.example.com"),
            ("wiki.example.com..", "wiki.example.com."),
            ("[0:0::1]", "[::1]"),
            ("[::FFFF:127.0.0.1]", "[::ffff:7f00:1]"),
            ("[wiki]", "[wiki]"),
        ] {
            assert_eq!(normal(host), expected);
        }
    }

    #[test]
    fn text_that_is_no_host_is_rejected() {
        for wrong in ["", "a*.example.com", "*.*.com", "https://a.com", "a.com:80", "a b", "a/b"] {
            assert!(HostPattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
