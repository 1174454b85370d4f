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
        let asked = Asked {
            format: self.format(uri.path(), headers),
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
        let mut answered = answer.unwrap_or_else(|error| self.refused(&heard(own, error), &asked));
        answered.outcome.route = Some(meter);
        answered
    }

    fn refuse(&self, refusal: Refusal<'_>) -> Answered {
        let asked = Asked {
            format: self.format(refusal.path, refusal.headers),
            head: false,
            request_id: refusal.request_id.as_str(),
        };
        let own = self.own(refusal.path, "");
        self.refused(&heard(own, Error::Refused(refusal.status)), &asked)
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

    /// The form of an answer of ours.
    // SECURITY: over gRPC a refusal is a 200 with the refusal inside. Whatever is asked under our prefix,
    // `userinfo` as well as the auth endpoints, may be asked by a proxy that lets pass what has a 2xx,
    // with the fields of its visitor.
    fn format(&self, path: &str, headers: &HeaderMap) -> Format {
        match self.routes.below_prefix(path) {
            Some(_) => Format::with_status(headers),
            None => Format::of(headers),
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
            Ok(route) => {
                incoming.client.routed(route.meter);
                (route.meter, self.gate.handle(route, &readings, uri, incoming).await)
            }
            Err(error) => unrouted(error),
        }
    }
}

/// What is answered to a request that gets an error: at an auth endpoint a proxy asks about somebody else's.
fn heard(own: Option<Endpoint<'_>>, error: Error) -> Error {
    match own {
        Some(Endpoint::Auth(..)) => error.for_asker(),
        Some(
            Endpoint::SignIn
            | Endpoint::Start
            | Endpoint::Callback(_)
            | Endpoint::SignOut
            | Endpoint::SignedOut
            | Endpoint::Userinfo
            | Endpoint::Ping,
        )
        | None => error,
    }
}
