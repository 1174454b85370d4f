//! The settings in effect: derived from [`Settings`] at start and by each reload.
//! Invariant: a connection keeps its TLS, limits and timeouts. Trust in the peer, the scheme and the access log are those
//! in effect when a request arrives, so that a proxy that is no longer trusted loses it on its open connections, too.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;
use rustls::ServerConfig;

use crate::server::error::Error;
use crate::server::forward_auth::ForwardAuth;
use crate::server::forwarded_for::FORWARDED_FOR;
use crate::server::h2_streams::H2Executor;
use crate::server::peer::TrustedProxies;
use crate::server::settings::{Limits, ProxyProtocol, ServerContext, ServerTimeouts, Settings};
use crate::server::shutdown::Tasks;
use crate::server::tls::{self, CertificateExpiry};
use crate::telemetry::log_throttle::LogThrottle;

/// What connections need of the settings, in the form in which they need it.
#[derive(Debug)]
pub(super) struct ActiveSettings {
    pub(super) context: ServerContext,
    pub(super) limits: Limits,
    pub(super) timeouts: ServerTimeouts,
    pub(super) trusted_proxies: TrustedProxies,
    pub(super) proxy_protocol: ProxyProtocol,
    /// The field in which trusted proxies send the client's address.
    pub(super) address_header: HeaderName,
    pub(super) forward_auth: ForwardAuth,
    /// `None` without certificates.
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) certificates: Vec<CertificateExpiry>,
    /// Throttles the log line about peers that are not trusted and send the field with the client's address.
    pub(super) untrusted_chain: LogThrottle,
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<H2Executor>,
}

impl ActiveSettings {
    /// The form of these settings that connections need. Streams of HTTP/2 are `tasks`.
    pub(super) fn new(
        settings: &Settings,
        context: ServerContext,
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        let Settings { limits, timeouts, .. } = *settings;
        let executor = H2Executor { tasks: tasks.clone(), write_timeout: timeouts.write };
        Ok(Self {
            context,
            limits,
            timeouts,
            trusted_proxies: settings.trusted_proxies.clone(),
            proxy_protocol: settings.proxy_protocol,
            address_header: settings.client_address_header.clone().unwrap_or(FORWARDED_FOR),
            forward_auth: settings.forward_auth.clone(),
            tls: tls::configure(settings)?,
            certificates: tls::expiries(&settings.certificates),
            untrusted_chain: LogThrottle::every(Duration::from_secs(3600)),
            http1: http1(&limits),
            http2: http2(&limits, executor),
        })
    }
}

/// Read and write buffers of a connection, unless a larger head is allowed. Large enough to read a target that is
/// too long and to answer 414; small enough that a slow reader does not fill it with whole bodies.
const BUFFER: usize = 64 * 1024;

/// hyper's own limit of fields, up to which it stores them without an allocation.
const USUAL_FIELDS: usize = 100;

fn http1(limits: &Limits) -> http1::Builder {
    let mut http1 = http1::Builder::new();
    http1
        // The watchdog's deadlines apply instead.
        .header_read_timeout(None)
        // Without it, hyper takes a client that closed its side for one that is gone. `stream` decides that.
        .half_close(true)
        .max_buf_size(BUFFER.max(limits.header_bytes));
    if limits.header_count > USUAL_FIELDS {
        http1.max_headers(limits.header_count);
    }
    http1
}

fn http2(limits: &Limits, executor: H2Executor) -> http2::Builder<H2Executor> {
    let mut http2 = http2::Builder::new(executor);
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(100)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(BUFFER)
        // SECURITY: limits rapid reset and similar attacks (CVE-2023-44487, CVE-2025-8671).
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(1024);
    http2
}

/// Bytes of one upload that may be unacknowledged. A round trip moves at most this many (`benches/upload.rs`), and this
/// many are in memory if the application does not read.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// The same for all uploads of a connection together. It is several times that of one stream, so that an upload
/// that the application does not read does not block the others.
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;
