//! `routes:` -> `gate::route::Settings`. Each route is checked against the public URL, the gateway's own paths, the
//! providers, the cookie and the other routes.

use std::sync::Arc;

use crate::config::address;
use crate::config::diagnostics::Reported;
use crate::config::field::{ALL_PROVIDERS, Field};
use crate::config::identity;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DAY, DefaultValue, HOUR, KeySpec, Type, key, millis};
use crate::config::pem;
use crate::config::policy::{self, OfRoute};
use crate::config::route_hosts;
use crate::config::route_overlaps;
use crate::config::rule_paths;
use crate::config::section::Section;
use crate::config::urls;
use crate::gate::route::{Settings, Unauthenticated};
use crate::identity::headers::HeaderRule;
use crate::origin::Origin;
use crate::routing::path::PathPrefix;
use crate::server::{self, Limits};
use crate::session::CookieSettings;
use crate::upstream::{self, Target, Timeouts, TlsSettings};

pub(super) const KEYS: &[KeySpec] = &[
    key(
        "name",
        Type::Text,
        DefaultValue::Unset("host and path"),
        "Name of the route in metrics, logs and pages.",
    ),
    key(
        "host",
        Type::Text,
        DefaultValue::Unset("the host of public_url"),
        "Host of the route: wiki.example.com, *.example.com or \"*\".",
    ),
    key(
        "path",
        Type::Text,
        DefaultValue::Is("/"),
        "Path prefix, by whole segments: /a matches /a and /a/b, not /ab.",
    ),
    key(
        "upstream",
        Type::Text,
        DefaultValue::Unset("none; the route is for forward auth only"),
        "Address of the application: http://HOST:PORT, https://HOST:PORT or unix:PATH.",
    ),
    key(
        "upstream_tls",
        Type::Section(UPSTREAM_TLS),
        DefaultValue::Unset("all defaults"),
        "TLS to an https:// upstream.",
    ),
    key(
        "preserve_host",
        Type::Flag,
        DefaultValue::Is("true"),
        "Whether to forward the client's Host header. With false, it is the host of the upstream, and Location and Content-Location with the upstream's own origin get the visitor's.",
    ),
    key(
        "request_body",
        Type::Size { least: 0, most: u64::MAX },
        DefaultValue::Unset("no limit"),
        "Maximum size of a request body.",
    ),
    key(
        "timeouts",
        Type::Section(TIMEOUTS),
        DefaultValue::Unset("all defaults"),
        "Timeouts of a forwarded request.",
    ),
    key(
        "allow",
        Type::Either(&[
            Type::Choice(&["public", "authenticated"]),
            Type::List { of: &policy::RULE, least: 1 },
        ]),
        DefaultValue::Required("allow: [{ email_domains: [example.com] }]"),
        "Who is allowed: public, authenticated, or a list of rules. A request is allowed if any rule matches. The word authenticated can be one of the rules.",
    ),
    key(
        "providers",
        Type::List { of: &Type::Text, least: 1 },
        DefaultValue::Unset(ALL_PROVIDERS),
        "IDs of the providers whose users this route accepts.",
    ),
    key(
        "unauthenticated",
        Type::Choice(&["auto", "redirect", "unauthorized"]),
        DefaultValue::Is("auto"),
        "Response to a client that is not signed in: redirect, unauthorized (401), or auto, which redirects page loads and answers 401 to other requests.",
    ),
    key(
        "websocket_origins",
        Type::List { of: &Type::Text, least: 0 },
        DefaultValue::Is("[]"),
        "Other origins whose pages can open a WebSocket with the session.",
    ),
    identity::OF_ROUTE,
];

const UPSTREAM_TLS: &[KeySpec] = &[
    key(
        "ca",
        Type::Pem,
        DefaultValue::Unset("none"),
        "Certificates to trust, in addition to the system's root certificates: a path or the PEM text.",
    ),
    key(
        "client_certificate",
        Type::Pem,
        DefaultValue::Unset("none"),
        "Client certificate of the gateway: a path or the PEM text.",
    ),
    key(
        "client_key",
        Type::Pem,
        DefaultValue::Unset("none"),
        "Private key of the client certificate: a path or the PEM text.",
    ),
    key(
        "server_name",
        Type::Text,
        DefaultValue::Unset("the host of the upstream"),
        "Server name to send (SNI) and to verify.",
    ),
];

const TIMEOUTS: &[KeySpec] = &[
    key(
        "connect",
        millis(10, HOUR),
        DefaultValue::Is("5s"),
        "Timeout for DNS, TCP and TLS together.",
    ),
    key(
        "response_headers",
        millis(10, DAY),
        DefaultValue::Is("60s"),
        "Time from the last byte of the request to the head of the response.",
    ),
    key(
        "idle",
        millis(10, DAY),
        DefaultValue::Is("5m"),
        "Maximum time without a byte. It does not apply to WebSockets, event streams and gRPC.",
    ),
];

/// Other settings that routes depend on; `None` if they are invalid, which has its own error.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) public_url: Option<&'a Origin>,
    pub(super) endpoint_prefix: Option<&'a PathPrefix>,
    pub(super) server: Option<&'a server::Settings>,
    pub(super) providers: Option<&'a [String]>,
    pub(super) cookie: Option<&'a CookieSettings>,
    pub(super) identity_headers: Result<Option<Vec<HeaderRule>>, Reported>,
}

/// `routes`.
pub(super) fn settings(
    root: &Section<'_>,
    around: &Surroundings<'_>,
) -> Result<Vec<Settings>, Reported> {
    let items = root.field("routes").items()?;
    let routes: Vec<_> = items
        .iter()
        .map(|item| Section::of(item).and_then(|section| route(&section, around)))
        .collect();
    route_overlaps::check(&items, &routes)?;
    routes.into_iter().collect()
}

fn route(section: &Section<'_>, around: &Surroundings<'_>) -> Result<Settings, Reported> {
    let name = section.field("name").optional_text();
    let host = route_hosts::read(&section.field("host"), around.public_url);
    let path = path(&section.field("path"), around);
    let upstream = upstream(section, around.server);
    let request_body = section.field("request_body").optional_size();
    let providers = policy::providers(&section.field("providers"), around.providers);
    let of_route = OfRoute {
        ids: around.providers,
        providers: providers.as_ref().ok().and_then(|providers| providers.as_deref()),
        path: path.as_ref().ok(),
    };
    let allow = policy::policy(&section.field("allow"), of_route);
    let unauthenticated = section.field("unauthenticated").choice(|text| match text {
        "auto" => Some(Unauthenticated::Auto),
        "redirect" => Some(Unauthenticated::Redirect),
        "unauthorized" => Some(Unauthenticated::Unauthorized),
        _ => None,
    });
    let websocket_origins = section.field("websocket_origins").list(websocket_origin);
    let identity_headers = match identity::rules(&section.field("identity_headers")) {
        Ok(Some(rules)) => Ok(rules),
        Ok(None) => {
            let top = around.identity_headers.clone();
            top.map(|written| written.unwrap_or_else(|| identity::default_of(of_route)))
        }
        Err(reported) => Err(reported),
    };
    let (host, path, allow) = (host?, path?, allow?);
    route_hosts::check_reached_by_cookie(section, &host, &allow, around.public_url, around.cookie)?;
    Ok(Settings {
        name: name?.map_or_else(|| format!("{host}{}", path.as_str()).into(), Arc::from),
        host,
        path,
        upstream: upstream?,
        request_body: request_body?,
        allow,
        providers: providers?,
        unauthenticated: unauthenticated?,
        websocket_origins: websocket_origins?,
        identity_headers: identity_headers?,
    })
}

fn path(field: &Field<'_>, around: &Surroundings<'_>) -> Result<PathPrefix, Reported> {
    let path = field.value(rule_paths::path)?;
    match around.endpoint_prefix {
        // An upstream can treat paths as case-insensitive, so requests that differ in letter case are rejected too.
        Some(prefix) if prefix.covers_folded(&path) => Err(field.error(
            &Invalid::new("is below server.endpoint_prefix [default: /oauth2], where the gateway itself answers")
                .hint("choose another path, or change server.endpoint_prefix"),
        )),
        Some(_) | None => Ok(path),
    }
}

fn upstream(
    section: &Section<'_>,
    server: Option<&server::Settings>,
) -> Result<Option<upstream::Settings>, Reported> {
    let listen = server.map(|server| server.listen.as_slice()).unwrap_or_default();
    let response_header_bytes =
        server.map_or_else(Limits::default, |server| server.limits).response_header_bytes;
    let field = section.field("upstream");
    let target = field.optional(|text| {
        let target = urls::upstream(text, field.diagnostics)?;
        // A request would be forwarded in a loop until there are no connections left.
        if listen.iter().any(|address| address::is_ours(&target, address)) {
            return Err(Invalid::new("is a listen address of the gateway itself")
                .hint("write the address of the application"));
        }
        Ok(target)
    });
    let tls_section = section.section("upstream_tls");
    let tls = tls_section.as_ref().map_err(|r| *r).and_then(tls);
    let preserve_host = section.field("preserve_host").flag();
    let timeouts = section.section("timeouts").and_then(|section| timeouts(&section));
    let (target, tls) = (target?, tls?);
    let encrypted = matches!(&target, Some(Target::Origin(origin)) if origin.is_https());
    if !encrypted && tls != TlsSettings::default() {
        let invalid = Invalid::new("has no effect: the upstream is not https://")
            .hint("write https:// in `upstream`, or remove `upstream_tls`");
        return Err(section.field("upstream_tls").error(&invalid));
    }
    let (preserve_host, timeouts) = (preserve_host?, timeouts?);
    Ok(target.map(|target| upstream::Settings {
        target,
        tls,
        timeouts,
        preserve_host,
        response_header_bytes,
    }))
}

fn tls(section: &Section<'_>) -> Result<TlsSettings, Reported> {
    let ca = pem::authorities(&section.field("ca"));
    let client = pem::client_pair(section);
    let server_name = section.field("server_name").optional(server_name);
    Ok(TlsSettings { ca: ca?, client: client?, server_name: server_name? })
}

fn websocket_origin(text: &str) -> Result<Origin, Invalid> {
    // SECURITY: with `*`, every page could use the application with the session of its visitor.
    if text == "*" {
        return Err(Invalid::new("would allow every web page")
            .hint("list the origins, such as https://app.example.com"));
    }
    urls::origin(text)
}

fn server_name(text: &str) -> Result<String, Invalid> {
    match rustls::pki_types::ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Invalid::new("is not a host name").hint("write it without scheme and port")),
    }
}

fn timeouts(section: &Section<'_>) -> Result<Timeouts, Reported> {
    let connect = section.field("connect").duration();
    let response_headers = section.field("response_headers").duration();
    let idle = section.field("idle").duration();
    Ok(Timeouts { connect: connect?, response_headers: response_headers?, idle: idle? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::settings_of;

    #[test]
    fn default_timeouts_are_those_of_the_upstream_room() {
        let config = settings_of("");
        let upstream = config.routes.first().unwrap().upstream.as_ref().unwrap();
        assert_eq!(upstream.timeouts, Timeouts::default());
        assert!(upstream.preserve_host);
    }
}
