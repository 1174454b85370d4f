//! An application that answers with the request that it received.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Answers `{method, target, headers, body}`; a header that came twice is a list.
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    seen: Seen,
    serving: JoinHandle<()>,
}

/// What came, whole, in the order of its ends.
type Seen = Arc<Mutex<Vec<Value>>>;

impl Upstream {
    /// Starts on a port of the system's choice.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen::default();
        let serving = tokio::spawn(serve(listener, Arc::clone(&seen)));
        Self { address, seen, serving }
    }

    /// How many requests have come so far.
    pub(crate) fn request_count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// All that has come so far, each as it was answered.
    pub(crate) fn seen(&self) -> Vec<Value> {
        self.seen.lock().unwrap().clone()
    }

    /// The target of each request that has come so far.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.seen().iter().map(|received| received["target"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, seen: Seen) {
    while let Ok((stream, _)) = listener.accept().await {
        let seen = Arc::clone(&seen);
        let service = service_fn(move |request| answer(request, Arc::clone(&seen)));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: Request<Incoming>, seen: Seen) -> hyper::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut headers = Map::new();
    for name in head.headers.keys() {
        let values = head.headers.get_all(name).iter();
        let mut values: Vec<Value> =
            values.map(|value| String::from_utf8_lossy(value.as_bytes()).into()).collect();
        let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
        headers.insert(name.to_string(), value);
    }
    let received = json!({
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    let mut response = Response::new(Full::from(received.to_string()));
    seen.lock().unwrap().push(received);
    response
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(response)
}

#[tokio::test]
async fn upstream_answers_with_the_request_that_it_received() {
    let upstream = Upstream::start().await;
    let mut browser = super::browser::Browser::at(upstream.address);
    let received = browser.submit("/path?q=1", &[("name", "a b")]).await.json();
    assert_eq!(
        (&received["method"], &received["target"], &received["body"]),
        (&json!("POST"), &json!("/path?q=1"), &json!("name=a+b"))
    );
    assert_eq!(received["headers"]["host"], "wiki.localhost");
    assert_eq!(upstream.request_count(), 1);
}
