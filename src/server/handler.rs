//! The interface between the server and what it serves.
//! Invariant: a [`Handler`] gets only requests whose framing, host and target are unambiguous.

use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response, StatusCode, Version};

use crate::body::Body;
use crate::server::client_info::ClientInfo;
use crate::server::peer::Peer;
use crate::server::request_id::RequestId;
use crate::server::settings::ListenerKind;
use crate::server::shutdown::Tasks;
use crate::telemetry::access_log::Outcome;

/// What is served: the gateway, the admin listener, the parts of the demo.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request. The future is dropped when the client leaves, so work that must be finished belongs
    /// in a task of its own.
    fn handle(&self, incoming: Incoming) -> impl Future<Output = Answered> + Send;

    /// Whether an HTTP/1.0 request for a path may come without `Host`. Its host is empty then.
    fn needs_no_host(&self, _path: &str) -> bool {
        false
    }

    /// Renders the response to a request that the server rejects.
    fn reject(&self, rejected: RejectedRequest<'_>) -> Answered;
}

/// A response and its outcome.
#[derive(Debug)]
pub struct Answered {
    /// Boxed, because it is moved through many futures.
    pub response: Box<Response<Body>>,
    /// For the access log and the metrics.
    pub outcome: Outcome,
}

impl Answered {
    /// A response with an outcome.
    pub fn new(response: Response<Body>, outcome: Outcome) -> Self {
        Self { response: Box::new(response), outcome }
    }
}

impl From<Response<Body>> for Answered {
    /// A response with the default outcome.
    fn from(response: Response<Body>) -> Self {
        Self::new(response, Outcome::default())
    }
}

/// A request whose head is valid. Small, because it is moved through many futures, which keep-alive connections
/// hold in memory.
#[derive(Debug)]
pub struct Incoming {
    /// The request in origin-form. [`hyper::upgrade::on`] takes an upgrade from it.
    pub request: Box<Request<Body>>,
    /// The client that sent it.
    pub client: Arc<ClientInfo>,
}

impl Incoming {
    /// Starts tasks that outlive the response, such as tunnels.
    pub fn tasks(&self) -> &Tasks {
        self.client.tasks()
    }
}

/// A request that is not served: its head is invalid, a limit is reached, or its handler panicked.
#[derive(Clone, Copy, Debug)]
pub struct RejectedRequest<'a> {
    /// 400, 405, 414, 431, 500 or 503.
    pub status: StatusCode,
    /// Its method.
    pub method: &'a Method,
    /// Its version of HTTP.
    pub version: Version,
    /// The requested path, not validated; empty after a panic.
    pub path: &'a str,
    /// The request's fields, not validated, for content negotiation; empty after a panic.
    pub headers: &'a HeaderMap,
    /// The other end of the socket.
    pub peer: Peer,
    /// The listener that accepted the connection.
    pub listener: ListenerKind,
    /// The request's ID.
    pub request_id: RequestId,
}
