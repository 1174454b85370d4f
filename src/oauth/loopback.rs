//! A provider for unit tests, on a loopback port. It sends configured responses and records requests.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::{Url, form_urlencoded};

/// A recorded request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: http::Method,
    pub(crate) path: String,
    pub(crate) query: HashMap<String, String>,
    pub(crate) headers: http::HeaderMap,
    pub(crate) form: HashMap<String, String>,
    pub(crate) body: Bytes,
}

/// A response of the provider.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Status, content type, body.
    Answer(u16, &'static str, String),
    /// Status, a header field, and a body in JSON.
    Field(u16, (&'static str, String), String),
    /// A redirect there.
    Redirect(u16, String),
    /// The connection is closed without a response.
    Drop,
    /// No response.
    Silence,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::Answer(status, "application/json", body.to_string())
    }
}

/// A running provider; ends when dropped.
pub(crate) struct Loopback {
    base: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl Loopback {
    /// Starts a provider. `reply` gets its URL and a request, and returns the response.
    pub(crate) async fn start(
        reply: impl Fn(&Url, &Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let base = Url::parse(&base).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let shared = Arc::new((base.clone(), Arc::clone(&seen), reply));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let service = service_fn(|request| {
                        let shared = Arc::clone(&shared);
                        async move {
                            let seen = read(request).await;
                            shared.1.lock().unwrap().push(seen.clone());
                            perform(shared.2(&shared.0, &seen)).await
                        }
                    });
                    let _closed = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { base, seen, _tasks: tasks }
    }

    /// Its URL with this path.
    pub(crate) fn url(&self, path: &str) -> Url {
        self.base.join(path).unwrap()
    }

    /// Its URL without a trailing slash, for an issuer.
    pub(crate) fn issuer(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// The requests at `path`.
    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.path == path).cloned().collect()
    }
}

async fn read(request: Request<Incoming>) -> Seen {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let pairs = |text: &[u8]| form_urlencoded::parse(text).into_owned().collect();
    let query = pairs(head.uri.query().unwrap_or_default().as_bytes());
    let (method, path) = (head.method, head.uri.path().to_owned());
    Seen { method, path, query, headers: head.headers, form: pairs(&body), body }
}

async fn perform(reply: Reply) -> Result<Response<Full<Bytes>>, Dropped> {
    let response = Response::builder();
    Ok(match reply {
        Reply::Answer(status, kind, body) => {
            response.status(status).header("content-type", kind).body(Full::from(body)).unwrap()
        }
        Reply::Field(status, (name, value), body) => {
            let response = response.header("content-type", "application/json");
            response.status(status).header(name, value).body(Full::from(body)).unwrap()
        }
        Reply::Redirect(status, to) => {
            response.status(status).header("location", to).body(Full::default()).unwrap()
        }
        Reply::Drop => return Err(Dropped),
        Reply::Silence => std::future::pending::<Result<_, Infallible>>().await.unwrap(),
    })
}

#[derive(Debug, thiserror::Error)]
#[error("the test drops the connection")]
struct Dropped;
