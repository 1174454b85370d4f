//! Own endpoint or gated route; turns any error into a page; always answers.

use http::{HeaderMap, Method, Uri};

use crate::app::App;
use crate::endpoints::{Call, Endpoint};
use crate::error::Error;
use crate::pages::{Asked, Format};
use crate::routing::path::Readings;
use crate::server::{Answered, Handler, Incoming, Refusal};
use crate::telemetry::metrics::RouteMeter;

impl Handler for App {
    async fn handle(&self, incoming: Incoming) -> Answered {
        let (request, client) = (&incoming.request, &incoming.client);
        let (uri, request_id) = (request.uri().clone(), client.request_id());
        let (method, headers) = (request.method(), request.headers());
        let own = self.own(uri.path(), client.host());
        let listener = Listener::at(own);
        let asked = Asked {
            format: listener.format(headers),
            head: *method == Method::HEAD,
            request_id: request_id.as_str(),
        };
        let (meter, answer) = match own {
            Some(endpoint) => {
                let call = Call { method, headers, client, uri: &uri, asked };
                // Boxed: rare, and its size would be that of every request's future.
                let (about, answer) = Box::pin(self.endpoints.answer(endpoint, call)).await;
                (about.unwrap_or(self.metrics.own()), answer)
            }
            None => self.routed(&uri, incoming).await,
        };
        let mut answered =
            answer.unwrap_or_else(|error| self.refused(&listener.hears(error), &asked));
        answered.outcome.route = Some(meter);
        answered
    }

    fn refuse(&self, refusal: Refusal<'_>) -> Answered {
        let listener = Listener::at(self.own(refusal.path, ""));
        let asked = Asked {
            format: listener.format(refusal.headers),
            head: false,
            request_id: refusal.request_id.as_str(),
        };
        self.refused(&listener.hears(Error::Refused(refusal.status)), &asked)
    }
}

impl App {
    /// Which of our own paths this is, compared as it was sent: ours have one spelling.
    fn own<'p>(&self, path: &'p str, host: &str) -> Option<Endpoint<'p>> {
        match self.routes.below_prefix(path) {
            Some(below) => Endpoint::at(below),
            None if matches!(path, "/ping" | "/ready") && !self.routes.has_host(host) => {
                Some(Endpoint::Ping)
            }
            None => None,
        }
    }

    /// Hands a request to the gate of its route; tells where it is counted, too.
    async fn routed(
        &self,
        uri: &Uri,
        incoming: Incoming,
    ) -> (&'static RouteMeter, Result<Answered, Error>) {
        let unrouted = |error| (self.metrics.unrouted(), Err(error));
        let readings = match Readings::of(uri.path()) {
            Ok(readings) => readings,
            Err(malformed) => return unrouted(malformed.into()),
        };
        match self.routes.find(incoming.client.host(), &readings) {
            Ok(route) => (route.meter, self.gate.handle(route, &readings, uri, incoming).await),
            Err(error) => unrouted(error),
        }
    }
}

/// Who gets an answer of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listener {
    /// Whoever made the request.
    Visitor,
    /// A proxy that asks at an auth endpoint about somebody else's request.
    Asker,
}

impl Listener {
    fn at(own: Option<Endpoint<'_>>) -> Self {
        match own {
            Some(Endpoint::Auth(..)) => Self::Asker,
            Some(_) | None => Self::Visitor,
        }
    }

    fn format(self, headers: &HeaderMap) -> Format {
        match self {
            Self::Visitor => Format::of(headers),
            Self::Asker => Format::with_status(headers),
        }
    }

    fn hears(self, error: Error) -> Error {
        match self {
            Self::Visitor => error,
            Self::Asker => error.for_asker(),
        }
    }
}
