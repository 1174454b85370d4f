//! What the hosts of all routes together may not have been meant to do: paths that fall to a public route,
//! and hosts without a certificate.

use std::cmp::Reverse;

use crate::config::asks_for_sign_in;
use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::section::Section;
use crate::gate::route::Settings;
use crate::origin::Origin;
use crate::policy::Policy;
use crate::routing::host::{HostPattern, is_below};
use crate::session::CookieSettings;

/// `routes[].host`; the host of `public_url` where it is not written.
pub(super) fn read(
    field: &Field<'_>,
    public_url: Option<&Origin>,
) -> Result<HostPattern, Reported> {
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
    Ok(written.unwrap_or_else(|| match public_url {
        Some(url) => HostPattern::Exact(url.host().to_owned()),
        None => HostPattern::Any,
    }))
}

/// A host that asks for sign-in gets the session cookie, or nobody could ever sign in there.
pub(super) fn check_reached_by_cookie(
    section: &Section<'_>,
    host: &HostPattern,
    allow: &Policy,
    public_url: Option<&Origin>,
    cookie: Option<&CookieSettings>,
) -> Result<(), Reported> {
    let (Some(public_url), Some(cookie)) = (public_url, cookie) else {
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

/// Warns about an exact host whose other paths are served by a public route of a wildcard host.
pub(super) fn warn_of_public_fallback(root: &Section<'_>, routes: &[Settings]) {
    for (at, route) in routes.iter().enumerate() {
        let HostPattern::Exact(host) = &route.host else { continue };
        let is_first = !routes.iter().take(at).any(|other| other.host == route.host);
        let mut same = routes.iter().filter(|other| other.host == route.host);
        let has_root = same.clone().any(|other| other.path.as_str() == "/");
        if !is_first || has_root || same.all(|other| is_public(&other.allow)) {
            continue;
        }
        let Some(fallback) = public_fallback(host, routes) else { continue };
        let invalid = Invalid::new(format!(
            "has no route for /: paths that no route of this host has fall to routes[{fallback}], a public \
             route of a wildcard host"
        ))
        .hint("add a route for / of this host, such as one with `allow: authenticated`");
        root.diagnostics.warning(&root.path.key("routes").item(at).key("host"), &invalid);
    }
}

/// The public route that a path may fall to which no route of this exact host has.
fn public_fallback(host: &str, routes: &[Settings]) -> Option<usize> {
    let mut wildcards: Vec<&HostPattern> = routes.iter().map(|route| &route.host).collect();
    wildcards.retain(|pattern| specificity(pattern, host).is_some());
    wildcards.sort_by_key(|pattern| Reverse(specificity(pattern, host)));
    wildcards.dedup();
    for wildcard in wildcards {
        let of_host = || routes.iter().enumerate().filter(|(_, route)| route.host == *wildcard);
        if let Some((at, _)) = of_host().find(|(_, route)| is_public(&route.allow)) {
            return Some(at);
        }
        if of_host().any(|(_, route)| route.path.as_str() == "/") {
            return None;
        }
    }
    None
}

/// How specific a wildcard is for a host; `None` where it is not for it.
fn specificity(pattern: &HostPattern, host: &str) -> Option<usize> {
    match pattern {
        HostPattern::Exact(_) => None,
        HostPattern::Below(name) => is_below(host, name).then(|| name.len() + 1),
        HostPattern::Any => Some(0),
    }
}

/// Whether anyone gets any path of a route with any method.
fn is_public(allow: &Policy) -> bool {
    match allow {
        Policy::Public => true,
        Policy::Authenticated => false,
        Policy::Rules(rules) => rules.iter().any(|rule| {
            let bounds = (&rule.methods, &rule.paths, &rule.client_addresses);
            rule.public && matches!(bounds, (None, None, None))
        }),
    }
}

/// Warns about hosts of routes that no certificate covers.
pub(super) fn warn_of_uncovered_hosts(
    root: &Section<'_>,
    server: &crate::server::Settings,
    routes: &[Settings],
    public_url: Option<&Origin>,
) {
    if server.certificates.is_empty() {
        return;
    }
    for (at, route) in routes.iter().enumerate() {
        let (host, what) = match &route.host {
            HostPattern::Exact(name) => (name.clone(), "is in no certificate of server.tls"),
            HostPattern::Below(name) => {
                (format!("any.{name}"), "is in no wildcard certificate of server.tls")
            }
            HostPattern::Any => continue,
        };
        let is_first = !routes.iter().take(at).any(|other| other.host == route.host);
        // Of the host of public_url it is said at the certificates; without an upstream others serve the host.
        let is_known = public_url.is_some_and(|url| url.host() == host) || route.upstream.is_none();
        if is_first && !is_known && !server.certificates.iter().any(|pair| pair.covers(&host)) {
            let invalid = Invalid::new(format!("{what}: browsers refuse it"))
                .hint("add a certificate for it to server.tls.certificates");
            root.diagnostics.warning(&root.path.key("routes").item(at).key("host"), &invalid);
        }
    }
}
