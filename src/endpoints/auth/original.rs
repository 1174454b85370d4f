//! What an asker says of the request that it asks about: where it went, and by which method.
//! Invariant: whatever is said twice is the same both times.
// SECURITY: an asker sends its visitor's fields along with its own. A visitor who adds the field that the
// asker does not use would choose what is decided on; so everything that speaks of the request counts, and
// one contradiction is enough to refuse (T53, T55).

use http::header::{HeaderMap, HeaderValue};
use http::{Method, uri::PathAndQuery};

use crate::endpoints::Call;
use crate::error::AskerFault;
use crate::routing::host::normal;
use crate::server::{Authority, Client, Scheme};

/// The request that is asked about.
#[derive(Clone, Debug)]
pub(super) struct Original<'a> {
    /// Who made it, at which origin.
    pub(super) client: Client,
    /// Its method; `None` where the asker did not tell it.
    pub(super) method: Option<Method>,
    /// Its path and query.
    pub(super) target: &'a str,
}

/// A field's name, and what it says.
type Said<'a> = (&'static str, &'a str);

impl<'a> Original<'a> {
    /// Reads a question; `suffix` is the path behind the endpoint's own.
    pub(super) fn of(suffix: Option<&str>, call: Call<'a>) -> Result<Self, AskerFault> {
        let headers = call.headers;
        let (site, url) = match one(headers, ORIGINAL_URL)? {
            Some((name, url)) => {
                let (site, target) = split(url).ok_or(AskerFault::Unclear(name))?;
                (site, Some((name, target)))
            }
            None => (None, None),
        };
        let forwarded = one(headers, FORWARDED_URI)?;
        let original = agreed([url, one(headers, ORIGINAL_URI)?])?;
        let suffixed = suffix.and_then(|path| behind(call.uri.path_and_query()?, path));
        let (name, target) = agreed([forwarded, original, suffixed])?.ok_or(AskerFault::NoUri)?;
        if !target.starts_with('/') || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AskerFault::Unclear(name));
        }
        let families = [
            (forwarded, one(headers, FORWARDED_METHOD)?),
            (original, one(headers, ORIGINAL_METHOD)?),
            (suffixed, suffixed.map(|_| (OWN_METHOD, call.method.as_str()))),
        ];
        Ok(Self { client: client(site, call)?, method: method(families)?, target })
    }
}

/// The method that every family which names the URI names too, if there is one. Another family's would be
/// the visitor's word alone.
fn method(
    families: [(Option<Said<'_>>, Option<Said<'_>>); 3],
) -> Result<Option<Method>, AskerFault> {
    let Some((name, method)) = agreed(families.map(|(_, method)| method))? else { return Ok(None) };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| AskerFault::Unclear(name))?;
    let told = families.iter().all(|(uri, method)| uri.is_none() || method.is_some());
    Ok(told.then_some(method))
}

/// The client at the origin that its request went to.
fn client(site: Option<(Scheme, Authority)>, call: Call<'_>) -> Result<Client, AskerFault> {
    let client = call.client;
    let host = one(call.headers, FORWARDED_HOST)?;
    let proto = one(call.headers, FORWARDED_PROTO)?;
    // The frame lets pass what it cannot read, and goes by the connection's own word instead.
    if let Some((name, host)) = host
        && !host.split(',').any(|item| item.trim() == client.authority().as_str())
    {
        return Err(AskerFault::Unclear(name));
    }
    if let Some((name, proto)) = proto
        && !proto.split(',').any(|item| Scheme::forwarded(item.trim()).is_some())
    {
        return Err(AskerFault::Unclear(name));
    }
    let Some((scheme, authority)) = site else { return Ok(client.clone()) };
    if proto.is_some() && scheme != client.scheme() {
        return Err(AskerFault::Contradiction(FORWARDED_PROTO, ORIGINAL_URL));
    }
    let there = client.clone().at(scheme, authority);
    let told = client.clone().at(scheme, client.authority().clone());
    let same = normal(there.host()) == normal(told.host()) && there.port() == told.port();
    if host.is_some() && !same {
        return Err(AskerFault::Contradiction(FORWARDED_HOST, ORIGINAL_URL));
    }
    Ok(there)
}

/// What all that is said agrees on.
fn agreed<'a, const N: usize>(said: [Option<Said<'a>>; N]) -> Result<Option<Said<'a>>, AskerFault> {
    let mut said = said.into_iter().flatten();
    let Some(first) = said.next() else { return Ok(None) };
    match said.find(|other| other.1 != first.1) {
        Some(other) => Err(AskerFault::Contradiction(first.0, other.0)),
        None => Ok(Some(first)),
    }
}

/// A field that stands there once, or not at all.
fn one<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<Said<'a>>, AskerFault> {
    let mut fields = headers.get_all(name).iter();
    let Some(value) = fields.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| AskerFault::Unclear(name))?;
    if fields.next().is_some() { Err(AskerFault::Unclear(name)) } else { Ok(Some((name, text))) }
}

/// A path and query, or a whole URL taken apart without changing a byte of them.
fn split(url: &str) -> Option<(Option<(Scheme, Authority)>, &str)> {
    if url.starts_with('/') {
        return Some((None, url));
    }
    let (scheme, rest) = url.split_once("://")?;
    let scheme = Scheme::forwarded(scheme)?;
    let (authority, target) = rest.split_at_checked(rest.find('/')?)?;
    let authority = Authority::parse(HeaderValue::from_str(authority).ok()?)?;
    Some((Some((scheme, authority)), target))
}

/// The path behind the endpoint's own, with the query.
fn behind<'a>(own: &'a PathAndQuery, path: &str) -> Option<Said<'a>> {
    let at = own.path().len().checked_sub(path.len())?;
    Some((SUFFIX, own.as_str().get(at..)?))
}

const FORWARDED_URI: &str = "x-forwarded-uri";
const FORWARDED_METHOD: &str = "x-forwarded-method";
const FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED_PROTO: &str = "x-forwarded-proto";
const ORIGINAL_URL: &str = "x-original-url";
const ORIGINAL_URI: &str = "x-original-uri";
const ORIGINAL_METHOD: &str = "x-original-method";
const SUFFIX: &str = "the path behind the endpoint";
const OWN_METHOD: &str = "the request's own method";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::{Asked, Format};

    /// What a POST to `target` says with these fields: origin, method, path and query.
    fn read(
        target: &str,
        fields: &[(&'static str, &'static str)],
    ) -> Result<(String, Option<Method>, String), AskerFault> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let (uri, address) = (target.parse().unwrap(), "192.0.2.1".parse().unwrap());
        let client = Client::direct(address, Scheme::Https, "wiki.example");
        let asked = Asked { format: Format::Json, request_id: "1" };
        let call =
            Call { method: &Method::POST, headers: &headers, client: &client, uri: &uri, asked };
        let suffix = uri.path().strip_prefix("/auth").filter(|rest| !rest.is_empty());
        let original = Original::of(suffix, call)?;
        Ok((original.client.origin().to_string(), original.method, original.target.to_owned()))
    }

    #[track_caller]
    fn check_all(
        target: &str,
        fields: &[(&'static str, &'static str)],
        origin: &str,
        method: Option<Method>,
        path: &str,
    ) {
        let expected = Ok((origin.to_owned(), method, path.to_owned()));
        assert_eq!(read(target, fields), expected, "{target} {fields:?}");
    }

    #[track_caller]
    fn refuse(target: &str, fields: &[(&'static str, &'static str)], fault: AskerFault) {
        assert_eq!(read(target, fields), Err(fault), "{target} {fields:?}");
    }

    const HERE: &str = "https://wiki.example";

    #[test]
    fn every_way_to_name_the_uri_is_read() {
        for name in [FORWARDED_URI, ORIGINAL_URL, ORIGINAL_URI] {
            check_all("/auth", &[(name, "/a%20b?c=d,e")], HERE, None, "/a%20b?c=d,e");
        }
        check_all("/auth/", &[], HERE, Some(Method::POST), "/");
        check_all("/auth/a//b?c=d", &[], HERE, Some(Method::POST), "/a//b?c=d");
        check_all("/auth?allowed_groups=x", &[(FORWARDED_URI, "/a")], HERE, None, "/a");
        refuse("/auth", &[], AskerFault::NoUri);
        refuse("/auth?x", &[(FORWARDED_HOST, "wiki.example")], AskerFault::NoUri);
    }

    #[test]
    fn an_absolute_url_names_the_origin_too() {
        let check =
            |url, origin, path| check_all("/auth", &[(ORIGINAL_URL, url)], origin, None, path);
        check("http://other.example:81/x?y", "http://other.example:81", "/x?y");
        check("HTTPS://Wiki.Example/", "https://wiki.example", "/");
        for wrong in [
            "https://wiki.example",
            "https://u@wiki.example/",
            "https:///x",
            "ftp://a/",
            "wiki",
            "",
        ] {
            refuse("/auth", &[(ORIGINAL_URL, wrong)], AskerFault::Unclear(ORIGINAL_URL));
        }
        let url = (ORIGINAL_URL, "https://WIKI.example.:443/x");
        let same = [url, (FORWARDED_HOST, "wiki.example"), (FORWARDED_PROTO, "https")];
        check_all("/auth", &same, "https://wiki.example", None, "/x");
    }

    #[test]
    fn the_method_is_believed_from_the_family_of_the_uri_only() {
        let (uri, url) = ((FORWARDED_URI, "/a"), (ORIGINAL_URI, "/a"));
        let (forwarded, original) = ((FORWARDED_METHOD, "PUT"), (ORIGINAL_METHOD, "PUT"));
        let check = |fields: &[_], method| check_all("/auth", fields, HERE, method, "/a");
        check(&[uri, forwarded], Some(Method::PUT));
        check(&[url, original], Some(Method::PUT));
        check(&[uri, original], None);
        check(&[url, forwarded], None);
        check(&[uri, forwarded, url, original], Some(Method::PUT));
        check(&[uri, forwarded, url], None);
        check(&[uri, url, original], None);
        let suffixed = "/auth/a";
        let contradiction = AskerFault::Contradiction(FORWARDED_METHOD, OWN_METHOD);
        refuse(suffixed, &[forwarded], contradiction);
        refuse(suffixed, &[(FORWARDED_METHOD, "")], contradiction);
        refuse("/auth", &[uri, (FORWARDED_METHOD, "")], AskerFault::Unclear(FORWARDED_METHOD));
    }

    #[test]
    fn whatever_is_said_twice_must_be_the_same() {
        let uri = (FORWARDED_URI, "/a");
        for other in [ORIGINAL_URI, ORIGINAL_URL] {
            check_all("/auth/a", &[uri, (other, "/a")], HERE, None, "/a");
            let contradiction = AskerFault::Contradiction(FORWARDED_URI, other);
            refuse("/auth", &[uri, (other, "/a?b")], contradiction);
        }
        refuse("/auth/b", &[uri], AskerFault::Contradiction(FORWARDED_URI, SUFFIX));
        refuse("/auth/a?b", &[uri], AskerFault::Contradiction(FORWARDED_URI, SUFFIX));
        refuse("/auth", &[uri, uri], AskerFault::Unclear(FORWARDED_URI));
        let methods = [(FORWARDED_METHOD, "GET"), (ORIGINAL_METHOD, "POST")];
        refuse(
            "/auth",
            &[uri, methods[0], methods[1]],
            AskerFault::Contradiction(FORWARDED_METHOD, ORIGINAL_METHOD),
        );
        let elsewhere = (ORIGINAL_URL, "http://other.example/a");
        for (name, value) in [(FORWARDED_HOST, "wiki.example"), (FORWARDED_PROTO, "https")] {
            let contradiction = AskerFault::Contradiction(name, ORIGINAL_URL);
            refuse("/auth", &[elsewhere, (name, value)], contradiction);
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for wrong in ["", "a", "*", "http://wiki.example/", "/a b", "/\t"] {
            refuse("/auth", &[(FORWARDED_URI, wrong)], AskerFault::Unclear(FORWARDED_URI));
        }
        let uri = (FORWARDED_URI, "/a");
        for (name, value) in [(FORWARDED_HOST, "a@b"), (FORWARDED_PROTO, "gopher")] {
            refuse("/auth", &[uri, (name, value)], AskerFault::Unclear(name));
        }
    }
}
