//! Hosts of routes: their patterns, the reach of the session cookie, and warnings about paths that a public route
//! serves and about hosts without a certificate.

use std::cmp::Reverse;

use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::needs_sign_in;
use crate::config::section::Section;
use crate::gate::route::Settings;
use crate::origin::Origin;
use crate::policy::Policy;
use crate::routing::host::{HostPattern, is_below};
use crate::session::CookieSettings;

/// `routes[].host`. The default is the host of `public_url`.
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
    // Without `public_url` there is no default. The file is rejected anyway.
    Ok(written.unwrap_or_else(|| match public_url {
        Some(url) => HostPattern::Exact(url.host().to_owned()),
        None => HostPattern::Any,
    }))
}

/// Checks that a host with sign-in receives the session cookie; otherwise sign-in would never succeed there.
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
    if !needs_sign_in(allow) {
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
            "matches every host, but the route needs sign-in, and browsers send the session cookie to some hosts only",
            "write one host, or *.example.com; `*` is only for routes with `allow: public`",
        ),
        (HostPattern::Exact(_) | HostPattern::Below(_), Some(_)) => (
            "is outside session.cookie.domain, but the route needs sign-in",
            "change session.cookie.domain: browsers do not send the session cookie to this host",
        ),
        (HostPattern::Exact(_) | HostPattern::Below(_), None) => (
            "is not the host of server.public_url, but the route needs sign-in, and browsers send the session cookie \
             only to that host",
            "set session.cookie.domain to a domain that contains both hosts",
        ),
    };
    Err(section.field("host").error(&Invalid::new(what).hint(hint)))
}

/// Warns about an exact host whose other paths a public route of a wildcard host serves.
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
            "has no route for /. Its other paths are served by routes[{fallback}], a public route of a wildcard host"
        ))
        .hint("add a route for / of this host, for example with `allow: authenticated`");
        root.diagnostics.warning(&root.path.key("routes").item(at).key("host"), &invalid);
    }
}

/// Returns the public route that serves the paths for which this exact host has no route.
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

/// Specificity of a wildcard for a host; `None` if it does not match.
fn specificity(pattern: &HostPattern, host: &str) -> Option<usize> {
    match pattern {
        HostPattern::Exact(_) => None,
        HostPattern::Below(name) => is_below(host, name).then(|| name.len() + 1),
        HostPattern::Any => Some(0),
    }
}

/// Whether a route allows every request without sign-in.
fn is_public(allow: &Policy) -> bool {
    match allow {
        Policy::Public => true,
        Policy::Authenticated => false,
        Policy::Rules(rules) => rules.iter().any(|rule| {
            let bounds = (&rule.methods, &rule.paths, &rule.exact_paths, &rule.client_addresses);
            rule.public && matches!(bounds, (None, None, None, None))
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
            HostPattern::Exact(name) => {
                (name.clone(), "is not covered by a certificate of server.tls")
            }
            HostPattern::Below(name) => {
                (format!("any.{name}"), "is not covered by a wildcard certificate of server.tls")
            }
            HostPattern::Any => continue,
        };
        let is_first = !routes.iter().take(at).any(|other| other.host == route.host);
        // The host of public_url is checked with the certificates; a route without an upstream is served by a proxy.
        let is_known = public_url.is_some_and(|url| url.host() == host) || route.upstream.is_none();
        if is_first && !is_known && !server.certificates.iter().any(|pair| pair.covers(&host)) {
            let invalid = Invalid::new(format!("{what}: browsers reject it"))
                .hint("add a certificate for it to server.tls.certificates");
            root.diagnostics.warning(&root.path.key("routes").item(at).key("host"), &invalid);
        }
    }
}
