//! The part of the Docker Engine API that Traefik asks: the containers with their labels, and a stream of events.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{Pending, pending};
use http::Response;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

type Body = Either<Full<Bytes>, StreamBody<Pending<Result<Frame<Bytes>, Infallible>>>>;

/// Serves these containers, as `GET /containers/ID/json` shows them, at a socket.
pub(super) fn serve(path: &Path, containers: Vec<Value>, tasks: &mut JoinSet<()>) {
    let (listener, containers) = (UnixListener::bind(path).unwrap(), Arc::new(containers));
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let containers = Arc::clone(&containers);
            let service = service_fn(move |request: http::Request<_>| {
                let answer = answer(request.uri().path(), &containers);
                async { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}

fn answer(path: &str, containers: &[Value]) -> Response<Body> {
    let words: Vec<_> = path.split('/').filter(|word| !word.is_empty()).collect();
    // `/v1.44/…`, or without a version at first.
    let words = words.strip_prefix(&[VERSIONED]).unwrap_or(&words);
    let value = match words {
        ["_ping"] => json!("OK"),
        ["version"] => json!({ "ApiVersion": VERSION, "Version": "25.0.0" }),
        ["containers", "json"] => {
            containers.iter().map(|one| json!({ "Id": one["Id"], "State": "running" })).collect()
        }
        ["containers", id, "json"] => {
            containers.iter().find(|one| one["Id"] == **id).cloned().unwrap()
        }
        ["events"] => return Response::new(Either::Right(StreamBody::new(pending()))),
        _ => panic!("unknown path {path}"),
    };
    let body = Either::Left(Full::new(Bytes::from(value.to_string())));
    Response::builder()
        .header("Api-Version", VERSION)
        .header("Content-Type", "application/json")
        .body(body)
        .unwrap()
}

const VERSION: &str = "1.44";
const VERSIONED: &str = "v1.44";
