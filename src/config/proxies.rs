//! `server.trusted_proxies`, and what is read from them: `server.client_address_header`, `server.proxy_protocol`.

use http::HeaderName;
use ipnet::IpNet;

use crate::config::address;
use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::header_names;
use crate::config::invalid::Invalid;
use crate::config::section::Section;
use crate::server::{ForwardAuthClient, ProxyProtocol, Settings, TrustedProxies};

/// The trusted proxies, and the header with the client's address if it is not `X-Forwarded-For`.
pub(super) fn settings(
    server: &Section<'_>,
) -> Result<(TrustedProxies, Option<HeaderName>), Reported> {
    let trusted = trusted_proxies(&server.field("trusted_proxies"));
    let header = server.field("client_address_header").optional(address_header);
    Ok((trusted?, header?))
}

/// Whether trusted proxies announce their clients.
pub(super) fn protocol(server: &Section<'_>) -> Result<ProxyProtocol, Reported> {
    server.field("proxy_protocol").flag().map(|on| match on {
        true => ProxyProtocol::On,
        false => ProxyProtocol::Off,
    })
}

/// Warns about settings that the PROXY protocol contradicts.
pub(super) fn warnings(server: &Section<'_>, settings: &Settings) {
    if settings.proxy_protocol == ProxyProtocol::Off {
        return;
    }
    let warn = |invalid: Invalid| {
        server.diagnostics.warning(&server.path.key("proxy_protocol"), &invalid);
    };
    let Settings { trusted_proxies: trusted, forward_auth, .. } = settings;
    if *trusted == TrustedProxies::default() {
        warn(
            Invalid::new("closes every connection that begins with a PROXY header: there are no `trusted_proxies`")
                .hint("list your load balancers: `trusted_proxies: [10.0.0.0/8]`"),
        );
    }
    let common = |client: &ForwardAuthClient| {
        client.unix && trusted.unix
            || client
                .networks
                .iter()
                .any(|one| trusted.networks.iter().any(|it| it.contains(one) || one.contains(it)))
    };
    if forward_auth.listen.is_none() && forward_auth.clients.iter().any(common) {
        warn(
            Invalid::new(
                "closes the connections of forward auth clients that are `trusted_proxies`, too: they do not send \
                 the PROXY header with their auth subrequests",
            )
            .hint("set `forward_auth.listen`: the PROXY protocol is not read there"),
        );
    }
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
