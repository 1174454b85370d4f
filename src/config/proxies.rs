//! `server.trusted_proxies`, and what is read from them: `server.client_address_header`.

use http::HeaderName;
use ipnet::IpNet;

use crate::config::address;
use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::header_names;
use crate::config::invalid::Invalid;
use crate::config::section::Section;
use crate::server::TrustedProxies;

/// The trusted proxies, and the header with the client's address if it is not `X-Forwarded-For`.
pub(super) fn settings(
    server: &Section<'_>,
) -> Result<(TrustedProxies, Option<HeaderName>), Reported> {
    let trusted = trusted_proxies(&server.field("trusted_proxies"));
    let header = server.field("client_address_header").optional(address_header);
    Ok((trusted?, header?))
}

fn trusted_proxies(field: &Field<'_>) -> Result<TrustedProxies, Reported> {
    let peers = field.list(|text| match text {
        "unix" => Ok(None),
        network => address::proxy_network(network).map(Some),
    })?;
    let meant = |(at, network): (_, Option<_>)| Some(address::without_host(network?, field, at));
    let unix = peers.contains(&None);
    let networks: Vec<IpNet> = peers.into_iter().enumerate().filter_map(meant).collect();
    // SECURITY: if every peer is trusted, every client can forge its address and host (CVE-2026-76835).
    if address::covers_the_internet(&networks) {
        let invalid = Invalid::new(
            "together cover the whole internet, so every client could forge X-Forwarded headers",
        )
        .hint("list only the addresses of your proxies, such as 10.0.0.0/8");
        return Err(field.error(&invalid));
    }
    Ok(TrustedProxies { unix, networks })
}

fn address_header(text: &str) -> Result<HeaderName, Invalid> {
    let name = header_names::plain(text)?;
    if header_names::is_in_use(&name) && !header_names::is_address(&name) {
        let hint = match name.as_str() {
            "forwarded" => "let the proxy send X-Forwarded-For: Portcullis never reads Forwarded",
            _ => {
                "write the header in which your proxy sends the address, such as X-Real-IP or CF-Connecting-IP"
            }
        };
        return Err(Invalid::new("is not a header for the client's address").hint(hint));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_address_header_has_one_spelling_and_no_other_purpose() {
        for name in ["X-Real-IP", "cf-connecting-ip", "X-Forwarded-For", "Fastly-Client-IP"] {
            assert_eq!(address_header(name).unwrap().as_str(), name.to_ascii_lowercase());
        }
        for name in ["", "X_Real_IP", "X.Real", "a b", "Forwarded", "Host", "X-Forwarded-Host"] {
            assert!(address_header(name).is_err(), "{name}");
        }
    }
}
