//! Forwarding to applications: a gateway's duties by RFC 9110 §7.
//! Invariants: a request is sent once. It is sent again only if no byte of it was sent, or if a kept connection
//! broke and the request is idempotent and has no body (RFC 9110 §9.2.2). Within the timeouts there is always a
//! response or an [`Error`], and a response whose end is in doubt never looks complete.

mod bound;
mod client_share;
mod connect;
mod connection_budget;
mod error;
mod exchange;
mod hop_by_hop;
mod own_origin;
mod pool;
mod read_before_reset;
mod request;
mod reserved;
mod response;
mod target;
mod target_pool;
mod upgrade;
mod upload;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::Instant;

pub use bound::{BoundConnections, Carrier};
pub use client_share::Holder;
pub use error::{Error, Fault, Phase, SettingsFault};
pub use request::{Forwarded, StrippedRequest, strip};
pub use reserved::describes_user;
pub use response::is_stream;
pub use target::Target;
pub use target_pool::TargetPools;
pub use upgrade::{Ending, HALF_CLOSED, Tunnel};

use crate::body::Body;
use crate::origin::Origin;
use crate::secret::Secret;
use crate::telemetry::log_throttle::LogThrottle;
use crate::upstream::exchange::Failure;
use crate::upstream::own_origin::VisitorOrigin;
use crate::upstream::pool::{Connection, PoolTimeouts};
use crate::upstream::request::RetryRequest;
use crate::upstream::response::ConnectionReturn;
use crate::upstream::target_pool::TargetPool;
use crate::upstream::upload::{Progress, UploadFault};

/// What a route configures for its upstream.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where requests go.
    pub target: Target,
    /// TLS toward it.
    pub tls: TlsSettings,
    /// Timeouts of one forwarded request.
    pub timeouts: Timeouts,
    /// Whether the client's `Host` is sent, not the target's.
    pub preserve_host: bool,
    /// The largest head of a response, in bytes.
    pub response_header_bytes: usize,
}

/// TLS toward an upstream, in addition to the system's root certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM text of more authorities.
    pub ca: Option<String>,
    /// PEM texts of the client certificate chain and its key.
    pub client: Option<(String, Secret)>,
    /// The name for SNI and verification, instead of the target's host.
    pub server_name: Option<String>,
}

/// Timeouts of one forwarded request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// DNS, TCP and TLS together.
    pub connect: Duration,
    /// From the last byte of the request to the end of the response's head.
    pub response_headers: Duration,
    /// Between two bytes of a body; not for upgraded, event-stream and gRPC streams.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response_headers: Duration::from_secs(60),
            idle: Duration::from_secs(300),
        }
    }
}

/// One upstream and the connections to it.
pub struct Upstream {
    target_pool: Arc<TargetPool>,
    pools: TargetPools,
    home: Arc<ConnectionReturn>,
    connect: Duration,
    response_headers: Duration,
    host: HostSent,
    /// Limits the log of failures.
    failures: LogThrottle,
    /// Limits the log of removed challenges.
    removed_challenges: LogThrottle,
}

enum HostSent {
    Clients,
    /// The host, and the origin that it makes.
    Own(HeaderValue, Origin),
}

/// What the connections to upstreams need to know of a request's client.
#[derive(Debug)]
pub struct ClientSide<B> {
    /// The client that the connection to the upstream counts for.
    pub holder: Holder,
    /// The client's connection.
    pub carrier: Carrier<B>,
}

/// The answer to a request.
#[derive(Debug)]
pub enum Answer {
    /// A response, to be sent to the client.
    Response(Box<http::Response<Body>>),
    /// The upstream has switched to WebSocket: send the response to the client, and run the tunnel.
    Switched(Box<http::Response<Body>>, Box<Tunnel>),
}

/// Numbers of connections to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// All but those that became WebSockets.
    pub open: usize,
    /// Those that wait for a request.
    pub idle: usize,
}

impl Upstream {
    /// Checks the settings; does not connect yet. Header names in `identity` are not relayed as trailers.
    pub fn new(
        settings: &Settings,
        identity: &[HeaderName],
        pools: &TargetPools,
    ) -> Result<Self, Error> {
        let target_pool = pools.get(settings)?;
        let home = ConnectionReturn {
            pool: Arc::clone(&target_pool.pool),
            idle: settings.timeouts.idle,
            identity: identity.into(),
        };
        Ok(Self {
            target_pool,
            pools: pools.clone(),
            home: Arc::new(home),
            connect: settings.timeouts.connect,
            response_headers: settings.timeouts.response_headers,
            host: HostSent::of(settings)?,
            failures: LogThrottle::default(),
            removed_challenges: LogThrottle::default(),
        })
    }

    /// Sends a client's request and waits for the head of its response.
    ///
    /// The request was stripped first, and then got its identity headers. At most `body_cap` bytes of a body are
    /// sent; `on_bytes` is called whenever some arrive. The connection counts toward the share of the `client`.
    /// Dropping the future or the response's body cancels the request at the upstream.
    pub fn send<'u, B, H: FnMut() + Send + Unpin + 'static>(
        &'u self,
        mut request: Box<http::Request<Body>>,
        stripped: StrippedRequest,
        forwarded: Forwarded,
        body_cap: Option<u64>,
        client: ClientSide<B>,
        on_bytes: H,
    ) -> impl Future<Output = Result<Answer, Error>> + Send + use<'u, B, H>
    where
        B: FnOnce() -> BoundConnections + Send,
    {
        let host = match &self.host {
            HostSent::Clients => &forwarded.host,
            HostSent::Own(host, _) => host,
        };
        let host = host.clone();
        let renamed = match &self.host {
            HostSent::Clients => None,
            HostSent::Own(_, own) => Some((own, VisitorOrigin::of(&forwarded))),
        };
        request::prepare(&mut request, &stripped, forwarded, host);
        let framed = upload::frame(&mut request, body_cap, on_bytes);
        async move {
            let mut answered = self.answered(request, framed?, stripped, client).await;
            if let (Some((own, visitor)), Ok(Answer::Response(response))) = (renamed, &mut answered)
            {
                own_origin::rewrite(response.headers_mut(), own, &visitor);
            }
            answered.inspect_err(|error| self.log(error))
        }
    }

    async fn answered(
        &self,
        request: Box<http::Request<Body>>,
        progress: Option<Progress>,
        stripped: StrippedRequest,
        client: ClientSide<impl FnOnce() -> BoundConnections>,
    ) -> Result<Answer, Error> {
        let held = self.pools.budget().hold(client.holder)?;
        let authenticates = bound::names_scheme(request.headers(), &AUTHORIZATION);
        let kept = match &client.carrier {
            // Boxed: rare.
            Carrier::OneClient { bound: Some(bound), .. } => {
                Box::pin(bound.take(&self.home.pool)).await
            }
            Carrier::OneClient { bound: None, .. } | Carrier::SeveralClients => None,
        };
        let (mut response, mut connection) =
            self.exchange(request, progress.as_ref(), kept).await?;
        connection.held = Some(held);
        // SECURITY: on an authenticated connection, the upstream takes the next client for this one.
        if connection.owner.is_none()
            && (authenticates || bound::names_scheme(response.headers(), &WWW_AUTHENTICATE))
        {
            self.bind(&mut connection, client.carrier, response.headers_mut());
        }
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return response::relay(response, connection, &self.home).map(Answer::Response);
        }
        // SECURITY: after an unrequested 101 the client would read the next response as its own.
        let handshake = stripped.handshake.ok_or(Error::Misbehaved(Fault::Upgrade))?;
        let (response, tunnel) = handshake.switch(response, connection, &self.home.identity)?;
        Ok(Answer::Switched(response, Box::new(tunnel)))
    }

    /// Binds an authenticated connection to the client's connection that authenticates it. If that may carry
    /// several clients, the connection is not used again.
    #[cold]
    fn bind(
        &self,
        connection: &mut Connection,
        carrier: Carrier<impl FnOnce() -> BoundConnections>,
        headers: &mut HeaderMap,
    ) {
        match carrier {
            Carrier::OneClient { bound, bind } => {
                bound.unwrap_or_else(bind).bind(&self.home.pool, connection);
            }
            Carrier::SeveralClients => {
                connection.reusable = false;
                if bound::remove_challenges(headers) && self.removed_challenges.allow() {
                    tracing::warn!(
                        upstream = %self.target_pool.target,
                        "the upstream requests NTLM or Negotiate authentication, which works only over an HTTP/1.1 \
                         connection from the client without another proxy: removing the challenge"
                    );
                }
            }
        }
    }

    /// Logs a failure that is not the client's.
    #[cold]
    fn log(&self, error: &Error) {
        match error {
            Error::BodyTooLarge | Error::Client(_) | Error::Full | Error::FullForClient => {}
            Error::Settings(_)
            | Error::Unresolved { .. }
            | Error::Unreachable { .. }
            | Error::TlsFailed(_)
            | Error::TooSlow(_)
            | Error::Misbehaved(_)
            | Error::BrokeOff(_) => {
                if self.failures.allow() {
                    tracing::warn!(upstream = %self.target_pool.target, %error, "requests to the upstream fail");
                }
            }
        }
    }

    /// How many connections there are.
    pub fn connections(&self) -> Connections {
        self.home.pool.connections()
    }

    /// Uses the connection that is `bound` to the client's, a kept one, or a new one.
    async fn exchange(
        &self,
        request: Box<http::Request<Body>>,
        progress: Option<&Progress>,
        bound: Option<Box<Connection>>,
    ) -> Result<(Box<http::Response<Body>>, Box<Connection>), Error> {
        let now = Instant::now();
        let Some(mut kept) = bound.or_else(|| self.home.pool.take(now)) else {
            return Box::pin(self.exchange_on_new(request, progress)).await;
        };
        let retry = RetryRequest::of(&request);
        match kept.exchange(request, progress, now, self.response_headers).await {
            Ok(response) => Ok((response, kept)),
            Err(Failure::Unsent(request, _)) => {
                Box::pin(self.exchange_on_new(request, progress)).await
            }
            Err(Failure::Broken(error)) => match retry.filter(|_| is_stale(&error)) {
                Some(retry) => Box::pin(self.exchange_on_new(retry.into_request(), progress)).await,
                None => Err(blame(error)),
            },
            Err(Failure::TooSlow) => Err(Error::TooSlow(Phase::Answering)),
        }
    }

    async fn exchange_on_new(
        &self,
        request: Box<http::Request<Body>>,
        progress: Option<&Progress>,
    ) -> Result<(Box<http::Response<Body>>, Box<Connection>), Error> {
        let TargetPool { connector, pool, .. } = &*self.target_pool;
        let connecting = connector.connect(self.connect, &pool.tasks, self.pools.budget());
        let mut connection = connecting.await?;
        match connection.exchange(request, progress, Instant::now(), self.response_headers).await {
            Ok(response) => Ok((response, connection)),
            Err(Failure::Unsent(_, error) | Failure::Broken(error)) => Err(blame(error)),
            Err(Failure::TooSlow) => Err(Error::TooSlow(Phase::Answering)),
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

impl HostSent {
    fn of(settings: &Settings) -> Result<Self, SettingsFault> {
        if settings.preserve_host {
            return Ok(Self::Clients);
        }
        let origin = match &settings.target {
            Target::Origin(origin) => origin.clone(),
            Target::Unix(_) => Origin::of_host(false, "localhost", None),
        };
        let authority = origin.authority();
        match HeaderValue::try_from(&authority) {
            Ok(host) => Ok(Self::Own(host, origin)),
            Err(_) => Err(SettingsFault::Host(authority)),
        }
    }
}

/// Whether a connection broke like one that the upstream had already closed.
fn is_stale(error: &hyper::Error) -> bool {
    !error.is_parse() && !error.is_user()
}

/// The error for a request without a response: the client or the upstream caused it.
fn blame(error: hyper::Error) -> Error {
    let fault = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    match fault {
        Some(UploadFault::TooLarge) => Error::BodyTooLarge,
        Some(UploadFault::Client(_)) => Error::Client(error),
        None => Error::Misbehaved(Fault::Http(error)),
    }
}

/// Node, Apache and uvicorn close idle connections after 5 s. Closing ours before avoids sending a request on one
/// that they are closing.
const POOL_TIMEOUTS: PoolTimeouts =
    PoolTimeouts { idle: Duration::from_secs(4), named: Duration::from_secs(30) };

#[cfg(test)]
mod tests;
