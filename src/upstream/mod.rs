//! The application behind us: gateway duties of RFC 9110 §7.
//! "Upstream" is used as the trade does, for the server that requests are forwarded to.

use std::path::PathBuf;
use std::time::Duration;

use crate::origin::Origin;
use crate::secret::Secret;

/// What one route says of its upstream.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where requests go.
    pub target: Target,
    /// How TLS toward it is done.
    pub tls: TlsSettings,
    /// Deadlines of one forwarded request.
    pub timeouts: Timeouts,
    /// Whether the client's `Host` is sent on instead of the target's own.
    pub preserve_host: bool,
}

/// One place that answers requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// `http://` or `https://`.
    Origin(Origin),
    /// `unix:PATH`, plain HTTP/1.1.
    Unix(PathBuf),
}

/// TLS toward an upstream, beside the system's roots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM text of further authorities.
    pub ca: Option<String>,
    /// PEM texts of our own certificate chain and its key.
    pub client: Option<(String, Secret)>,
    /// The name to ask for and to verify, instead of the target's host.
    pub server_name: Option<String>,
}

/// Deadlines of one forwarded request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// DNS, TCP and TLS together.
    pub connect: Duration,
    /// From the request's last byte to the end of the response's head.
    pub response_headers: Duration,
    /// Between two bytes of a body; none for upgraded, event-stream and gRPC streams.
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
