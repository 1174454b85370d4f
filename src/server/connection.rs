//! One connection from accept to close: the PROXY header, TLS, the protocol, hyper with its limits, the deadlines, the
//! drain.
//! Invariant: no client can keep a connection open past its deadlines.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep_until, timeout};

use crate::server::connection_info::ConnectionInfo;
use crate::server::connection_limit::{Admission, ConnectionGuard, ConnectionLimit};
use crate::server::deadlines::{Expiry, Watchdog};
use crate::server::eviction::EvictionWatch;
use crate::server::handler::Handler;
use crate::server::present::Present;
use crate::server::protocol::{Protocol, Scheme};
use crate::server::proxy_protocol::{self, Announced, HeaderError, ProxyHeader};
use crate::server::service::Service;
use crate::server::settings::ListenerKind;
use crate::server::shutdown::{DrainStage, StageWatch, Tasks};
use crate::server::stream::Stream;
use crate::server::transport::Accepted;
use crate::telemetry::log_throttle::LogThrottle;

/// Serves the connections of all listeners of a server.
pub(super) struct ConnectionServer<H> {
    /// The handler and the settings in effect.
    pub(super) present: Arc<ArcSwap<Present<H>>>,
    pub(super) limit: ConnectionLimit,
    /// Throttles the log line about PROXY headers that are missing or wrong.
    bad_header: LogThrottle,
    /// Throttles the log line about client certificates that are missing or wrong.
    bad_certificate: LogThrottle,
}

impl<H: Handler> ConnectionServer<H> {
    pub(super) fn new(present: Present<H>, limit: ConnectionLimit) -> Self {
        let present = Arc::new(ArcSwap::from_pointee(present));
        let (bad_header, bad_certificate) = (LogThrottle::default(), LogThrottle::default());
        Self { present, limit, bad_header, bad_certificate }
    }

    /// Facts about a new connection, with the settings that are in effect now. `tasks` are those of its listener.
    pub(super) fn introduce(
        &self,
        accepted: &Accepted,
        kind: ListenerKind,
        tasks: &Tasks,
    ) -> Arc<ConnectionInfo> {
        let settings = Arc::clone(&self.present.load().settings);
        let tls = accepted.tls(kind, settings.tls.as_ref());
        let scheme = match (tls, kind) {
            (Some(_), _) => Some(Scheme::Https),
            (None, ListenerKind::Redirect) => Some(Scheme::Http),
            (None, ListenerKind::Public | ListenerKind::ForwardAuth) => None,
        };
        let tasks = tasks.clone();
        Arc::new(ConnectionInfo::new(accepted.peer(), kind, scheme, settings, tasks))
    }

    /// Serves one connection until it ends.
    pub(super) async fn serve(
        self: Arc<Self>,
        accepted: Accepted,
        connected: Arc<ConnectionInfo>,
        guard: ConnectionGuard,
    ) {
        let peer = connected.peer();
        let settings = Arc::clone(connected.settings());
        let head_timeout = settings.timeouts.request_headers;
        let head_due = Instant::now() + head_timeout;
        let opening = self.open(accepted, Arc::clone(&connected), guard);
        let mut eviction = EvictionWatch::new(connected.activity());
        let opened = tokio::select! {
            biased;
            opened = timeout(head_timeout, opening) => opened,
            // The client may have sent its request in the moment in which the drain began.
            () = connected.tasks().left() => return,
            // There is no request yet that could be lost.
            () = poll_fn(|cx| eviction.poll(cx)) => return,
        };
        let (stream, protocol, admission) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => {
                return tracing::debug!(?peer, %error, "connection closed before its first request");
            }
            Err(Elapsed { .. }) => {
                return tracing::debug!(
                    ?peer,
                    "no first byte within server.timeouts.request_headers"
                );
            }
        };
        let present = Arc::clone(&self.present);
        let service = Service::new(present, Arc::clone(&connected), admission);
        let service = service_fn(move |request| service.answer(request));
        let stream = TokioIo::new(stream);
        match protocol {
            Protocol::Http1 => {
                let connection = settings.http1.serve_connection(stream, service).with_upgrades();
                let leave = |connection: Pin<&mut _>| {
                    http1::UpgradeableConnection::graceful_shutdown(connection)
                };
                drive(connection, leave, &connected, protocol, admission, head_due).await;
            }
            Protocol::Http2 => {
                let connection = settings.http2.serve_connection(stream, service);
                let leave =
                    |connection: Pin<&mut _>| http2::Connection::graceful_shutdown(connection);
                Box::pin(drive(connection, leave, &connected, protocol, admission, head_due)).await;
            }
        }
    }

    /// Reads the PROXY header, completes the TLS handshake, and determines the protocol.
    async fn open(
        &self,
        mut accepted: Accepted,
        connected: Arc<ConnectionInfo>,
        mut guard: ConnectionGuard,
    ) -> io::Result<(Stream, Protocol, Admission)> {
        let rule = connected.proxy_header();
        let mut ahead = Bytes::new();
        if rule != ProxyHeader::Ignored {
            // Boxed: it is rare, and short compared with the connection.
            let read = Box::pin(proxy_protocol::read(&mut accepted, rule)).await;
            let (announced, rest) =
                read.inspect_err(|error| self.report_header(error, &connected))?;
            ahead = rest;
            if let Some(peer) = announced.and_then(Announced::peer) {
                connected.announce(peer);
                let recounted = self.limit.recount(guard, &connected);
                guard =
                    recounted.ok_or_else(|| io::Error::other("its client is over its limit"))?;
            }
        }
        let admission = guard.admission();
        let tls = accepted.tls(connected.listener(), connected.settings().tls.as_ref());
        let opened = accepted.open(tls, ahead).await;
        let (transport, ahead) =
            opened.inspect_err(|error| self.report_certificate(error, &connected))?;
        let mut stream = Stream::new(transport, ahead, connected, guard);
        let protocol = stream.protocol().await?;
        Ok((stream, protocol, admission))
    }

    /// Reports a connection that is closed for its client certificate. It names the reason: the client sees none.
    fn report_certificate(&self, error: &io::Error, connected: &ConnectionInfo) {
        let error = error.get_ref().and_then(|it| it.downcast_ref::<rustls::Error>());
        let is_of_certificate = |error: &&rustls::Error| {
            use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
            matches!(error, NoCertificatesPresented | InvalidCertificate(_))
        };
        let Some(error) = error.filter(is_of_certificate) else { return };
        if self.bad_certificate.allow() {
            let peer = connected.peer().address();
            tracing::warn!(
                %peer,
                "connection closed: its client certificate does not satisfy server.tls.client_ca: {error}"
            );
        }
    }

    /// Reports a connection that is closed for its PROXY header. It names what to change.
    fn report_header(&self, error: &io::Error, connected: &ConnectionInfo) {
        let Some(error) = error.get_ref().and_then(|it| it.downcast_ref::<HeaderError>()) else {
            return;
        };
        if !self.bad_header.allow() {
            return;
        }
        let peer = connected.peer().address();
        let hint = match error {
            HeaderError::Missing => {
                "let it send one (HAProxy: send-proxy-v2), or remove it from server.trusted_proxies"
            }
            HeaderError::Forbidden => {
                "if it is your load balancer, add it to server.trusted_proxies"
            }
            HeaderError::Malformed | HeaderError::TooLong => "check its configuration",
        };
        tracing::warn!(%peer, "connection closed: {error}; {hint}");
    }
}

/// Polls hyper, and ends the connection at a deadline, by an eviction, or when the server stops.
async fn drive<C: Future>(
    connection: C,
    leave: impl Fn(Pin<&mut C>),
    connected: &ConnectionInfo,
    protocol: Protocol,
    admission: Admission,
    head_due: Instant,
) {
    let mut connection = pin!(connection);
    let timer = pin!(sleep_until(head_due));
    let deadlines = admission.deadlines(&connected.settings().timeouts);
    let mut watchdog = Watchdog::new(connected.activity(), deadlines, protocol, timer);
    let (draining, ending) = connected.tasks().notices();
    let draining = pin!(draining);
    let ending = pin!(ending);
    let mut watch = StageWatch::new(connected.tasks(), draining, ending);
    let mut eviction = EvictionWatch::new(connected.activity());
    let (mut leaving, mut evicted) = (false, false);
    poll_fn(|cx| {
        // Before hyper reads: a request that begins after an eviction gets 503.
        if !evicted && eviction.poll(cx).is_ready() {
            // No response would be lost, and HTTP/1 cannot announce the close.
            if protocol == Protocol::Http1 && connected.activity().awaits_head() {
                return Poll::Ready(());
            }
            (evicted, leaving) = (true, true);
            watchdog.evict();
            leave(connection.as_mut());
        }
        if connected.activity().is_cut() {
            return Poll::Ready(());
        }
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let expiry = match (watch.poll(cx), leaving) {
                (DrainStage::Ending, _) => Poll::Ready(Expiry::Cut),
                (DrainStage::Draining, false) => Poll::Ready(Expiry::Leave),
                (DrainStage::Draining, true) | (DrainStage::Open | DrainStage::Stopping, _) => {
                    watchdog.poll(cx)
                }
            };
            match expiry {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Expiry::Cut) => return Poll::Ready(()),
                Poll::Ready(Expiry::Leave) => {
                    leaving = true;
                    watchdog.leave();
                    leave(connection.as_mut());
                }
            }
        }
    })
    .await;
}
