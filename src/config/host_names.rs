//! Hosts of URLs and of addresses: a URL parser takes more than any resolver knows.

use std::net::Ipv6Addr;

use crate::config::invalid::Invalid;
use crate::server::is_name;

/// The longest name and the longest label of one (RFC 1035 §2.3.4).
const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Checks a host: a name, or an address, in brackets if it is IPv6.
pub(super) fn check_host(host: &str) -> Result<(), Invalid> {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if bracketed.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok()) || is_name(host) {
        return Ok(());
    }
    if host.len() > LONGEST || host.split('.').any(|label| label.len() > LONGEST_LABEL) {
        return Err(Invalid::new(format!(
            "has a host that is too long: {LONGEST_LABEL} between two dots, {LONGEST} in all"
        )));
    }
    if host.contains('*') {
        return Err(Invalid::new("has a * in its host").hint("write the name of one host"));
    }
    Err(Invalid::new("has a host that is no host's name")
        .hint("a name is letters, digits and -, divided by dots"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_hosts() {
        for good in ["localhost", "a.example.", "my_app", "10.0.0.1", "[::1]"] {
            assert_eq!(check_host(good), Ok(()), "{good}");
        }
        let long = "a".repeat(64);
        for invalid in ["", "a..b", "*.a.example", "{host}", "-a", "::1", &long] {
            assert!(check_host(invalid).is_err(), "{invalid}");
        }
    }
}
