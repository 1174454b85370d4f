//! `routes:` -> `gate::route::Settings`, each held against what is around it: the public address, the
//! gateway's own paths, the providers, the cookie, and the other routes.

use std::sync::Arc;

use crate::config::address;
use crate::config::asks_for_sign_in;
use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::identity;
use crate::config::invalid::Invalid;
use crate::config::pem;
use crate::config::policy::{self, OfRoute};
use crate::config::section::Section;
use crate::config::urls;
use crate::gate::route::{Settings, Unauthenticated};
use crate::identity::headers::HeaderRule;
use crate::origin::Origin;
use crate::policy::Policy;
use crate::routing::host::{HostPattern, is_below};
use crate::routing::path::PathPrefix;
use crate::secret::Secret;
use crate::server::ListenAddress;
use crate::session::CookieSettings;
use crate::upstream::{self, Target, Timeouts, TlsSettings};

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
        .map(|item| item.section().and_then(|section| route(&section, around)))
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
    let host = host(&section.field("host"), around);
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
    check_host(section, &host, &allow, around)?;
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

fn host(field: &Field<'_>, around: &Surroundings<'_>) -> Result<HostPattern, Reported> {
    let written = field.optional(|text| {
        HostPattern::parse(text).map_err(|what| {
            let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
            let bare = bare.split(['/', ':']).next().unwrap_or_default();
            match HostPattern::parse(bare).is_ok() {
                true => Invalid::new(what).suggest(bare),
                false => Invalid::new(what).hint("write wiki.example.com, *.example.com or \"*\""),
            }
        })
    })?;
    // Without `public_url` the default is unknown; the file is refused anyway, and no host is a
    // problem of its own.
    Ok(written.unwrap_or_else(|| match around.public_url {
        Some(url) => HostPattern::Exact(url.host().to_owned()),
        None => HostPattern::Any,
    }))
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

/// A host that asks for sign-in gets the session cookie, or nobody could ever sign in there.
fn check_host(
    section: &Section<'_>,
    host: &HostPattern,
    allow: &Policy,
    around: &Surroundings<'_>,
) -> Result<(), Reported> {
    let (Some(public_url), Some(cookie)) = (around.public_url, around.cookie) else {
        return Ok(());
    };
    if !asks_for_sign_in(allow) {
        return Ok(());
    }
    let domain = cookie.domain.as_deref();
    let inside = match host {
        HostPattern::Exact(name) => {
            name == public_url.host() || domain.is_some_and(|d| name == d || is_below(name, d))
        }
        HostPattern::Below(name) => domain.is_some_and(|d| name == d || is_below(name, d)),
        HostPattern::Any => false,
    };
    if inside {
        return Ok(());
    }
    let (what, hint) = match (host, domain) {
        (HostPattern::Any, _) => (
            "asks for sign-in on every host, but the session cookie reaches only some",
            "name the host, or the domain as *.example.com; `*` is for public routes",
        ),
        (HostPattern::Exact(_) | HostPattern::Below(_), Some(_)) => (
            "asks for sign-in outside session.cookie.domain",
            "the session cookie would not reach it",
        ),
        (HostPattern::Exact(_) | HostPattern::Below(_), None) => (
            "asks for sign-in where the session cookie does not reach: it is for the host of \
             server.public_url",
            "set session.cookie.domain to a domain that both lie in",
        ),
    };
    Err(section.field("host").error(&Invalid::new(what).hint(hint)))
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
