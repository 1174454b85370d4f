//! Errors between the gateway and an upstream.
//! Invariant: every variant shows whether the client, the upstream or the configuration caused it, so that no
//! caller has to read the text.

use std::fmt;
use std::io;

use rustls::CertificateError;

use crate::body::BodyError;

/// Why a request got no response, or a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings cannot work; only [`Upstream::new`](super::Upstream::new) returns this.
    #[error("{0}")]
    Settings(#[from] SettingsFault),
    /// The host name has no address.
    #[error("cannot resolve the upstream's host name {host}: {source}")]
    Unresolved {
        /// As written in `upstream`.
        host: Box<str>,
        /// The resolver's error.
        source: io::Error,
    },
    /// No connection: refused, no route to it, or no such socket.
    #[error("cannot connect to the upstream at {target}: {source}")]
    Unreachable {
        /// The address or the path that was tried last.
        target: Box<str>,
        /// The system's error.
        source: io::Error,
    },
    /// The TLS handshake failed: an unknown authority, another name, no common version.
    #[error("TLS toward the upstream failed: {0}: {remedy}", remedy = tls_remedy(.0))]
    TlsFailed(#[source] io::Error),
    /// A timeout of [`Timeouts`](super::Timeouts).
    #[error("the upstream was too slow {0}")]
    TooSlow(Phase),
    /// The response is not valid for the request.
    #[error("invalid response from the upstream: {0}")]
    Misbehaved(Fault),
    /// The response body broke off.
    #[error("the upstream broke off its response: {0}")]
    BrokeOff(#[source] BodyError),
    /// All connections to upstreams are busy, and the limit is reached.
    #[error("the limit on connections to upstreams is reached")]
    Full,
    /// Most of them are in use, and this client has its share.
    #[error("most connections to upstreams are in use, and this client uses a quarter of them")]
    FullForClient,
    /// The request body is over the limit of the route.
    #[error("the request body is too large")]
    BodyTooLarge,
    /// The request body broke off.
    #[error("the client broke off the request body")]
    Client(#[source] hyper::Error),
}

/// The remedy for a failed handshake.
fn tls_remedy(error: &io::Error) -> &'static str {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref());
    match cause {
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
            "does this port serve plain http://?"
        }
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::Other(_),
        )) => "add its authority, or the certificate itself, to `upstream_tls.ca`",
        Some(_) | None => "check `upstream_tls`",
    }
}

/// The limit that a head exceeds.
fn limit(error: &hyper::Error) -> &'static str {
    match error.is_parse_too_large() {
        true => ": the limit is server.limits.response_header_bytes",
        false => "",
    }
}

/// The phase in which a timeout passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// DNS, TCP and TLS.
    Connecting,
    /// From the last byte of the request to the end of the response's head.
    Answering,
    /// Between two bytes of the response body.
    Streaming,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "to connect",
            Self::Answering => "to answer",
            Self::Streaming => "to continue its response body",
        })
    }
}

/// What is invalid in a response.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No HTTP, an oversized head, a reset, or an end before the end of the head.
    #[error("{0}{limit}", limit = limit(.0))]
    Http(#[source] hyper::Error),
    /// `Content-Length` with `Transfer-Encoding`, either of them twice, or a coding other than `chunked`
    /// (RFC 9112 §6.3).
    #[error("its end is ambiguous")]
    Framing,
    /// An unrequested 101, or one with a wrong `Sec-WebSocket-Accept` (RFC 6455 §4.1).
    #[error("it switched to a protocol that was not requested")]
    Upgrade,
}

/// What is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsFault {
    /// `upstream_tls.ca` has no usable certificate.
    #[error("upstream_tls.ca has no usable certificate")]
    Authority,
    /// The client certificate and its key cannot be used together.
    #[error("upstream_tls.client_certificate and client_key cannot be used: {0}")]
    ClientCertificate(String),
    /// The TLS library rejects the settings.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// Neither a DNS name nor an IP address.
    #[error("{0} is not a name that a certificate can contain")]
    ServerName(String),
    /// The target's authority is not valid in `Host`.
    #[error("{0} is not a valid Host")]
    Host(String),
}
