//! Host and path -> route.
//! Invariant: a route is found only if every interpretation of the path leads to it, and none to an endpoint of
//! the gateway. Proxying, the auth endpoints and `explain` all use it.

use crate::error::Error;
use crate::gate::route::Route;
use crate::routing::host::normal;
use crate::routing::path::{Malformed, PathInterpretation, PathInterpretations, PathPrefix};
use crate::routing::{Found, Table};

/// All routes.
#[derive(Debug)]
pub struct Routes {
    table: Table<Route>,
    prefix: PathPrefix,
}

impl Routes {
    /// The routes in `table`. Paths below `prefix` are the gateway's endpoints, on every host.
    pub fn new(table: Table<Route>, prefix: PathPrefix) -> Self {
        Self { table, prefix }
    }

    /// The route that every interpretation of a path leads to.
    pub fn find(
        &self,
        host: &str,
        interpretations: &PathInterpretations<'_>,
    ) -> Result<&Route, Error> {
        let host = normal(host);
        let route = self.of_interpretation(&host, interpretations.plain())?;
        // SECURITY: an upstream that interprets the path in another way must not be a way to another route.
        let leads_there = |interpretation: &&PathInterpretation<'_>| {
            self.of_interpretation(&host, interpretation)
                .is_ok_and(|other| std::ptr::eq(other, route))
        };
        match interpretations.others().iter().find(|interpretation| !leads_there(interpretation)) {
            None => Ok(route),
            Some(interpretation) => {
                Err(Error::Ambiguous { interpretation: interpretation.path().to_owned() })
            }
        }
    }

    /// The interpretations of a path in which `;parameters` are part of a name, each with the route whose rules hold
    /// for it: the one that it leads to, if that has the same upstream as `route`, else `route`; both, if the two have
    /// the same server in another spelling.
    // SECURITY: most upstreams serve `/open;x` as another path than `/open`. It must not be a way around the rules for
    // that path. Two spellings may be two servers after all, so neither the rules of the one nor of the other are enough.
    pub fn with_parameters<'r, 'p>(
        &'r self,
        host: &str,
        interpretations: &'p PathInterpretations<'p>,
        route: &'r Route,
    ) -> Vec<(&'r Route, &'p PathInterpretation<'p>)> {
        let with_parameters = interpretations.with_parameters();
        if with_parameters.is_empty() {
            // This is so for nearly every request.
            return Vec::new();
        }
        let host = normal(host);
        let of_rules = |interpretation| {
            let found = self.of_interpretation(&host, interpretation).ok();
            let found = found.filter(|found| found.may_share_upstream(route));
            let own = found.is_none_or(|found| !found.has_upstream_of(route)).then_some(route);
            own.into_iter().chain(found).map(move |route| (route, interpretation))
        };
        with_parameters.iter().flat_map(of_rules).collect()
    }

    /// Every way to interpret a path on a host. A path that is not UTF-8 is malformed, unless the host has only a
    /// route at `/` whose rules name no path: there it has one interpretation.
    // SECURITY: an upstream may read such bytes in any encoding, so no `paths` and no other route may be there.
    pub fn interpret<'p>(
        &self,
        host: &str,
        raw: &'p str,
    ) -> Result<PathInterpretations<'p>, Malformed> {
        match PathInterpretations::of(raw) {
            Err(Malformed::Utf8)
                if self.only_of(host).is_some_and(|only| only.ruled_paths.is_empty()) =>
            {
                PathInterpretations::of_any_encoding(raw)
            }
            interpretations => interpretations,
        }
    }

    /// The only route of a host, if it is at `/`, so that every path leads to it.
    pub fn only_of(&self, host: &str) -> Option<&Route> {
        self.table.only_of(&normal(host))
    }

    /// Whether a route has this host.
    pub fn has_host(&self, host: &str) -> bool {
        self.table.has_host(&normal(host))
    }

    /// The rest of a path behind the prefix of the gateway's endpoints; `None` for every other path.
    pub fn below_prefix<'p>(&self, path: &'p str) -> Option<&'p str> {
        self.prefix.rest(path)
    }

    fn of_interpretation(
        &self,
        host: &str,
        interpretation: &PathInterpretation<'_>,
    ) -> Result<&Route, Error> {
        if self.prefix.matches(interpretation) {
            return Err(Error::NoRoute);
        }
        match self.table.find(host, interpretation) {
            Found::Entry(route) => Ok(route),
            Found::WithExtension(path) => {
                Err(Error::Ambiguous { interpretation: path.as_str().to_owned() })
            }
            Found::Either | Found::NoPath => Err(Error::NoRoute),
            Found::NoHost => Err(Error::WrongHost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::route::tests::route;
    use crate::policy::Policy;
    use crate::policy::rule::Rule;

    fn routes(prefix: &str) -> Routes {
        let entries = ["/", "/private"].map(|path| route("a.example", path, Policy::Public));
        Routes::new(Table::new(entries), PathPrefix::parse(prefix).unwrap())
    }

    #[track_caller]
    fn check(host: &str, path: &str, expected: Result<&str, Error>) {
        let (routes, interpretations) = (routes("/oauth2"), PathInterpretations::of(path).unwrap());
        let found = routes.find(host, &interpretations).map(|route| route.name.to_string());
        let expected = expected.map(str::to_owned);
        assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{host}{path}");
    }

    fn ambiguous(interpretation: &str) -> Result<&'static str, Error> {
        Err(Error::Ambiguous { interpretation: interpretation.to_owned() })
    }

    #[test]
    fn route_is_found_where_all_interpretations_of_a_path_lead_to_it() {
        check("a.example", "/private/x", Ok("/private"));
        check("A.Example.", "/private//x", Ok("/private"));
        check("a.example", "/x%2fy", Ok("/"));
        check("a.example", "/x/..%2fprivate", ambiguous("/private"));
        check("a.example", "//private", ambiguous("/private"));
        check("a.example", "/PRIVATE", ambiguous("/private"));
        check("a.example", "/private.json", ambiguous("/private"));
        check("a.example", "/Private.json", ambiguous("/private.json"));
        check("a.example", "/private/x.json", Ok("/private"));
        check("a.example", "/x/private.json", Ok("/"));
        check("b.example", "/", Err(Error::WrongHost));
    }

    #[test]
    fn path_that_is_not_utf8_is_interpreted_on_a_host_with_one_route_without_paths() {
        let ruled = Policy::Rules(vec![Rule {
            paths: Some(vec![PathPrefix::parse("/open").unwrap()]),
            ..Rule::default()
        }]);
        let table = Table::new([
            route("one.example", "/", Policy::Authenticated),
            route("two.example", "/", Policy::Authenticated),
            route("two.example", "/x", Policy::Public),
            route("ruled.example", "/", ruled),
        ]);
        let routes = Routes::new(table, PathPrefix::parse("/oauth2").unwrap());
        let path = "/caf%e9";
        let interpretations = routes.interpret("One.example", path).unwrap();
        assert!(routes.find("one.example", &interpretations).is_ok());
        for host in ["two.example", "ruled.example", "unknown.example"] {
            assert_eq!(routes.interpret(host, path).err(), Some(Malformed::Utf8), "{host}");
        }
    }

    #[test]
    fn path_with_parameters_is_on_the_route_of_its_name() {
        let table = Table::new(["/", "/app"].map(|path| route("a.example", path, Policy::Public)));
        let routes = Routes::new(table, PathPrefix::parse("/oauth2").unwrap());
        let find = |path: &str| {
            let interpretations = routes.interpret("a.example", path).unwrap();
            let with =
                routes.find("a.example", &interpretations).map(|route| route.name.to_string());
            let named = interpretations.by_names(path);
            let named = routes.find("a.example", &named).map(|route| route.name.to_string());
            (named.ok(), with.ok())
        };
        let app = || Some("/app".to_owned());
        for path in ["/app;jsessionid=1", "/app;a/b", "/app;a;b/c;d"] {
            assert_eq!(find(path), (app(), None), "{path}");
        }
        assert_eq!(find("/app/x;y"), (app(), app()));
        for path in ["/app%3bx", "/app;%3b", "/x;%2f..%2f..%2fapp", "/oauth2;x", "/x/..;/app"] {
            assert_eq!(find(path), (None, None), "{path}");
        }
    }

    #[test]
    fn endpoint_path_leads_to_no_route_in_any_interpretation() {
        check("a.example", "/oauth2", Err(Error::NoRoute));
        check("a.example", "/%6fauth2/start", Err(Error::NoRoute));
        check("a.example", "/oauth2x", Ok("/"));
        check("a.example", "//oauth2/start", ambiguous("/oauth2/start"));
        check("a.example", "/OAuth2/start", ambiguous("/oauth2/start"));
    }

    #[test]
    fn prefix_with_capitals_is_reserved_in_every_letter_case() {
        let routes = routes("/Gate");
        let found =
            |path: &str| routes.find("a.example", &PathInterpretations::of(path).unwrap()).err();
        assert!(matches!(found("/Gate/start"), Some(Error::NoRoute)));
        for path in ["/gate/start", "/GATE", "//Gate/start", "/x/..%2fGate"] {
            assert!(matches!(found(path), Some(Error::Ambiguous { .. })), "{path}");
        }
        assert!(found("/gates").is_none());
    }
}
