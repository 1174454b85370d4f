//! One server of the demo: a [`Server`] on one address, and a site that handles requests in memory.
//! Invariant: no task of the server outlives its [`Serving`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use tokio_util::task::TaskTracker;

use crate::body::Body;
use crate::server::{
    AccessLog, Answered, Bound, Error, Handler, Incoming, ListenAddress, ListenerKind,
    LocalAddress, PassedSockets, RejectedRequest, Scheme, Server, ServerContext, ServerTimeouts,
    Settings, Shutdown,
};
use crate::telemetry::metrics::Metrics;

/// The handler of the requests of one server.
pub(super) trait DemoSite: Send + Sync + 'static {
    /// Returns the response to a request, without waiting.
    fn answer(&self, request: &Request<Bytes>) -> Response<Body>;
}

/// An open socket that is not served yet.
pub(super) struct Socket {
    bound: Bound,
    address: SocketAddr,
}

/// A running server. Dropping it ends its connections.
#[derive(Debug)]
pub(super) struct Serving {
    address: SocketAddr,
    shutdown: Shutdown,
    tasks: TaskTracker,
}

impl Socket {
    /// Listens on `address`; with port 0 the system chooses the port.
    pub(super) async fn open(address: SocketAddr) -> Result<Self, Error> {
        let settings = Settings {
            timeouts: ServerTimeouts { drain: DRAIN, ..ServerTimeouts::default() },
            ..Settings::plain(vec![ListenAddress::Tcp(address.to_string())])
        };
        let frame = ServerContext {
            plain_scheme: Scheme::Http,
            access_log: AccessLog::Off,
            metrics: Arc::new(Metrics::new(settings.workers)),
        };
        let bound = Server::bind(&settings, frame, &PassedSockets::default()).await?;
        let address = match *bound.local_addresses(ListenerKind::Public) {
            [LocalAddress::Tcp(address), ..] => address,
            // The requested address is a TCP address.
            [LocalAddress::Unix(_), ..] | [] => address,
        };
        Ok(Self { bound, address })
    }

    /// The address it listens on, with its real port.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `site` from now on.
    pub(super) fn serve(self, site: Arc<impl DemoSite>) -> Serving {
        let (shutdown, tasks) = (Shutdown::new(), TaskTracker::new());
        tasks.spawn(self.bound.serve(Arc::new(Collecting(site)), shutdown.clone()));
        tasks.close();
        Serving { address: self.address, shutdown, tasks }
    }
}

impl Serving {
    /// The address it listens on.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections and waits for them.
    pub(super) async fn stop(&self) {
        self.shutdown.begin();
        self.tasks.wait().await;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.shutdown.force();
    }
}

/// Reads the body of each request before the site handles it.
struct Collecting<S>(Arc<S>);

impl<S: DemoSite> Handler for Collecting<S> {
    async fn handle(&self, incoming: Incoming) -> Answered {
        let (head, body) = incoming.request.into_parts();
        let Ok(body) = Limited::new(body, REQUEST_BYTES).collect().await else {
            return plain(StatusCode::PAYLOAD_TOO_LARGE);
        };
        self.0.answer(&Request::from_parts(head, body.to_bytes())).into()
    }

    fn reject(&self, rejected: RejectedRequest<'_>) -> Answered {
        plain(rejected.status)
    }
}

fn plain(status: StatusCode) -> Answered {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.into()
}

/// Requests that are still open this long after the demo has stopped are closed.
const DRAIN: Duration = Duration::from_secs(1);
const REQUEST_BYTES: usize = 1024 * 1024;
