//! URLs of the configuration: origins, issuers, endpoints, egress proxies, upstreams.

use url::Url;

use crate::config::address;
use crate::config::diagnostics::Diagnostics;
use crate::config::host_names::check_host;
use crate::config::invalid::Invalid;
use crate::origin::{NotAnOrigin, Origin};
use crate::secret::Secret;
use crate::upstream::Target;

/// Hosts for which `http://` is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlainHttp {
    /// Only loopback names.
    Loopback,
    /// All hosts: `danger_allow_http: true`.
    Anywhere,
}

/// Parses an origin.
pub(super) fn origin(text: &str) -> Result<Origin, Invalid> {
    origin_by(text, "https")
}

/// Parses the origin at which browsers reach the gateway.
pub(super) fn public_url(text: &str, http: PlainHttp) -> Result<Origin, Invalid> {
    let origin = origin(text)?;
    allowed(&origin, http)?;
    Ok(origin)
}

/// Parses an issuer identifier. It is returned unchanged, since `iss` must be equal to it.
pub(super) fn issuer(text: &str, http: PlainHttp) -> Result<String, Invalid> {
    // OIDC Discovery §4.1: an issuer is the part before the well-known path.
    if let Some((before, _)) = text.split_once("/.well-known/") {
        let invalid = Invalid::new("is the URL of the discovery document, not the issuer")
            .hint("write the part before /.well-known/")
            .suggest(before);
        return Err(invalid.keep_suggestion_if(|suggestion| issuer(suggestion, http).is_ok()));
    }
    let url = endpoint(text, http)?;
    // OIDC Core §1.2: no query and no fragment.
    if url.query().is_some() {
        return Err("has a query `?…`, which an issuer cannot have".into());
    }
    Ok(text.to_owned())
}

/// Parses the URL of a provider's endpoint.
pub(super) fn endpoint(text: &str, http: PlainHttp) -> Result<Url, Invalid> {
    let read = |text: &str| read_endpoint(text, http);
    read(text).map_err(|invalid| invalid.keep_suggestion_if(|suggestion| read(suggestion).is_ok()))
}

fn read_endpoint(text: &str, http: PlainHttp) -> Result<Url, Invalid> {
    let url = web(text, "https")?;
    // RFC 6749 §3.1: no fragment.
    if url.fragment().is_some() {
        return Err("has a fragment `#…`, which is not sent in requests".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains a user name or a password".into());
    }
    if text.contains(['{', '}']) {
        return Err(Invalid::new("contains a placeholder in braces")
            .hint("replace it by your value, such as the ID of your tenant"));
    }
    let origin = Origin::of(&url).ok_or("has no host")?;
    allowed(&origin, http)?;
    Ok(url)
}

/// Parses the URL of an egress proxy.
pub(super) fn proxy(text: &str) -> Result<Secret, Invalid> {
    read_proxy(text)
        .map_err(|invalid| invalid.keep_suggestion_if(|suggestion| read_proxy(suggestion).is_ok()))
}

fn read_proxy(text: &str) -> Result<Secret, Invalid> {
    let url = web(text, "http")?;
    match matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none() {
        true => Ok(Secret::new(url)),
        false => {
            Err(Invalid::new("has a path, but a proxy has none").hint("write http://HOST:PORT"))
        }
    }
}

/// Parses the address of an upstream.
pub(super) fn upstream(text: &str, diagnostics: &Diagnostics<'_>) -> Result<Target, Invalid> {
    if let Some(path) = text.strip_prefix("unix:") {
        return address::socket(path, diagnostics).map(Target::Unix);
    }
    origin_by(text, "http").map(Target::Origin)
}

fn origin_by(text: &str, scheme: &str) -> Result<Origin, Invalid> {
    let read = |text: &str| read_origin(text, scheme);
    read(text).map_err(|invalid| invalid.keep_suggestion_if(|suggestion| read(suggestion).is_ok()))
}

fn read_origin(text: &str, scheme: &str) -> Result<Origin, Invalid> {
    // A URL parser drops tabs and line ends.
    if text.chars().any(char::is_control) {
        return Err("contains a control character".into());
    }
    let origin = Origin::parse(text).map_err(|error| match error {
        NotAnOrigin::Scheme | NotAnOrigin::Url(_) => {
            web(text, scheme).err().unwrap_or_else(|| Invalid::new("is not a URL"))
        }
        NotAnOrigin::More => {
            let invalid =
                Invalid::new("must end after host and port, without path, query or user name");
            let origin = Url::parse(text).ok().and_then(|url| Origin::of(&url));
            match origin {
                Some(origin) => invalid.suggest(origin.to_string()),
                None => invalid,
            }
        }
    })?;
    check_host(origin.host())?;
    check_port(origin.port())?;
    Ok(origin)
}

fn check_port(port: u16) -> Result<(), Invalid> {
    match port {
        0 => Err("has port 0, which is not a valid port".into()),
        _ => Ok(()),
    }
}

/// Parses an http or https URL; `scheme` is the one to suggest if there is none.
fn web(text: &str, scheme: &str) -> Result<Url, Invalid> {
    if text.is_empty() {
        return Err(Invalid::new("is empty").hint(format!("write {scheme}://HOST")));
    }
    let Some((written, _)) = text.split_once("://") else {
        let slashless = ["http:", "https:"].into_iter().find(|start| text.starts_with(start));
        if let Some(start) = slashless {
            let rest = text.trim_start_matches(start).trim_start_matches('/');
            return Err(
                Invalid::new("has no // after the scheme").suggest(format!("{start}//{rest}"))
            );
        }
        let invalid = Invalid::new("has no scheme").hint(format!("write {scheme}://HOST"));
        return Err(match text.starts_with(|c: char| c.is_alphanumeric() || c == '[') {
            true => invalid.suggest(format!("{scheme}://{text}")),
            false => invalid,
        });
    };
    if text.chars().any(char::is_control) {
        return Err("contains a control character".into());
    }
    if text.contains(char::is_whitespace) {
        return Err("contains a space".into());
    }
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url,
        Ok(_) => {
            // SECURITY: the scheme is not shown: in `user:password@http://…` it is a password.
            return Err("has an unsupported scheme: use http:// or https://".into());
        }
        Err(error) => {
            let invalid = Invalid::new(format!("is not a URL: {error}"));
            return Err(match text.contains("::") {
                true => invalid.hint("write an IPv6 address in brackets: [::1]"),
                false => invalid,
            });
        }
    };
    if written != url.scheme() {
        return Err(Invalid::new("has a scheme that is not in lower case").suggest(url.to_string()));
    }
    check_host(url.host_str().unwrap_or_default())?;
    check_port(url.port_or_known_default().unwrap_or_default())?;
    Ok(url)
}

fn allowed(origin: &Origin, http: PlainHttp) -> Result<(), Invalid> {
    if origin.is_https() || origin.is_loopback() || http == PlainHttp::Anywhere {
        return Ok(());
    }
    // SECURITY: without TLS, codes, tokens and cookies can be read in the network (RFC 9700 §2.6).
    Err(Invalid::new(
        "uses http:// for a host other than localhost, so sessions and tokens can be read in the network",
    )
    .hint("use https://; in a test environment, you can set `danger_allow_http: true`"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(result: Result<impl std::fmt::Debug, Invalid>, what: &str, suggestion: Option<&str>) {
        let invalid = result.unwrap_err();
        assert!(invalid.what.contains(what), "{}", invalid.what);
        assert_eq!(invalid.suggestion(), suggestion);
    }

    #[test]
    fn url_with_a_control_character_is_rejected_without_a_suggestion() {
        for text in
            ["https://wiki\t.example", "wiki\t.example", "https:/wiki.example\n", "\twiki:1"]
        {
            check(origin(text), "", None);
            check(endpoint(text, PlainHttp::Loopback), "", None);
            check(proxy(text), "", None);
        }
        check(origin("https://wiki\t.example"), "contains a control character", None);
    }

    #[test]
    fn invalid_url_is_rejected_with_a_suggestion() {
        check(
            public_url("wiki.example.com", PlainHttp::Loopback),
            "no scheme",
            Some("https://wiki.example.com"),
        );
        check(
            public_url("https://a.example/x", PlainHttp::Loopback),
            "without path",
            Some("https://a.example"),
        );
        check(origin_by("wiki:8080", "http"), "no scheme", Some("http://wiki:8080"));
        check(origin_by("h2c://wiki", "http"), "unsupported scheme", None);
        check(origin_by("http://", "http"), "is not a URL", None);
        check(origin_by("HTTP://wiki", "http"), "lower case", Some("http://wiki/"));
        let document = "https://id.example/.well-known/openid-configuration";
        check(
            issuer(document, PlainHttp::Loopback),
            "discovery document",
            Some("https://id.example"),
        );
        check(issuer("https://id.example/?a", PlainHttp::Loopback), "query", None);
        check(endpoint("https://me:pw@id.example", PlainHttp::Loopback), "user name", None);
        check(endpoint("https://id.example/#a", PlainHttp::Loopback), "fragment", None);
        check(proxy("proxy:3128"), "no scheme", Some("http://proxy:3128"));
        check(proxy("http://proxy:3128/x"), "has a path", None);
    }

    #[test]
    fn suggestion_that_would_be_rejected_too_is_left_out() {
        check(proxy("proxy:3128/x"), "no scheme", None);
        check(public_url("a.example/x", PlainHttp::Loopback), "no scheme", None);
        check(issuer("HTTP://id.example", PlainHttp::Loopback), "lower case", None);
        for text in
            ["id.example/{tenant}", "https://id.example/{tenant}/.well-known/openid-configuration"]
        {
            check(issuer(text, PlainHttp::Loopback), "", None);
        }
    }

    #[test]
    fn http_is_accepted_for_loopback_names_only() {
        check(public_url("http://a.example", PlainHttp::Loopback), "uses http://", None);
        check(issuer("http://a.example", PlainHttp::Loopback), "uses http://", None);
        assert!(public_url("http://a.example", PlainHttp::Anywhere).is_ok());
        assert!(public_url("http://localhost:4180", PlainHttp::Loopback).is_ok());
    }

    #[test]
    fn issuer_is_returned_unchanged() {
        for text in ["https://id.example", "https://id.example/", "https://ID.example/a%2fb"] {
            assert_eq!(issuer(text, PlainHttp::Loopback).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn parsers_do_not_panic_on_any_text(text in ".{0,40}", scheme in "(https?://)?") {
            let text = scheme + &text;
            drop((public_url(&text, PlainHttp::Loopback), issuer(&text, PlainHttp::Loopback), proxy(&text)));
        }
    }
}
