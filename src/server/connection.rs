//! One connection from accept to close: TLS, the protocol, hyper with its limits, the deadlines, the drain.
//! Invariant: no client can keep a connection open past its deadlines.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep_until, timeout};

use crate::server::active_settings::SettingsHandle;
use crate::server::connection_info::ConnectionInfo;
use crate::server::connection_limit::{Admission, ConnectionGuard};
use crate::server::deadlines::{Expiry, Watchdog};
use crate::server::eviction::EvictionWatch;
use crate::server::handler::Handler;
use crate::server::protocol::{Protocol, Scheme};
use crate::server::service::Service;
use crate::server::settings::ListenerKind;
use crate::server::shutdown::{DrainStage, StageWatch};
use crate::server::stream::Stream;
use crate::server::transport::Accepted;

/// Serves the connections of all listeners of a server.
pub(super) struct ConnectionServer<H> {
    pub(super) handler: Arc<H>,
    pub(super) settings: SettingsHandle,
}

impl<H: Handler> ConnectionServer<H> {
    /// Facts about a new connection, with the settings that are in effect now.
    pub(super) fn introduce(&self, accepted: &Accepted, kind: ListenerKind) -> Arc<ConnectionInfo> {
        let settings = self.settings.at_accept();
        let tls = accepted.tls(settings.tls.as_ref());
        let scheme = if tls.is_some() { Scheme::Https } else { settings.context.plain_scheme };
        let current = self.settings.clone();
        Arc::new(ConnectionInfo::new(accepted.peer(), kind, scheme, settings, current))
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
        let admission = guard.admission();
        let tls = accepted.tls(settings.tls.as_ref());
        let opening = open(accepted, tls, Arc::clone(&connected), guard);
        let mut eviction = EvictionWatch::new(connected.activity());
        let opened = tokio::select! {
            biased;
            opened = timeout(head_timeout, opening) => opened,
            // There is no request yet that could be lost.
            () = connected.tasks().draining() => return,
            () = poll_fn(|cx| eviction.poll(cx)) => return,
        };
        let (stream, protocol) = match opened {
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
        let service = Service::new(Arc::clone(&self.handler), Arc::clone(&connected), admission);
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
}

/// Completes the TLS handshake and determines the protocol.
async fn open(
    accepted: Accepted,
    tls: Option<&Arc<ServerConfig>>,
    connected: Arc<ConnectionInfo>,
    guard: ConnectionGuard,
) -> io::Result<(Stream, Protocol)> {
    let mut stream = Stream::new(accepted.open(tls).await?, connected, guard);
    let protocol = stream.protocol().await?;
    Ok((stream, protocol))
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
            // No response would be lost, and HTTP/1 has no message for it.
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
