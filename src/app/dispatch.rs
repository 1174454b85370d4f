//! Hands each request to an endpoint of the gateway or to the gate of its route. An error becomes a page.

use std::sync::Arc;

use http::{HeaderMap, Method, Request, StatusCode};

use crate::app::App;
use crate::body::Body;
use crate::endpoints::{Call, Endpoint};
use crate::error::Error;
use crate::pages::{Format, Language, ResponseContext};
use crate::server::{
    Answered, ClientInfo, DroppedNames, Handler, Incoming, ListenerKind, RejectedRequest,
    without_panic,
};

impl Handler for App {
    async fn handle(&self, mut incoming: Incoming) -> Answered {
        if let Some(procedure) = self.procedure(&incoming) {
            // Boxed, as below.
            return Box::pin(self.call(procedure, incoming)).await;
        }
        let client = Arc::clone(&incoming.client);
        // Taken out first, because the endpoint borrows the rest.
        let body = std::mem::take(incoming.request.body_mut());
        let (request, listener) = (&incoming.request, client.listener());
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        client.note_untrusted_chain(headers);
        if let Some(endpoint) = self.own(uri.path(), client.host(), listener) {
            let dropped = request.extensions().get().map_or(&[][..], |DroppedNames(it)| it);
            let call = Call { method, headers, dropped, client: &client, uri };
            let answer = self.endpoint(endpoint, call, body).await;
            // Without effect for an auth subrequest whose route was found: its note is the first.
            client.note_route(self.metrics.own());
            return answer.unwrap_or_else(|error| {
                let form = self.page_form(&incoming.request, &client);
                self.error_page(&error, &form.context(&client))
            });
        }
        // Before the route takes the request over.
        let form = self.page_form(&incoming.request, &client);
        let answer = match listener {
            ListenerKind::Public => {
                *incoming.request.body_mut() = body;
                self.routed(&client, incoming).await
            }
            ListenerKind::ForwardAuth => Err(Error::NoRoute),
            ListenerKind::Redirect => {
                client.note_route(self.metrics.own());
                self.redirect_to_https(&client, uri, headers)
            }
        };
        // Without effect if a route was found: its note is the first.
        client.note_route(self.metrics.unrouted());
        answer.unwrap_or_else(|error| self.error_page(&error, &form.context(&client)))
    }

    fn needs_no_host(&self, path: &str) -> bool {
        match self.routes.below_prefix(path) {
            Some(below) => Endpoint::at(below) == Some(Endpoint::Ping),
            None => matches!(path, "/ping" | "/ready"),
        }
    }

    fn reject(&self, rejected: RejectedRequest<'_>) -> Answered {
        if let Some(answered) = self.reject_check(&rejected) {
            return answered;
        }
        let format = self.format(rejected.path, rejected.listener, rejected.headers);
        let context = ResponseContext {
            format,
            language: Language::of_page(format, rejected.headers),
            request_id: rejected.request_id.as_str(),
            retry: None,
        };
        let error = Error::Rejected(rejected.status);
        let below = self.routes.below_prefix(rejected.path);
        let error = match below.and_then(Endpoint::at) {
            Some(endpoint) => error_for_endpoint(endpoint, error),
            None => error,
        };
        self.error_page(&error, &context)
    }
}

impl App {
    /// Whether a listener serves an endpoint. If the auth endpoints have a listener of their own, they are served
    /// there only, and of the other endpoints only `ping` is.
    fn answers_at(&self, endpoint: Endpoint<'_>, listener: ListenerKind) -> bool {
        match (endpoint, listener) {
            (Endpoint::Ping | Endpoint::Ready, _)
            | (Endpoint::Auth(..), ListenerKind::ForwardAuth) => true,
            (Endpoint::Auth(..), ListenerKind::Redirect) => false,
            (Endpoint::Auth(..), ListenerKind::Public) => {
                !self.endpoints.clients.have_own_listener()
            }
            (
                Endpoint::SignIn
                | Endpoint::Start
                | Endpoint::Callback(_)
                | Endpoint::SignOut
                | Endpoint::SignedOut
                | Endpoint::Userinfo,
                listener,
            ) => listener == ListenerKind::Public,
        }
    }

    /// Answers a request to an endpoint.
    async fn endpoint(
        &self,
        endpoint: Endpoint<'_>,
        call: Call<'_>,
        body: Body,
    ) -> Result<Answered, Error> {
        // Boxed: it is rare and large, and would enlarge the future of every request.
        let mut answering = Box::pin(self.endpoints.answer(endpoint, call, body));
        let Endpoint::Auth(..) = endpoint else { return answering.await };
        // SECURITY: a proxy with `failure_mode_allow` takes a 5xx as permission, so a panic must not be one.
        let answer = without_panic(answering.as_mut()).await.unwrap_or_else(|| {
            let request_id = call.client.request_id();
            tracing::error!(%request_id, "panic at an auth endpoint");
            Err(Error::Rejected(StatusCode::INTERNAL_SERVER_ERROR))
        });
        answer.map_err(|error| error_for_endpoint(endpoint, error))
    }

    /// The endpoint at a path. The path is compared as it was sent: an endpoint has one spelling.
    fn own<'p>(&self, path: &'p str, host: &str, listener: ListenerKind) -> Option<Endpoint<'p>> {
        if listener == ListenerKind::Redirect {
            return None;
        }
        if let Some(below) = self.routes.below_prefix(path) {
            return Endpoint::at(below).filter(|it| self.answers_at(*it, listener));
        }
        let is_public = listener == ListenerKind::Public;
        // Without a host, in a probe over HTTP/1.0, no route has it.
        let is_free = !is_public || host.is_empty() || !self.routes.has_host(host);
        match path {
            "/ping" if is_free => Some(Endpoint::Ping),
            "/ready" if is_free && is_public => Some(Endpoint::Ready),
            _ => None,
        }
    }

    /// The format of the gateway's own answer.
    // SECURITY: over gRPC an error is a 200 with the error inside. A proxy may send its auth subrequests to any
    // path under the prefix (to `userinfo`, for example), or to any path of their own listener, with its visitor's
    // `Content-Type`, and it takes a 2xx as permission. So there the status must always be the HTTP status.
    fn format(&self, path: &str, listener: ListenerKind, headers: &HeaderMap) -> Format {
        match (self.routes.below_prefix(path), listener) {
            (None, ListenerKind::Public | ListenerKind::Redirect) => Format::of(headers),
            (Some(_), _) | (None, ListenerKind::ForwardAuth) => Format::with_status(headers),
        }
    }

    /// The form of an error page for a request.
    fn page_form(&self, request: &Request<Body>, client: &ClientInfo) -> PageForm {
        let format = self.format(request.uri().path(), client.listener(), request.headers());
        let language = Language::of_page(format, request.headers());
        PageForm { format, language, retry: self.retry(format, request, client) }
    }

    /// Where a page lets the user try a request again: its own address, or for a form the page with the form.
    fn retry(
        &self,
        format: Format,
        request: &Request<Body>,
        client: &ClientInfo,
    ) -> Option<String> {
        // The gateway's own pages offer what fits.
        if format != Format::Html || self.routes.below_prefix(request.uri().path()).is_some() {
            return None;
        }
        Some(match *request.method() {
            Method::GET | Method::HEAD => String::new(),
            _ => self.gate.referring_page(request.headers(), client),
        })
    }

    /// Hands a request to the gate of its route.
    async fn routed(&self, client: &ClientInfo, incoming: Incoming) -> Result<Answered, Error> {
        let Some(target) = &client.line().target else { return Err(Error::Malformed) };
        let (host, path) = (client.host(), target.path());
        let interpretations = self.routes.interpret(host, path)?.by_names(path);
        match self.routes.find(host, &interpretations) {
            Ok(route) => {
                client.note_route(&route.meter);
                self.gate.handle(&self.routes, route, &interpretations, target, incoming).await
            }
            // The browser is at public_url already, so a link to it would not help.
            Err(Error::WrongHost) if client.origin() == *self.party.site().public_url() => {
                Err(Error::SignInOnly)
            }
            Err(error) => Err(error),
        }
    }
}

/// What an error page depends on in its request.
struct PageForm {
    format: Format,
    language: Language,
    retry: Option<String>,
}

impl PageForm {
    fn context<'a>(&'a self, client: &'a ClientInfo) -> ResponseContext<'a> {
        ResponseContext {
            format: self.format,
            language: self.language,
            request_id: client.request_id().as_str(),
            retry: self.retry.as_deref(),
        }
    }
}

/// The error for a client of this endpoint. At an auth endpoint the client is a proxy, which understands only
/// 401 and 403.
fn error_for_endpoint(endpoint: Endpoint<'_>, error: Error) -> Error {
    match endpoint {
        Endpoint::Auth(..) => error.in_subrequest(),
        Endpoint::SignIn
        | Endpoint::Start
        | Endpoint::Callback(_)
        | Endpoint::SignOut
        | Endpoint::SignedOut
        | Endpoint::Userinfo
        | Endpoint::Ping
        | Endpoint::Ready => error,
    }
}
