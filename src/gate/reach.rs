//! What a request acts on beside its own path: the path in `Destination`, and everything below either
//! (WebDAV: RFC 4918 §9.6, §9.8, §9.9, §10.3).
//! Invariant: a second path is taken only from where the first came from: same origin, same route, in
//! every reading. `gate::decide` asks the rules about it.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::error::SecondPathFault;
use crate::gate::route::Route;
use crate::gate::routes::Routes;
use crate::identity::headers::is_spelling_of;
use crate::origin::Origin;
use crate::routing::path::PathInterpretations;
use crate::server::Authority;

/// What a request acts on beside its own path.
#[derive(Debug, Default)]
pub struct Reach<'a> {
    destination: Destination<'a>,
    depth: Depth,
}

/// The second path of a request.
#[derive(Debug, Default)]
pub enum Destination<'a> {
    /// There is none: nearly every request.
    #[default]
    None,
    /// On the same route. Boxed: rare, and its size would be that of every request's future.
    Path(Box<PathInterpretations<'a>>),
    /// The request may not pass with it.
    Fault(SecondPathFault),
}

/// How far down a request acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Depth {
    /// On the path itself.
    #[default]
    Path,
    /// On everything below it, too.
    Tree,
}

impl<'a> Reach<'a> {
    /// Reads the fields of a request for a route; `origin` is where it was made. A method that is not
    /// known is taken for one with a `Destination`, if that is there.
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

    /// Whether the request acts on everything below its paths, too.
    pub fn is_deep(&self) -> bool {
        self.depth == Depth::Tree
    }
}

/// Whether a request asks to be taken for one with another method.
pub fn is_overridden(headers: &HeaderMap) -> bool {
    METHOD_OVERRIDES.iter().any(|name| headers.contains_key(name))
}

/// Whether a name is that of a method override, in whatever spelling.
pub fn is_method_override(name: &str) -> bool {
    METHOD_OVERRIDES.iter().any(|known| is_spelling_of(name, known.as_str()))
}

/// Removes what asks for another method than the one that was decided on.
// SECURITY: an application that obeys would do what a rule with `methods` refused (T22).
pub(super) fn remove_overrides(headers: &mut HeaderMap) {
    for name in &METHOD_OVERRIDES {
        headers.remove(name);
    }
}

/// The methods that an application may take a request for.
struct Methods<'a> {
    own: Option<&'a Method>,
    headers: &'a HeaderMap,
}

impl Methods<'_> {
    fn has_one_of(&self, names: &[&str]) -> bool {
        self.all().any(|method| is_one_of(method, names))
    }

    /// Whether none of them could have a `Destination`.
    fn are_plain(&self) -> bool {
        self.own.is_some() && self.all().all(|method| is_one_of(method, &PLAIN))
    }

    /// Its own, and those that method overrides name. SECURITY: on routes without `methods` rules those
    /// arrive, and a `POST` may be a `MOVE`.
    fn all(&self) -> impl Iterator<Item = &[u8]> {
        let headers = self.headers;
        let others = METHOD_OVERRIDES.iter().flat_map(move |name| headers.get_all(name));
        let own = self.own.map(|method| method.as_str().as_bytes());
        own.into_iter().chain(others.map(|value| value.as_bytes().trim_ascii()))
    }
}

/// Applications exist that take a method without letter case.
fn is_one_of(method: &[u8], names: &[&str]) -> bool {
    names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(method))
}

/// All readings of the path in `Destination`, if they are on the route.
fn second_path<'a>(
    value: &'a HeaderValue,
    routes: &Routes,
    route: &Route,
    origin: impl FnOnce() -> Origin,
) -> Result<PathInterpretations<'a>, SecondPathFault> {
    let text = value.to_str().map_err(|_| SecondPathFault::Malformed)?;
    let here = origin();
    let path = path_at(text, &here)?;
    let interpretations = PathInterpretations::of(path).map_err(|_| SecondPathFault::Malformed)?;
    match routes.find(here.host(), &interpretations) {
        Ok(found) if std::ptr::eq(found, route) => Ok(interpretations),
        Ok(_) | Err(_) => Err(SecondPathFault::OtherRoute),
    }
}

/// The path of a `Simple-ref` (RFC 4918 §8.3): an absolute URL of this origin, or a path of its own.
// Taken apart without changing a byte: what is decided on is what arrives.
fn path_at<'t>(text: &'t str, here: &Origin) -> Result<&'t str, SecondPathFault> {
    let malformed = SecondPathFault::Malformed;
    // SECURITY: `//host/path` names a host to one reader and a path to another.
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

/// Names the second path of a request (RFC 4918 §10.3).
pub const DESTINATION: HeaderName = HeaderName::from_static("destination");
/// By these an application is asked to take a request for one with another method.
static METHOD_OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];
/// Methods that no application reads a `Destination` for.
const PLAIN: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];
/// Methods that need one (RFC 4918 §9.8, §9.9).
const WITH_DESTINATION: [&str; 2] = ["COPY", "MOVE"];
/// Methods that act on everything below a path (RFC 4918 §9.6.1, §9.8.3, §9.9.2).
const DEEP: [&str; 3] = ["COPY", "MOVE", "DELETE"];
/// Methods that name a second path in their body (RFC 5842 §4, §5, §6).
const IN_BODY: [&str; 3] = ["BIND", "REBIND", "UNBIND"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::route::{Settings, Unauthenticated};
    use crate::policy::Policy;
    use crate::policy::rule::Rule;
    use crate::routing::Table;
    use crate::routing::host::HostPattern;
    use crate::routing::path::PathPrefix;
    use crate::telemetry::metrics::Metrics;

    /// `/` of a.example has a rule for `/ruled/x`, `/open` has none.
    fn routes() -> Routes {
        let entry = |path: &str, allow: Policy| {
            let (host, path) = (HostPattern::Any, PathPrefix::parse(path).unwrap());
            let settings = Settings {
                name: path.as_str().into(),
                host: host.clone(),
                path: path.clone(),
                upstream: None,
                request_body: None,
                allow,
                providers: None,
                unauthenticated: Unauthenticated::Auto,
                websocket_origins: Vec::new(),
                identity_headers: Vec::new(),
            };
            let meter = Metrics::default().route(&settings.name);
            (host, path, Route::new(settings, None, meter))
        };
        let ruled = vec![PathPrefix::parse("/ruled/x").unwrap()];
        let rule = Rule { public: true, paths: Some(ruled), ..Rule::default() };
        let routes = [entry("/", Policy::Rules(vec![rule])), entry("/open", Policy::Public)];
        Routes::new(Table::new(routes), PathPrefix::parse("/oauth2").unwrap())
    }

    /// What a request for the route of `path` reaches: its second path, and how deep it goes.
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
    fn destination_that_two_readers_could_take_for_two_paths_is_refused() {
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
    fn destination_on_another_route_in_any_reading_is_refused() {
        for elsewhere in
            ["/open/b", "/OPEN", "/x/..%2fopen", "//open".replace("//", "/;/").as_str()]
        {
            check(elsewhere, Err(SecondPathFault::OtherRoute));
        }
        check("/oauth2/sign_out", Err(SecondPathFault::OtherRoute));
        let (second, _) = reach(Some("COPY"), "/open/a", &[("destination", "/open/b")]);
        assert_eq!(second, Ok(Some("/open/b".to_owned())));
        let (second, _) = reach(Some("COPY"), "/open/a", &[("destination", "/b")]);
        assert_eq!(second, Err(SecondPathFault::OtherRoute));
    }

    #[test]
    fn second_value_of_destination_is_refused() {
        let twice = [("destination", "/b"), ("destination", "/b")];
        assert_eq!(reach(Some("MOVE"), "/a", &twice).0, Err(SecondPathFault::Malformed));
    }

    #[test]
    fn methods_without_destination_are_told_from_those_that_need_one() {
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
    fn methods_that_act_on_a_tree_are_deep_where_paths_have_rules() {
        for (method, deep) in [("MOVE", true), ("COPY", true), ("DELETE", true), ("PUT", false)] {
            assert_eq!(reach(Some(method), "/a", &[]).1, deep, "{method}");
            assert!(!reach(Some(method), "/open", &[]).1, "{method}");
        }
    }

    #[test]
    fn method_override_counts_as_the_method() {
        for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
            let asked = |method| reach(Some("POST"), "/a", &[(name, method)]);
            assert_eq!(asked(" Move"), (Err(SecondPathFault::NoDestination), true), "{name}");
            assert_eq!(asked("delete"), (Ok(None), true), "{name}");
            assert_eq!(asked("PUT"), (Ok(None), false), "{name}");
            let fields = [(name, "MOVE"), ("destination", "/b")];
            let (second, _) = reach(Some("POST"), "/open", &fields);
            assert_eq!(second, Err(SecondPathFault::OtherRoute), "{name}");
        }
    }

    fn of_status(fault: SecondPathFault) -> u16 {
        crate::error::Error::SecondPath(fault).status().as_u16()
    }
}
