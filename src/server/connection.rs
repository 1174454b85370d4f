//! One connection from accept to close: TLS, the protocol, hyper with its limits, the deadlines, the drain.
//! Invariant: nothing that a client does, or leaves undone, keeps a connection past its deadlines.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use crate::server::connection_info::ConnectionInfo;
use crate::server::connection_limit::{Admission, ConnectionGuard};
use crate::server::deadlines::{Expiry, Watchdog};
use crate::server::eviction::EvictionWatch;
use crate::server::forward_auth::ForwardAuth;
use crate::server::h2_streams::H2Executor;
use crate::server::handler::Handler;
use crate::server::peer::TrustedProxies;
use crate::server::protocol::{Protocol, Scheme};
use crate::server::service::Service;
use crate::server::settings::{Limits, ListenerKind, ServerContext, ServerTimeouts, Settings};
use crate::server::shutdown::{DrainStage, StageWatch, Tasks};
use crate::server::stream::Stream;
use crate::server::transport::Accepted;

/// What all connections of a server share.
pub(super) struct ConnectionServer<H> {
    handler: Arc<H>,
    frame: ServerContext,
    limits: Limits,
    timeouts: ServerTimeouts,
    proxies: Arc<TrustedProxies>,
    forward_auth: ForwardAuth,
    tls: Option<TlsAcceptor>,
    http1: http1::Builder,
    http2: http2::Builder<H2Executor>,
    tasks: Tasks,
}

/// Read and write buffers of a connection, unless a larger head is allowed. Large enough that a target which is
/// too long is read and answered by name; small enough that slow readers do not collect whole bodies here.
const BUFFER: usize = 64 * 1024;

/// hyper's own bound of fields, up to which it needs no allocation for them.
const USUAL_FIELDS: usize = 100;

impl<H: Handler> ConnectionServer<H> {
    pub(super) fn new(
        handler: Arc<H>,
        frame: ServerContext,
        settings: &Settings,
        tls: Option<Arc<ServerConfig>>,
        tasks: Tasks,
    ) -> Self {
        Self {
            handler,
            frame,
            limits: settings.limits,
            timeouts: settings.timeouts,
            proxies: Arc::new(settings.trusted_proxies.clone()),
            forward_auth: settings.forward_auth.clone(),
            tls: tls.map(TlsAcceptor::from),
            http1: http1(&settings.limits),
            http2: http2(
                &settings.limits,
                H2Executor { tasks: tasks.clone(), deadlines: settings.timeouts.write },
            ),
            tasks,
        }
    }

    /// What holds for a connection that was accepted.
    pub(super) fn introduce(&self, accepted: &Accepted, kind: ListenerKind) -> Arc<ConnectionInfo> {
        let tls = accepted.tls(self.tls.as_ref());
        let scheme = if tls.is_some() { Scheme::Https } else { self.frame.plain_scheme };
        Arc::new(ConnectionInfo::new(
            accepted.peer(),
            kind,
            scheme,
            &self.proxies,
            &self.forward_auth,
            self.tasks.clone(),
        ))
    }

    /// Serves one connection until it ends.
    pub(super) async fn serve(
        self: Arc<Self>,
        accepted: Accepted,
        connected: Arc<ConnectionInfo>,
        guard: ConnectionGuard,
    ) {
        let peer = connected.peer();
        let head_timeout = self.timeouts.request_headers;
        let head_due = Instant::now() + head_timeout;
        let admission = guard.admission();
        let tls = accepted.tls(self.tls.as_ref());
        let opening = open(accepted, tls, Arc::clone(&connected), guard);
        let mut eviction = EvictionWatch::new(connected.activity());
        let opened = tokio::select! {
            biased;
            opened = timeout(head_timeout, opening) => opened,
            // Who has sent no request yet has none that would be lost.
            () = self.tasks.draining() => return,
            () = poll_fn(|cx| eviction.poll(cx)) => return,
        };
        let (stream, protocol) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return tracing::debug!(?peer, %error, "a connection did not open"),
            Err(Elapsed { .. }) => {
                return tracing::debug!(?peer, "a connection sent nothing in time");
            }
        };
        let service = Service::new(
            Arc::clone(&self.handler),
            Arc::clone(&connected),
            admission,
            self.limits,
            self.timeouts.request_body,
            self.frame.access_log,
            Arc::clone(&self.frame.metrics),
        );
        let service = service_fn(move |request| service.answer(request));
        let stream = TokioIo::new(stream);
        match protocol {
            Protocol::Http1 => {
                let connection = self.http1.serve_connection(stream, service).with_upgrades();
                let leave = |connection: Pin<&mut _>| {
                    http1::UpgradeableConnection::graceful_shutdown(connection)
                };
                self.drive(connection, leave, &connected, protocol, admission, head_due).await;
            }
            Protocol::Http2 => {
                let connection = self.http2.serve_connection(stream, service);
                let leave =
                    |connection: Pin<&mut _>| http2::Connection::graceful_shutdown(connection);
                Box::pin(self.drive(connection, leave, &connected, protocol, admission, head_due))
                    .await;
            }
        }
    }

    /// Polls hyper, and ends the connection when its time or the server's is up.
    async fn drive<C: Future>(
        &self,
        connection: C,
        leave: impl Fn(Pin<&mut C>),
        connected: &ConnectionInfo,
        protocol: Protocol,
        admission: Admission,
        head_due: Instant,
    ) {
        let mut connection = pin!(connection);
        let timer = pin!(sleep_until(head_due));
        let deadlines = admission.deadlines(&self.timeouts);
        let mut watchdog = Watchdog::new(connected.activity(), deadlines, protocol, timer);
        let (draining, ending) = self.tasks.notices();
        let draining = pin!(draining);
        let ending = pin!(ending);
        let mut watch = StageWatch::new(&self.tasks, draining, ending);
        let mut eviction = EvictionWatch::new(connected.activity());
        let (mut leaving, mut evicted) = (false, false);
        poll_fn(|cx| {
            // Before hyper reads: a request that begins from now on would be told that there is no room.
            if !evicted && eviction.poll(cx).is_ready() {
                // There is no answer that would be lost, nor a way to tell between two messages.
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
                    (DrainStage::Draining, true) | (DrainStage::Open, _) => watchdog.poll(cx),
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
}

/// Gets as far as knowing what the client speaks.
async fn open(
    accepted: Accepted,
    tls: Option<&TlsAcceptor>,
    connected: Arc<ConnectionInfo>,
    guard: ConnectionGuard,
) -> io::Result<(Stream, Protocol)> {
    let mut stream = Stream::new(accepted.open(tls).await?, connected, guard);
    let protocol = stream.protocol().await?;
    Ok((stream, protocol))
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut http1 = http1::Builder::new();
    http1
        // The keeper's deadlines hold instead.
        .header_read_timeout(None)
        // hyper would take a closed side for a client that is gone; the stream knows better.
        .half_close(true)
        .max_buf_size(BUFFER.max(limits.header_bytes));
    if limits.header_count > USUAL_FIELDS {
        http1.max_headers(limits.header_count);
    }
    http1
}

fn http2(limits: &Limits, streams: H2Executor) -> http2::Builder<H2Executor> {
    let mut http2 = http2::Builder::new(streams);
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(BUFFER)
        // SECURITY: bounds rapid reset and its relatives (CVE-2023-44487, CVE-2025-8671).
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(1024);
    http2
}

/// How much of one upload may be under way: each round trip moves as much (`benches/upload.rs`), and as much is
/// in memory while the application does not read it.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// The same for all uploads of a connection. Several times that of one, so that an upload which the application
/// does not read leaves room for the others.
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;
