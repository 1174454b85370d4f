//! Own endpoint or gated route; turns any error into a page; always answers.

use crate::app::App;
use crate::endpoints::{Call, Endpoint};
use crate::error::Error;
use crate::gate::route::Route;
use crate::pages::{Asked, Format};
use crate::routing::Found;
use crate::routing::host;
use crate::routing::path::Readings;
use crate::server::{Answered, Handler, Incoming, Refusal};

/// What a request is for.
enum Place<'r, 'p> {
    /// One of our own paths.
    Own(Endpoint<'p>),
    /// A route, the same in every reading of the path.
    Route(&'r Route, &'p Readings<'p>),
}

impl Handler for App {
    async fn handle(&self, incoming: Box<Incoming>) -> Answered {
        let request_id = incoming.client.request_id();
        let asked =
            Asked::of(incoming.request.method(), incoming.request.headers(), request_id.as_str());
        let uri = incoming.request.uri().clone();
        let readings = Readings::of(uri.path());
        let place = match &readings {
            Ok(readings) => self.place(readings, incoming.client.host()),
            Err(malformed) => Err(Error::Path(*malformed)),
        };
        let (meter, answer) = match place {
            Ok(Place::Own(endpoint)) => {
                let (request, client) = (&incoming.request, &incoming.client);
                let (method, headers) = (request.method(), request.headers());
                let call = Call { method, headers, client, uri: &uri, asked };
                // Boxed: rare, and its size would be that of every request's future.
                let answer = Box::pin(self.endpoints.answer(endpoint, call)).await;
                (self.metrics.own(), answer.map(Answered::from))
            }
            Ok(Place::Route(route, readings)) => {
                (route.meter, self.gate.handle(route, readings, &uri, incoming).await)
            }
            Err(error) => (self.metrics.unrouted(), Err(error)),
        };
        let mut answered = answer.unwrap_or_else(|error| self.refused(&error, &asked));
        answered.outcome.route = Some(meter);
        answered
    }

    fn refuse(&self, refusal: Refusal<'_>) -> Answered {
        let asked = Asked {
            format: Format::of(refusal.headers),
            head: false,
            request_id: refusal.request_id.as_str(),
        };
        self.refused(&Error::Refused(refusal.status), &asked)
    }
}

impl App {
    /// What a request for a path on this host is for.
    fn place<'p>(&self, readings: &'p Readings<'p>, host: &str) -> Result<Place<'_, 'p>, Error> {
        if let Some(below) = self.below_prefix(readings.plain().path()) {
            return Endpoint::at(below).map(Place::Own).ok_or(Error::NoRoute);
        }
        // SECURITY: a path that an upstream, but not we, would read as one of ours.
        if readings.others().iter().any(|other| self.below_prefix(other.path()).is_some()) {
            return Err(Error::Ambiguous);
        }
        match self.route(&host::normal(host), readings) {
            Ok(route) => Ok(Place::Route(route, readings)),
            Err(Error::WrongHost) if matches!(readings.plain().path(), "/ping" | "/ready") => {
                Ok(Place::Own(Endpoint::Ping))
            }
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
