//! Own endpoint or gated route; turns any error into a page; always answers.

use http::Response;

use crate::app::App;
use crate::body::Body;
use crate::endpoints::{Call, Endpoint, ping};
use crate::error::Error;
use crate::gate::route::Route;
use crate::pages::{Asked, Format};
use crate::routing::Found;
use crate::routing::host;
use crate::routing::path::Readings;
use crate::server::{Handler, Incoming, Refusal};

impl Handler for App {
    async fn handle(&self, incoming: Box<Incoming>) -> Response<Body> {
        let request_id = incoming.client.request_id();
        let asked =
            Asked::of(incoming.request.method(), incoming.request.headers(), request_id.as_str());
        match self.answer(incoming, asked).await {
            Ok(response) => response,
            Err(error) => self.refused(&error, &asked),
        }
    }

    fn refuse(&self, refusal: Refusal<'_>) -> Response<Body> {
        let asked = Asked {
            format: Format::of(refusal.headers),
            head: false,
            request_id: refusal.request_id.as_str(),
        };
        self.refused(&Error::Refused(refusal.status), &asked)
    }
}

impl App {
    async fn answer(
        &self,
        incoming: Box<Incoming>,
        asked: Asked<'_>,
    ) -> Result<Response<Body>, Error> {
        let uri = incoming.request.uri().clone();
        let readings = Readings::of(uri.path())?;
        if let Some(below) = self.below_prefix(readings.plain().path()) {
            let endpoint = Endpoint::at(below).ok_or(Error::NoRoute)?;
            let (request, client) = (&incoming.request, &incoming.client);
            let (method, headers) = (request.method(), request.headers());
            let call = Call { method, headers, client, uri: &uri, asked };
            // Boxed: rare, and its size would be that of every request's future.
            return Box::pin(self.endpoints.answer(endpoint, call)).await;
        }
        // SECURITY: a path that an upstream, but not we, would read as one of ours.
        if readings.others().iter().any(|other| self.below_prefix(other.path()).is_some()) {
            return Err(Error::Ambiguous);
        }
        let route = self.route(&host::normal(incoming.client.host()), &readings);
        match route {
            Ok(route) => self.gate.handle(route, &readings, &uri, incoming).await,
            Err(Error::WrongHost) if matches!(uri.path(), "/ping" | "/ready") => Ok(ping()),
            Err(error) => Err(error),
        }
    }

    /// The route that every reading of the path has.
    fn route(&self, host: &str, readings: &Readings<'_>) -> Result<&Route, Error> {
        let route = match self.routes.find(host, readings.plain()) {
            Found::Entry(route) => route,
            Found::NoPath => return Err(Error::NoRoute),
            Found::NoHost => return Err(Error::WrongHost),
        };
        let same = |found| matches!(found, Found::Entry(other) if std::ptr::eq(other, route));
        if readings.others().iter().all(|other| same(self.routes.find(host, other))) {
            Ok(route)
        } else {
            Err(Error::Ambiguous)
        }
    }

    fn below_prefix<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(&*self.prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }
}
