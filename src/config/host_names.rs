//! Checks of host names: a URL parser accepts names that no resolver knows, and some names belong to everyone.

use std::net::Ipv6Addr;

use crate::config::invalid::Invalid;
use crate::origin::is_name;

/// Maximum length of a name and of a label (RFC 1035 §2.3.4).
const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Checks a host: a name or an address, in brackets if it is IPv6.
pub(super) fn check_host(host: &str) -> Result<(), Invalid> {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if bracketed.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok()) || is_name(host) {
        return Ok(());
    }
    if host.len() > LONGEST || host.split('.').any(|label| label.len() > LONGEST_LABEL) {
        return Err(Invalid::new(format!(
            "has a host name that is too long: at most {LONGEST_LABEL} characters between dots, {LONGEST} in total"
        )));
    }
    if host.contains('*') {
        return Err(Invalid::new("has a `*` in the host").hint("write the name of one host"));
    }
    Err(Invalid::new("has an invalid host name")
        .hint("use letters, digits and -, separated by dots"))
}

/// Whether a domain is a public suffix, below which anyone can register names: `co.uk`, `duckdns.org`.
pub(super) fn is_public_suffix(domain: &str) -> bool {
    // A name that matches no rule of the list is not a public suffix: `corp.internal`.
    psl::suffix(domain.as_bytes()).is_some_and(|suffix| suffix.is_known() && suffix == domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_a_name_or_an_address() {
        for good in ["localhost", "a.example.", "my_app", "10.0.0.1", "[::1]"] {
            assert_eq!(check_host(good), Ok(()), "{good}");
        }
        let long = "a".repeat(64);
        for invalid in ["", "a..b", "*.a.example", "{host}", "-a", "::1", &long] {
            assert!(check_host(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn public_suffix_is_recognized_and_private_domain_is_not() {
        for suffix in ["co.uk", "duckdns.org", "github.io", "com", "foo.ck", "xn--p1ai"] {
            assert!(is_public_suffix(suffix), "{suffix}");
        }
        for domain in [
            "example.com",
            "example.co.uk",
            "me.duckdns.org",
            "internal",
            "corp.internal",
            "lan",
            "www.ck",
        ] {
            assert!(!is_public_suffix(domain), "{domain}");
        }
    }
}
