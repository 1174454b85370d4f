//! Tests of [`Upstream`] with upstreams that send raw bytes.

mod bodies;
mod fields;
mod hostile;
mod pooling;
mod scripted_upstream;
mod tls;
mod websocket;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use super::*;
use crate::body::BodyError;
use crate::upstream::connect::introduce;
use crate::upstream::pool::Reached;
use crate::upstream::tests::scripted_upstream::ScriptedConnection;

/// Far more than anything here needs, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(10);
fn settings(target: Target) -> Settings {
    Settings {
        target,
        tls: TlsSettings::default(),
        timeouts: Timeouts::default(),
        preserve_host: true,
        response_header_bytes: 64 * 1024,
    }
}

fn at(address: SocketAddr) -> Target {
    Target::Origin(Origin::parse(&format!("http://{address}")).unwrap())
}

fn on_socket(path: &Path) -> Target {
    Target::Unix(path.to_owned())
}

fn upstream(address: SocketAddr) -> Upstream {
    made(&settings(at(address)))
}

fn made(settings: &Settings) -> Upstream {
    let identity = [HeaderName::from_static("x-forwarded-user")];
    Upstream::new(settings, &identity, &TargetPools::default()).unwrap()
}

/// The peer's end of an in-memory connection, which the next request to `upstream` uses: with it, a paused clock
/// moves only when neither side can do anything else.
async fn in_memory(upstream: &Upstream) -> ScriptedConnection<DuplexStream> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let pool = &upstream.target_pool.pool;
    let permit = upstream.pools.budget().take().await.unwrap();
    let connection = introduce(ours, permit, Reached::ByAddress, 64 * 1024, &pool.tasks);
    let mut connection = connection.await.unwrap();
    assert!(connection.is_ready_soon().await);
    pool.put(connection);
    ScriptedConnection { stream: theirs, reports: mpsc::unbounded_channel().0 }
}

/// An upstream that only [`in_memory`] connects.
fn unconnected(timeouts: Timeouts) -> Upstream {
    let nowhere = on_socket(Path::new("/nonexistent/socket"));
    made(&Settings { timeouts, ..settings(nowhere) })
}

/// A client of its own.
fn holder() -> Holder {
    Holder::Counted(Arc::default())
}

/// The side of a client with a connection of its own, on which nothing is bound.
fn client() -> ClientSide<fn() -> BoundConnections> {
    let carrier = Carrier::OneClient { bound: None, bind: BoundConnections::default as fn() -> _ };
    ClientSide { holder: holder(), carrier }
}

fn forwarded() -> Forwarded {
    Forwarded {
        chain: HeaderValue::from_static("192.0.2.7"),
        proto: HeaderValue::from_static("https"),
        host: HeaderValue::from_static("wiki.example"),
        port: HeaderValue::from_static("443"),
        prefix: None,
        address: Some(HeaderValue::from_static("192.0.2.7")),
        request_id: HeaderValue::from_static("r-1"),
    }
}

fn request(method: Method, body: Body) -> Request<Body> {
    Request::builder().method(method).uri("/page?q=1").body(body).unwrap()
}

async fn answer(
    upstream: &Upstream,
    request: Request<Body>,
) -> Result<http::Response<Body>, Error> {
    capped(upstream, request, None).await
}

async fn capped(
    upstream: &Upstream,
    mut request: Request<Body>,
    cap: Option<u64>,
) -> Result<http::Response<Body>, Error> {
    let stripped = strip(&mut request);
    let sent = upstream.send(Box::new(request), stripped, forwarded(), cap, client(), || {});
    match tokio::time::timeout(PATIENCE, sent).await.expect("an answer in time")? {
        Answer::Response(response) => Ok(*response),
        Answer::Switched(..) => panic!("no switch was requested"),
    }
}

struct Whole {
    headers: HeaderMap,
    body: Result<Bytes, BodyError>,
    trailers: Option<HeaderMap>,
}

impl Whole {
    fn text(&self) -> &str {
        std::str::from_utf8(self.body.as_ref().unwrap()).unwrap()
    }
}

async fn whole(upstream: &Upstream, request: Request<Body>) -> Result<Whole, Error> {
    Ok(read(answer(upstream, request).await?).await)
}

async fn read(response: http::Response<Body>) -> Whole {
    let (parts, body) = response.into_parts();
    let collected = tokio::time::timeout(PATIENCE, body.collect()).await.expect("an end in time");
    let (body, trailers) = match collected {
        Ok(collected) => {
            let trailers = collected.trailers().cloned();
            (Ok(collected.to_bytes()), trailers)
        }
        Err(error) => (Err(error), None),
    };
    Whole { headers: parts.headers, body, trailers }
}

async fn get(upstream: &Upstream) -> Result<Whole, Error> {
    whole(upstream, request(Method::GET, Body::empty())).await
}
