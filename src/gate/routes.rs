//! Host and path -> the one route that they lead to.
//! Invariant: a route is found only where every reading of the path leads to it, and none to a path of
//! the gateway's own. Proxying, the auth endpoints and `explain` all look here.

use crate::error::Error;
use crate::gate::route::Route;
use crate::routing::host::normal;
use crate::routing::path::{PathInterpretation, PathInterpretations, PathPrefix};
use crate::routing::{Found, Table};

/// What is in front of what.
#[derive(Debug)]
pub struct Routes {
    table: Table<Route>,
    prefix: PathPrefix,
}

impl Routes {
    /// These routes, beside our own paths under `prefix`.
    pub fn new(table: Table<Route>, prefix: PathPrefix) -> Self {
        Self { table, prefix }
    }

    /// The route that every reading of a path has.
    pub fn find(
        &self,
        host: &str,
        interpretations: &PathInterpretations<'_>,
    ) -> Result<&Route, Error> {
        let host = normal(host);
        let route = self.of_reading(&host, interpretations.plain())?;
        // SECURITY: an upstream that reads the path in another way must not be a way to another route.
        let leads_there = |interpretation: &&PathInterpretation<'_>| {
            self.of_reading(&host, interpretation).is_ok_and(|other| std::ptr::eq(other, route))
        };
        match interpretations.others().iter().find(|interpretation| !leads_there(interpretation)) {
            None => Ok(route),
            Some(interpretation) => {
                Err(Error::Ambiguous { interpretation: interpretation.path().to_owned() })
            }
        }
    }

    /// All routes.
    pub fn all(&self) -> impl Iterator<Item = &Route> {
        self.table.entries()
    }

    /// The route that every path of a host has: its only one, at `/`.
    pub fn only_of(&self, host: &str) -> Option<&Route> {
        self.table.only_of(&normal(host))
    }

    /// Whether some route has this host.
    pub fn has_host(&self, host: &str) -> bool {
        self.table.has_host(&normal(host))
    }

    /// What is left of a path of our own behind the prefix; `None` for all other paths.
    pub fn below_prefix<'p>(&self, path: &'p str) -> Option<&'p str> {
        self.prefix.rest(path)
    }

    fn of_reading(
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
    use crate::gate::route::{Settings, Unauthenticated};
    use crate::policy::Policy;
    use crate::routing::host::HostPattern;
    use crate::telemetry::metrics::Metrics;

    fn routes(prefix: &str) -> Routes {
        let entry = |path: &str| {
            let (host, path) = (HostPattern::parse("a.example"), PathPrefix::parse(path));
            let (host, path) = (host.unwrap(), path.unwrap());
            let settings = Settings {
                name: path.as_str().into(),
                host: host.clone(),
                path: path.clone(),
                upstream: None,
                request_body: None,
                allow: Policy::Public,
                providers: None,
                unauthenticated: Unauthenticated::Auto,
                websocket_origins: Vec::new(),
                identity_headers: Vec::new(),
            };
            let meter = Metrics::default().route(&settings.name);
            (host, path, Route::new(settings, None, meter))
        };
        Routes::new(Table::new([entry("/"), entry("/private")]), PathPrefix::parse(prefix).unwrap())
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
    fn all_readings_of_a_path_lead_to_its_route() {
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
    fn our_own_paths_lead_nowhere_in_any_reading() {
        check("a.example", "/oauth2", Err(Error::NoRoute));
        check("a.example", "/%6fauth2/start", Err(Error::NoRoute));
        check("a.example", "/oauth2x", Ok("/"));
        check("a.example", "//oauth2/start", ambiguous("/oauth2/start"));
        check("a.example", "/OAuth2/start", ambiguous("/oauth2/start"));
    }

    #[test]
    fn a_prefix_with_capitals_is_guarded_too() {
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
