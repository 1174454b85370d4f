//! An application without sign-in: it shows the requests that it receives.
//! `/api` returns the request as JSON, `/events` sends a stream of events, and every other path shows a page.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body as HttpBody, Frame};
use minijinja::context;
use serde_json::{Value, json};
use tokio::time::{Interval, interval};
use url::form_urlencoded::Serializer;

use crate::body::{Body, BodyError};
use crate::demo::html::{self, PageTemplate};
use crate::demo::json_response::JsonResponse;
use crate::demo::serving::{DemoSite, Serving, Socket};
use crate::server::Error;

/// A running application. Dropping it ends its connections.
#[derive(Debug)]
pub struct SampleApp {
    serving: Serving,
}

impl SampleApp {
    /// Starts it on this address; with port 0 the system chooses the port.
    pub async fn start(listen: SocketAddr) -> Result<Self, Error> {
        let socket = Socket::open(listen).await?;
        Ok(Self { serving: socket.serve(Arc::new(Mirror)) })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// Stops the server and waits until all connections have ended.
    pub async fn stop(&self) {
        self.serving.stop().await;
    }
}

struct Mirror;

impl DemoSite for Mirror {
    fn answer(&self, request: &Request<Bytes>) -> Response<Body> {
        match request.uri().path() {
            "/public/style.css" => html::style().map(Body::full),
            "/api" => api(request).map(Body::full),
            "/events" => events(),
            _ => page(request).map(Body::full),
        }
    }
}

fn page(request: &Request<Bytes>) -> Response<Bytes> {
    let mut fields: Vec<_> = fields(request.headers()).collect();
    // First those that identify the user, then the others of the gateway.
    fields.sort_by_key(|(name, _)| !IDENTITY.contains(name));
    let (added, sent): (Vec<_>, Vec<_>) =
        fields.into_iter().partition(|(name, _)| is_of_gateway(name));
    let of = |wanted: &str| added.iter().find(|(name, text)| *name == wanted && !text.is_empty());
    let user = NAMES.iter().find_map(|name| of(name)).map(|(_, value)| value.clone());
    let rows = |fields: Vec<(&str, String)>| -> Vec<_> {
        fields.into_iter().map(|(name, value)| context! { name, value }).collect()
    };
    let sign_in =
        Serializer::new(String::new()).append_pair("rd", &request.uri().to_string()).finish();
    let context = context! {
        user,
        method => request.method().as_str(),
        target => request.uri().to_string(),
        sign_in => format!("/oauth2/start?{sign_in}"),
        added => rows(added),
        sent => rows(sent),
    };
    PageTemplate::Request.page(StatusCode::OK, "", context)
}

/// Whether the gateway sets a field, and removes what the client sent under its name.
fn is_of_gateway(name: &str) -> bool {
    name.starts_with("x-forwarded-") || matches!(name, "x-real-ip" | "x-request-id")
}

fn api(request: &Request<Bytes>) -> Response<Bytes> {
    let headers: Vec<_> = fields(request.headers())
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let members = [
        ("method", json!(request.method().as_str())),
        ("path", json!(request.uri().path())),
        ("query", json!(request.uri().query())),
        ("headers", Value::Array(headers)),
        ("body", json!(String::from_utf8_lossy(request.body()))),
    ];
    JsonResponse::ok(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        .into_response()
}

/// All fields as text, with invalid UTF-8 replaced.
fn fields(headers: &HeaderMap) -> impl Iterator<Item = (&str, String)> {
    headers.iter().map(|(name, value)| {
        (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    })
}

/// A stream of Server-Sent Events, until the client disconnects.
fn events() -> Response<Body> {
    let mut response = Response::new(Body::streamed(Ticks { interval: interval(TICK), count: 0 }));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

struct Ticks {
    interval: Interval,
    count: u64,
}

impl HttpBody for Ticks {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        ready!(self.interval.poll_tick(cx));
        self.count += 1;
        let event = format!("id: {0}\ndata: tick {0}\n\n", self.count);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(event)))))
    }
}

/// Fields that have the user's name, the best first.
const NAMES: [&str; 2] = ["x-forwarded-preferred-username", "x-forwarded-user"];

/// Fields that identify the user.
const IDENTITY: [&str; 5] = [
    "x-forwarded-user",
    "x-forwarded-preferred-username",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-access-token",
];

const TICK: Duration = Duration::from_secs(1);
