//! One server of the demo: a [`Server`] on one loopback address, and a site whose answers are in memory.
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
    AccessLog, Answered, Bound, Error, ForwardAuth, Handler, Incoming, Limits, ListenAddress,
    LocalAddress, RejectedRequest, Scheme, Server, ServerContext, ServerTimeouts, Settings,
    Shutdown, TrustedProxies,
};
use crate::telemetry::metrics::Metrics;

/// Answers the requests of one server.
pub(super) trait DemoSite: Send + Sync + 'static {
    /// Answers one request from what is in memory; nothing here waits.
    fn answer(&self, request: &Request<Bytes>) -> Response<Body>;
}

/// An open socket that nothing serves yet.
pub(super) struct Socket {
    bound: Bound,
    address: SocketAddr,
}

/// A running server; dropping it ends its connections.
#[derive(Debug)]
pub(super) struct Serving {
    address: SocketAddr,
    shutdown: Shutdown,
    tasks: TaskTracker,
}

impl Socket {
    /// Listens on `address`; port 0 lets the system choose.
    pub(super) async fn open(address: SocketAddr) -> Result<Self, Error> {
        let settings = Settings {
            listen: vec![ListenAddress::Tcp(address.to_string())],
            workers: 1,
            certificates: Vec::new(),
            trusted_proxies: TrustedProxies::default(),
            forward_auth: ForwardAuth::default(),
            limits: Limits::default(),
            timeouts: ServerTimeouts { drain: DRAIN, ..ServerTimeouts::default() },
        };
        let frame = ServerContext {
            plain_scheme: Scheme::Http,
            access_log: AccessLog::Off,
            metrics: Arc::new(Metrics::new(settings.workers)),
        };
        let bound = Server::bind(&settings, frame).await?;
        let address = match bound.local_addresses() {
            [LocalAddress::Tcp(address), ..] => *address,
            // A TCP address was asked for.
            [LocalAddress::Unix(_), ..] | [] => address,
        };
        Ok(Self { bound, address })
    }

    /// Where it listens, with its real port.
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
    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection and waits until that is done.
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

/// Collects each request's body before the site answers.
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

/// Open requests of a demo that ends are cut after this time.
const DRAIN: Duration = Duration::from_secs(1);
const REQUEST_BYTES: usize = 1024 * 1024;
