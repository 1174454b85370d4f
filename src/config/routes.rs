//! `routes:` -> `gate::route::Settings`, each held against what is around it: the public address, the
//! gateway's own paths, the providers, the cookie, and the other routes.

use std::sync::Arc;

use crate::config::address;
use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::identity;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DAY, DefaultValue, HOUR, KeySpec, Type, key, millis};
use crate::config::pem;
use crate::config::policy::{self, OfRoute};
use crate::config::route_hosts;
use crate::config::section::Section;
use crate::config::urls;
use crate::gate::route::{Settings, Unauthenticated};
use crate::identity::headers::HeaderRule;
use crate::origin::Origin;
use crate::routing::path::PathPrefix;
use crate::secret::Secret;
use crate::server::ListenAddress;
use crate::session::CookieSettings;
use crate::upstream::{self, Target, Timeouts, TlsSettings};

pub(super) const KEYS: &[KeySpec] = &[
    key("name", Type::Text, DefaultValue::Unset("host and path"), "In metrics, logs and pages."),
    key(
        "host",
        Type::Text,
        DefaultValue::Unset("the host of public_url"),
        "wiki.example.com, *.example.com or \"*\".",
    ),
    key(
        "path",
        Type::Text,
        DefaultValue::Is("/"),
        "A prefix by whole segments: /a is /a and /a/b, not /ab.",
    ),
    key(
        "upstream",
        Type::Text,
        DefaultValue::Unset("none: the route is only asked about at the auth endpoints"),
        "Where requests go: http:// or https:// and HOST:PORT, or unix:PATH.",
    ),
    key(
        "upstream_tls",
        Type::Section(UPSTREAM_TLS),
        DefaultValue::Unset("the system's roots"),
        "TLS toward an https:// upstream.",
    ),
    key(
        "preserve_host",
        Type::Flag,
        DefaultValue::Is("true"),
        "Whether the upstream sees the client's Host instead of its own.",
    ),
    key(
        "request_body",
        Type::Size { least: 0, most: u64::MAX },
        DefaultValue::Unset("none"),
        "The most bytes of a request's body.",
    ),
    key(
        "timeouts",
        Type::Section(TIMEOUTS),
        DefaultValue::Unset("all defaults"),
        "Deadlines of a forwarded request.",
    ),
    key(
        "allow",
        Type::Either(&[
            Type::Choice(&["public", "authenticated"]),
            Type::List { of: &Type::Section(policy::KEYS), least: 1 },
        ]),
        DefaultValue::Required("allow: authenticated"),
        "Who may pass: public, authenticated, or rules of which any must match.",
    ),
    key(
        "providers",
        Type::List { of: &Type::Text, least: 1 },
        DefaultValue::Unset("all"),
        "Which providers sign in here.",
    ),
    key(
        "unauthenticated",
        Type::Choice(&["auto", "redirect", "unauthorized"]),
        DefaultValue::Is("auto"),
        "What a visitor who is not signed in meets: auto redirects page loads and answers 401 else.",
    ),
    key(
        "websocket_origins",
        Type::List { of: &Type::Text, least: 0 },
        DefaultValue::Is("[]"),
        "Origins, beside the route's own, whose pages may open a WebSocket with the session.",
    ),
    identity::OF_ROUTE,
];

const UPSTREAM_TLS: &[KeySpec] = &[
    key(
        "ca",
        Type::Pem,
        DefaultValue::Unset("none"),
        "PEM beside the system's roots: a path or the text.",
    ),
    key(
        "client_certificate",
        Type::Pem,
        DefaultValue::Unset("none"),
        "What the gateway shows to the upstream: a path or the PEM text.",
    ),
    key(
        "client_key",
        Type::Pem,
        DefaultValue::Unset("none"),
        "Its private key: a path or the PEM text.",
    ),
    key(
        "server_name",
        Type::Text,
        DefaultValue::Unset("the upstream's host"),
        "The name to ask for and to verify.",
    ),
];

const TIMEOUTS: &[KeySpec] = &[
    key("connect", millis(10, HOUR), DefaultValue::Is("5s"), "DNS, TCP and TLS together."),
    key(
        "response_headers",
        millis(10, DAY),
        DefaultValue::Is("60s"),
        "From the request's last byte to the response's head.",
    ),
    key(
        "idle",
        millis(10, DAY),
        DefaultValue::Is("5m"),
        "Between two bytes; none for WebSockets, event streams and gRPC.",
    ),
];

/// What is around a route; `None` where it could not be read, which has its own problem.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) public_url: Option<&'a Origin>,
    pub(super) endpoint_prefix: Option<&'a PathPrefix>,
    pub(super) server: Option<&'a crate::server::Settings>,
    pub(super) providers: Option<&'a [String]>,
    pub(super) cookie: Option<&'a CookieSettings>,
    pub(super) identity_headers: Result<Option<Vec<HeaderRule>>, Reported>,
}

/// All routes.
pub(super) fn settings(
    root: &Section<'_>,
    around: &Surroundings<'_>,
) -> Result<Vec<Settings>, Reported> {
    let items = root.field("routes").items()?;
    let routes: Vec<_> = items
        .iter()
        .map(|item| Section::of(item).and_then(|section| route(&section, around)))
        .collect();
    for (at, route) in routes.iter().enumerate() {
        let Ok(route) = route else { continue };
        let same = |other: &Settings| other.host == route.host && other.path == route.path;
        let before = routes.iter().take(at).position(|other| other.as_ref().is_ok_and(same));
        if let (Some(before), Some(item)) = (before, items.get(at)) {
            let what = format!("is for the same host and path as routes[{before}]");
            return Err(
                item.error(&Invalid::new(what).hint("give one of them another host or path"))
            );
        }
        let clashes =
            |other: &Settings| other.host == route.host && other.path.clashes_with(&route.path);
        let before = routes.iter().take(at).position(|other| other.as_ref().is_ok_and(clashes));
        if let (Some(before), Some(item)) = (before, items.get(at)) {
            let what = format!(
                "has paths in common with routes[{before}] but for letter case: requests for them are \
                 refused, as an upstream may not tell capitals from small letters"
            );
            item.diagnostics.warning(&item.path.key("path"), &Invalid::new(what));
        }
    }
    routes.into_iter().collect()
}

fn route(section: &Section<'_>, around: &Surroundings<'_>) -> Result<Settings, Reported> {
    let name = section.field("name").optional_text();
    let host = route_hosts::read(&section.field("host"), around.public_url);
    let path = path(&section.field("path"), around);
    let listen = around.server.map(|server| server.listen.as_slice());
    let upstream = upstream(section, listen.unwrap_or_default());
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
    let path = field.value(policy::path)?;
    match around.endpoint_prefix {
        // An upstream may not tell capitals from small letters, so no request would pass there either.
        Some(prefix) if prefix.covers_folded(&path) => Err(field.error(
            &Invalid::new("lies below server.endpoint_prefix, which is /oauth2 if not written: the gateway answers there")
                .hint("choose another path, or another server.endpoint_prefix"),
        )),
        Some(_) | None => Ok(path),
    }
}

fn upstream(
    section: &Section<'_>,
    listen: &[ListenAddress],
) -> Result<Option<upstream::Settings>, Reported> {
    let field = section.field("upstream");
    let target = field.optional(|text| {
        let target = urls::upstream(text, field.diagnostics)?;
        // Each round of a request takes another two connections, until there are none.
        if listen.iter().any(|address| address::is_ours(&target, address)) {
            return Err(Invalid::new("is where the gateway itself listens")
                .hint("write where the application listens"));
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
            .hint("write https:// in `upstream`, or remove it");
        return Err(section.field("upstream_tls").error(&invalid));
    }
    let (preserve_host, timeouts) = (preserve_host?, timeouts?);
    Ok(target.map(|target| upstream::Settings { target, tls, timeouts, preserve_host }))
}

fn tls(section: &Section<'_>) -> Result<TlsSettings, Reported> {
    let (chain_field, key_field) =
        (section.field("client_certificate"), section.field("client_key"));
    let ca = pem::authorities(&section.field("ca"));
    let (chain, key) = (pem::chain(&chain_field), pem::key(&key_field));
    let server_name = section.field("server_name").optional(server_name);
    let client = match (chain?, key?) {
        (None, None) => None,
        (Some(chain), Some(key)) => {
            pem::check_pair(&chain, &key).map_err(|invalid| key_field.error(&invalid))?;
            Some((chain.text.expose().to_owned(), Secret::new(key.text.expose())))
        }
        (Some(_), None) => {
            return Err(key_field.error(&"is required beside client_certificate".into()));
        }
        (None, Some(_)) => return Err(chain_field.error(&"is required beside client_key".into())),
    };
    Ok(TlsSettings { ca: ca?, client, server_name: server_name? })
}

fn websocket_origin(text: &str) -> Result<Origin, Invalid> {
    // SECURITY: with `*` any page could speak to the application in its visitor's name.
    if text == "*" {
        return Err(Invalid::new("would be every page of the web")
            .hint("name the origins, such as https://app.example.com"));
    }
    urls::origin(text)
}

fn server_name(text: &str) -> Result<String, Invalid> {
    match rustls::pki_types::ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => {
            Err(Invalid::new("is not a host's name").hint("write it without scheme and port"))
        }
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
    fn the_tables_timeouts_are_those_of_the_room() {
        let config = settings_of("");
        let upstream = config.routes.first().unwrap().upstream.as_ref().unwrap();
        assert_eq!(upstream.timeouts, Timeouts::default());
        assert!(upstream.preserve_host);
    }
}
