//! What a request acts on apart from its own path: the path in `Destination`, and everything below both
//! (WebDAV: RFC 4918 §9.6, §9.8, §9.9, §10.3).
//! Invariant: a second path has the origin and the route of the first, in every interpretation.
//! `gate::decide` evaluates the rules for it.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::error::SecondPathFault;
use crate::gate::route::Route;
use crate::gate::routes::Routes;
use crate::identity::headers::is_spelling_of;
use crate::origin::Origin;
use crate::routing::path::PathInterpretations;
use crate::server::Authority;

/// What a request acts on apart from its own path.
#[derive(Debug, Default)]
pub struct Reach<'a> {
    destination: Destination<'a>,
    depth: Depth,
}

/// The second path of a request.
#[derive(Debug, Default)]
pub enum Destination<'a> {
    /// None, as for nearly every request.
    #[default]
    None,
    /// A path on the same route. Boxed because it is rare, and its size would add to every request's future.
    Path(Box<PathInterpretations<'a>>),
    /// A path with which the request is denied.
    Fault(SecondPathFault),
}

/// How deep a request acts (RFC 4918 §10.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Depth {
    /// On the path only.
    #[default]
    Path,
    /// On everything below it as well.
    Tree,
}

impl<'a> Reach<'a> {
    /// Reads the header fields of a request for `route`, made at `origin`. An unknown method counts as one that
    /// has a `Destination`, if that header is present.
    pub fn of(
        method: Option<&Method>,
        headers: &'a HeaderMap,
        routes: &Routes,
        route: &Route,
        origin: impl FnOnce() -> Origin,
    ) -> Self {
        let has_rules = !route.ruled_paths.is_empty();
        // Nearly every request ends here.
        if !has_rules && !headers.contains_key(&DESTINATION) {
            return Self::default();
        }
        let methods = Methods { own: method, headers };
        let depth = if methods.has_one_of(&DEEP) { Depth::Tree } else { Depth::Path };
        let mut sent = headers.get_all(&DESTINATION).iter();
        let destination = match (sent.next(), sent.next()) {
            _ if has_rules && methods.has_one_of(&IN_BODY) => {
                Destination::Fault(SecondPathFault::InBody)
            }
            (None, _) if has_rules && methods.has_one_of(&WITH_DESTINATION) => {
                Destination::Fault(SecondPathFault::NoDestination)
            }
            (None, _) => Destination::None,
            (Some(_), _) if methods.are_plain() => Destination::None,
            (Some(value), None) => second_path(value, routes, route, origin)
                .map_or_else(Destination::Fault, |interpretations| {
                    Destination::Path(Box::new(interpretations))
                }),
            (Some(_), Some(_)) => Destination::Fault(SecondPathFault::Malformed),
        };
        Self { destination, depth }
    }

    /// The second path.
    pub fn destination(&self) -> &Destination<'a> {
        &self.destination
    }

    /// Whether the request acts on everything below its paths as well.
    pub fn is_deep(&self) -> bool {
        self.depth == Depth::Tree
    }
}

/// Whether a request has a method override.
pub fn is_overridden(headers: &HeaderMap) -> bool {
    METHOD_OVERRIDES.iter().any(|name| headers.contains_key(name))
}

/// Whether a header name is a spelling of the name of a method override.
pub fn is_method_override(name: &str) -> bool {
    METHOD_OVERRIDES.iter().any(|known| is_spelling_of(name, known.as_str()))
}

/// Removes method overrides.
// SECURITY: an application that obeys one would do what a rule with `methods` does not allow.
pub(super) fn remove_overrides(headers: &mut HeaderMap) {
    for name in &METHOD_OVERRIDES {
        headers.remove(name);
    }
}

/// The methods that an application may read in a request.
struct Methods<'a> {
    own: Option<&'a Method>,
    headers: &'a HeaderMap,
}

impl Methods<'_> {
    fn has_one_of(&self, names: &[&str]) -> bool {
        self.all().any(|method| is_one_of(method, names))
    }

    /// Whether applications ignore `Destination` with all of these methods.
    fn are_plain(&self) -> bool {
        self.own.is_some() && self.all().all(|method| is_one_of(method, &PLAIN))
    }

    /// The request's own method, and those in its method overrides.
    // SECURITY: on routes without `methods` rules the overrides are forwarded, so a `POST` may be a `MOVE`.
    fn all(&self) -> impl Iterator<Item = &[u8]> {
        let headers = self.headers;
        let others = METHOD_OVERRIDES.iter().flat_map(move |name| headers.get_all(name));
        let own = self.own.map(|method| method.as_str().as_bytes());
        own.into_iter().chain(others.map(|value| value.as_bytes().trim_ascii()))
    }
}

/// Compares case-insensitively, as some applications do.
fn is_one_of(method: &[u8], names: &[&str]) -> bool {
    names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(method))
}

/// All interpretations of the path in `Destination`, if they are on the route.
fn second_path<'a>(
    value: &'a HeaderValue,
    routes: &Routes,
    route: &Route,
    origin: impl FnOnce() -> Origin,
) -> Result<PathInterpretations<'a>, SecondPathFault> {
    let text = value.to_str().map_err(|_| SecondPathFault::Malformed)?;
    let here = origin();
    let path = path_at(text, &here)?;
    let interpretations =
        routes.interpret(here.host(), path).map_err(|_| SecondPathFault::Malformed)?;
    match routes.find(here.host(), &interpretations) {
        Ok(found) if std::ptr::eq(found, route) => Ok(interpretations),
        Ok(_) | Err(_) => Err(SecondPathFault::OtherRoute),
    }
}

/// The path of a `Simple-ref` (RFC 4918 §8.3): an absolute URL of this origin, or a path.
// It is split without changing a byte, so that the upstream receives what was decided on.
fn path_at<'t>(text: &'t str, here: &Origin) -> Result<&'t str, SecondPathFault> {
    let malformed = SecondPathFault::Malformed;
    // SECURITY: `//host/path` is a host to one parser and a path to another.
    if text.starts_with("//") || text.contains('#') {
        return Err(malformed);
    }
    let target = if text.starts_with('/') {
        text
    } else {
        let (scheme, rest) = text.split_once("://").ok_or(malformed)?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(SecondPathFault::OtherOrigin),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).ok_or(malformed)?;
        let authority = HeaderValue::from_str(authority).ok().and_then(Authority::parse);
        let authority = authority.ok_or(malformed)?;
        if Origin::of_host(https, authority.host(), authority.port()) != *here {
            return Err(SecondPathFault::OtherOrigin);
        }
        target
    };
    Ok(match target.split('?').next() {
        None | Some("") => "/",
        Some(path) => path,
    })
}

/// The header with the second path of a request (RFC 4918 §10.3).
pub const DESTINATION: HeaderName = HeaderName::from_static("destination");
/// Headers that tell an application to handle a request as one with another method.
static METHOD_OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];
/// Methods with which no application reads a `Destination`.
const PLAIN: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];
/// Methods that need a `Destination` (RFC 4918 §9.8, §9.9).
const WITH_DESTINATION: [&str; 2] = ["COPY", "MOVE"];
/// Methods that act on everything below a path (RFC 4918 §9.6.1, §9.8.3, §9.9.2).
const DEEP: [&str; 3] = ["COPY", "MOVE", "DELETE"];
/// Methods that have a second path in their body (RFC 5842 §4, §5, §6).
const IN_BODY: [&str; 3] = ["BIND", "REBIND", "UNBIND"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::gate::route::tests::route;
    use crate::policy::Policy;
    use crate::policy::rule::Rule;
    use crate::routing::Table;
    use crate::routing::path::PathPrefix;

    /// Routes on every host: `/` with a rule for `/ruled/x`, and `/open` without one.
    fn routes() -> Routes {
        let ruled = vec![PathPrefix::parse("/ruled/x").unwrap()];
        let rule = Rule { public: true, paths: Some(ruled), ..Rule::default() };
        let routes =
            [route("*", "/", Policy::Rules(vec![rule])), route("*", "/open", Policy::Public)];
        Routes::new(Table::new(routes), PathPrefix::parse("/oauth2").unwrap())
    }

    /// The reach of a request for the route of `path`: its second path, and whether it is deep.
    fn reach(
        method: Option<&str>,
        path: &str,
        fields: &[(&'static str, &str)],
    ) -> (Result<Option<String>, SecondPathFault>, bool) {
        let (routes, mut headers) = (routes(), HeaderMap::new());
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let method = method.map(|method| method.parse().unwrap());
        let route = routes.find("a.example", &PathInterpretations::of(path).unwrap()).unwrap();
        let origin = || Origin::parse("https://a.example").unwrap();
        let reach = Reach::of(method.as_ref(), &headers, &routes, route, origin);
        let second = match reach.destination() {
            Destination::None => Ok(None),
            Destination::Path(interpretations) => {
                Ok(Some(interpretations.plain().path().to_owned()))
            }
            Destination::Fault(fault) => Err(*fault),
        };
        (second, reach.is_deep())
    }

    #[track_caller]
    fn check(destination: &str, expected: Result<&str, SecondPathFault>) {
        let (second, _) = reach(Some("MOVE"), "/a", &[("destination", destination)]);
        let expected = expected.map(|path| Some(path.to_owned()));
        assert_eq!(second, expected, "{destination}");
    }

    #[test]
    fn destination_of_the_same_origin_is_read_as_a_path() {
        check("/b%20c?q=/open", Ok("/b c"));
        check("https://a.example/b", Ok("/b"));
        check("HTTPS://A.Example.:443/b;v=1/", Ok("/b;v=1/"));
        check("https://a.example", Ok("/"));
        check("https://a.example?x", Ok("/"));
    }

    #[test]
    fn destination_of_another_origin_is_a_bad_gateway() {
        for other in [
            "http://a.example/b",
            "https://a.example:8443/b",
            "https://b.example/b",
            "https://a.example.evil.example/b",
            "ftp://a.example/b",
        ] {
            check(other, Err(SecondPathFault::OtherOrigin));
            assert_eq!(of_status(SecondPathFault::OtherOrigin), 502);
        }
    }

    #[test]
    fn destination_that_two_parsers_could_read_differently_is_rejected() {
        for malformed in [
            "",
            "b",
            "../b",
            "//a.example/b",
            "//evil.example/b",
            "https:/a.example/b",
            "https:///b",
            "https://a.example:/b",
            "https://a.example\\@evil.example/b",
            "https://u@a.example/b",
            "https://evil.example#@a.example/b",
            "/b#/c",
            "/b c",
            "/a/../b",
            "/a/%2e%2e/b",
            "/b\\c",
            "/b%00",
            "/%zz",
            "/a, /open/b",
        ] {
            check(malformed, Err(SecondPathFault::Malformed));
            assert_eq!(of_status(SecondPathFault::Malformed), 403);
        }
    }

    #[test]
    fn destination_on_another_route_in_any_interpretation_is_denied() {
        for elsewhere in ["/open/b", "/OPEN", "/x/..%2fopen", "/;/open"] {
            check(elsewhere, Err(SecondPathFault::OtherRoute));
        }
        check("/oauth2/sign_out", Err(SecondPathFault::OtherRoute));
        let (second, _) = reach(Some("COPY"), "/open/a", &[("destination", "/open/b")]);
        assert_eq!(second, Ok(Some("/open/b".to_owned())));
        let (second, _) = reach(Some("COPY"), "/open/a", &[("destination", "/b")]);
        assert_eq!(second, Err(SecondPathFault::OtherRoute));
    }

    #[test]
    fn second_value_of_destination_is_rejected() {
        let twice = [("destination", "/b"), ("destination", "/b")];
        assert_eq!(reach(Some("MOVE"), "/a", &twice).0, Err(SecondPathFault::Malformed));
    }

    #[test]
    fn destination_is_needed_by_some_methods_and_ignored_with_others() {
        let second = |method: &str, path: &str| reach(Some(method), path, &[]).0;
        for method in ["MOVE", "COPY", "move"] {
            assert_eq!(second(method, "/a"), Err(SecondPathFault::NoDestination), "{method}");
            assert_eq!(second(method, "/open"), Ok(None), "{method}");
        }
        for method in ["BIND", "REBIND", "UNBIND"] {
            assert_eq!(second(method, "/a"), Err(SecondPathFault::InBody), "{method}");
            assert_eq!(second(method, "/open"), Ok(None), "{method}");
        }
        let with = |method| reach(method, "/a", &[("destination", "https://evil.example/")]).0;
        for method in ["GET", "PUT", "DELETE", "POST"] {
            assert_eq!(second(method, "/a"), Ok(None), "{method}");
            assert_eq!(with(Some(method)), Ok(None), "{method}");
        }
        for method in [Some("PROPFIND"), Some("X-MOVE"), None] {
            assert_eq!(with(method), Err(SecondPathFault::OtherOrigin), "{method:?}");
        }
        assert_eq!(reach(None, "/a", &[]), (Ok(None), false));
    }

    #[test]
    fn method_that_acts_on_a_tree_is_deep_where_paths_have_rules() {
        for (method, deep) in [("MOVE", true), ("COPY", true), ("DELETE", true), ("PUT", false)] {
            assert_eq!(reach(Some(method), "/a", &[]).1, deep, "{method}");
            assert!(!reach(Some(method), "/open", &[]).1, "{method}");
        }
    }

    #[test]
    fn method_override_counts_as_the_method() {
        for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
            let of_override = |method| reach(Some("POST"), "/a", &[(name, method)]);
            assert_eq!(of_override(" Move"), (Err(SecondPathFault::NoDestination), true), "{name}");
            assert_eq!(of_override("delete"), (Ok(None), true), "{name}");
            assert_eq!(of_override("PUT"), (Ok(None), false), "{name}");
            let fields = [(name, "MOVE"), ("destination", "/b")];
            let (second, _) = reach(Some("POST"), "/open", &fields);
            assert_eq!(second, Err(SecondPathFault::OtherRoute), "{name}");
        }
    }

    fn of_status(fault: SecondPathFault) -> u16 {
        Error::SecondPath(fault).status().as_u16()
    }
}
