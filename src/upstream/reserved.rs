//! Request headers that only a proxy in front of an application may set: the user, the origin of the request, and
//! instructions to proxies and frameworks.
//! Invariant: a client's own never reaches an upstream, on any route. Each name has one spelling here, because the
//! server drops names with anything but letters, digits and hyphens (`server::request_head`). The configured identity
//! headers are in `identity::headers`.

/// Whether a name, in lower case, is reserved for proxies.
// SECURITY: an application that trusts one of these would trust the client.
pub(super) fn is_reserved(name: &str) -> bool {
    names_an_address(name) || (STARTS & start(name.as_bytes()) != 0 && is_listed(name))
}

/// Whether a name, in any spelling, is reserved for a header that describes a user. A proxy in front of this one sets the
/// others itself.
pub fn describes_user(name: &str) -> bool {
    let fold =
        |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    let name: String = name.bytes().map(fold).map(char::from).collect();
    is_reserved(&name) && OF_USERS.iter().any(|begin| name.starts_with(begin))
}

/// The usual endings of headers with a client's address: `Fastly-Client-IP`, `CF-Connecting-IP`.
fn names_an_address(name: &str) -> bool {
    matches!(name.as_bytes().last(), Some(b'p' | b'r'))
        && ADDRESS_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The last entry that does not sort after the name is the only one that can match it.
fn is_listed(name: &str) -> bool {
    let after = RESERVED.partition_point(|entry| entry.trim_end_matches('*') <= name);
    let entry = after.checked_sub(1).and_then(|at| RESERVED.get(at)).copied().unwrap_or_default();
    entry.strip_suffix('*').map_or(entry == name, |family| name.starts_with(family))
}

/// A bit for the first two bytes of a name. Most names in requests begin with other bytes.
const fn start(name: &[u8]) -> u128 {
    match name {
        [first, second, ..] => 1 << ((first.wrapping_mul(31) ^ *second) % 128),
        [_] | [] => 0,
    }
}

/// The bits of all entries.
const STARTS: u128 = {
    let (mut starts, mut rest) = (0, RESERVED.as_slice());
    while let Some((entry, after)) = rest.split_first() {
        starts |= start(entry.as_bytes());
        rest = after;
    }
    starts
};

const ADDRESS_ENDINGS: [&str; 6] =
    ["client-ip", "clientip", "connecting-ip", "real-ip", "user-ip", "forwarded-for"];

/// How the reserved names begin that describe a user.
#[rustfmt::skip]
const OF_USERS: [&str; 25] = [
    "cf-access-authenticated-user-email", "iv-", "oam-", "oidc-", "remote-", "shib-", "sm-user", "tailscale-",
    "x-amzn-oidc-", "x-anonymous-consumer", "x-auth-request-", "x-authenticated-", "x-authentik-", "x-consumer-",
    "x-credential-", "x-goog-authenticated-user-", "x-hass-", "x-ms-client-principal", "x-ms-token-",
    "x-pomerium-claim-", "x-proxy-remote-user", "x-proxy-user", "x-remote-", "x-vouch-", "x-webauth-",
];

/// Names; with `*`, all names that begin so. Sorted, and no entry covers another.
#[rustfmt::skip]
const RESERVED: [&str; 84] = [
    "cdn-src-ip",
    // Signed assertions such as `Cf-Access-Jwt-Assertion` are forwarded: their signature proves them.
    "cf-access-authenticated-user-email",
    "cf-connecting-*",
    "cf-pseudo-ipv4",
    "cf-visitor",
    // RFC 9440 §2.4: must be removed from requests of clients.
    "client-cert*",
    "dtab-*",
    "fastly-client*",
    "fastly-ssl",
    "fly-forwarded-*",
    "forwarded*",
    "front-end-https",
    // IBM WebSEAL.
    "iv-*",
    // Linkerd: `l5d-dst-override` changes the destination.
    "l5d-*",
    // Oracle Access Manager, mod_auth_openidc.
    "oam-*",
    "oidc-*",
    // Authelia and many applications.
    "remote-*",
    "script-name",
    "shib-*",
    "sm-user*",
    "ssl-*",
    "tailscale-*",
    "wl-proxy-*",
    // Also read from requests: CVE-2025-61780 (Rack), CVE-2026-7381 (Plack).
    "x-accel-*",
    "x-amzn-mtls-*",
    "x-amzn-oidc-*",
    "x-anonymous-consumer",
    "x-appengine-*",
    "x-arr-*",
    "x-auth-request-*",
    "x-authenticated-*",
    "x-authentik-*",
    "x-azure-socketip",
    "x-client-cert*",
    "x-client-dn",
    "x-client-subject*",
    "x-client-verify",
    // Kong and APISIX.
    "x-consumer-custom-id",
    "x-consumer-groups",
    "x-consumer-id",
    "x-consumer-username",
    "x-credential-identifier",
    "x-credential-username",
    // `x-envoy-original-dst-host` changes the destination.
    "x-envoy-*",
    "x-forward*",
    "x-goog-authenticated-user-*",
    "x-hass-*",
    "x-host",
    "x-host-override",
    "x-http-host-override",
    "x-https",
    "x-ingress-path",
    // Next.js: CVE-2025-29927. Its own pages send `x-middleware-prefetch`.
    "x-invoke-*",
    "x-istio-*",
    "x-matched-path",
    "x-middleware-invoke",
    "x-middleware-next",
    "x-middleware-override-headers",
    "x-middleware-re*",
    "x-middleware-set-cookie",
    "x-middleware-skip",
    "x-middleware-subrequest*",
    // Azure App Service.
    "x-ms-client-principal*",
    "x-ms-original-url",
    "x-ms-token-*",
    "x-nf-client-connection-ip",
    "x-now-route-matches",
    "x-original-*",
    "x-originating-*",
    "x-pomerium-claim-*",
    "x-proxy-remote-user",
    "x-proxy-user",
    "x-real-*",
    "x-remote-*",
    "x-rewrite-*",
    "x-scheme",
    "x-script-name",
    "x-sendfile*",
    "x-ssl*",
    "x-tls-client-*",
    "x-url-scheme",
    "x-vercel-proxied-for",
    "x-vouch-*",
    // Grafana and Gitea.
    "x-webauth-*",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sorted_and_none_covers_another() {
        for [entry, next] in RESERVED.array_windows() {
            let family = entry.trim_end_matches('*');
            assert!(family < next.trim_end_matches('*'), "{entry} {next}");
            assert!(!entry.ends_with('*') || !next.starts_with(family), "{entry} {next}");
        }
        for entry in RESERVED {
            assert_eq!(entry, entry.to_ascii_lowercase());
            assert!(is_reserved(&entry.replace('*', "x")), "{entry}");
            assert!(is_reserved(entry.trim_end_matches('*')) || entry.ends_with("-*"), "{entry}");
        }
    }

    #[test]
    fn headers_that_describe_a_user_differ_from_those_of_proxies() {
        for name in
            ["remote-user", "Remote_Groups", "x.remote.user", "x-webauth-user", "oidc-claim"]
        {
            assert!(describes_user(name), "{name}");
        }
        for name in
            ["x-forwarded-for", "x-envoy-peer-metadata", "client-cert", "x-request-id", "remote"]
        {
            assert!(!describes_user(name), "{name}");
        }
        for begin in OF_USERS {
            assert!(RESERVED.iter().any(|name| name.starts_with(begin)), "{begin}");
        }
    }

    #[test]
    fn headers_that_only_proxies_set_are_reserved() {
        for name in [
            "remote-user",
            "remote-groups",
            "remote-email",
            "remote-name",
            "x-remote-user",
            "x-webauth-user",
            "x-forwarded-access-token",
            "x-forwarded-client-cert",
            "x-auth-request-user",
            "forwarded",
            "x-original-url",
            "x-rewrite-url",
            "x-real-ip",
            "true-client-ip",
            "client-ip",
            "x-envoy-external-address",
            "x-middleware-subrequest",
            "x-middleware-request-x-user",
            "client-cert-chain",
            "z-forwarded-for",
        ] {
            assert!(is_reserved(name), "{name}");
        }
    }

    #[test]
    fn headers_of_clients_are_not_reserved() {
        for name in [
            "",
            "x",
            "accept",
            "authorization",
            "cf-access-jwt-assertion",
            "client",
            "cookie",
            "destination",
            "dpop",
            "dtab",
            "host",
            "if-none-match",
            "origin",
            "range",
            "referer",
            "sec-fetch-mode",
            "traceparent",
            "user-agent",
            "x-api-key",
            "x-auth-token",
            "x-consumer-key",
            "x-csrf-token",
            "x-envoyage",
            "x-hosts",
            "x-middleware-prefetch",
            "x-ms-version",
            "x-nextjs-data",
            "x-request-id",
            "x-requested-with",
            "x-zip",
        ] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
