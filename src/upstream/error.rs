//! What can go wrong between us and the application behind us.
//! Invariant: every variant names who is to blame, so that the room that answers needs no text of ours.

use std::fmt;
use std::io;

use rustls::CertificateError;

use crate::body::BodyError;

/// Why a request got no answer, or a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings cannot work; only [`Upstream::new`](super::Upstream::new) says so.
    #[error("{0}")]
    Settings(#[from] SettingsFault),
    /// No address for its name.
    #[error("the upstream's name {host} cannot be resolved: {source}")]
    Unresolved {
        /// As written in `upstream`.
        host: Box<str>,
        /// The resolver's word.
        source: io::Error,
    },
    /// No connection: refused, no way there, or no such socket.
    #[error("the upstream at {target} cannot be reached: {source}")]
    Unreachable {
        /// The address or the path that was tried last.
        target: Box<str>,
        /// The system's word.
        source: io::Error,
    },
    /// A connection, but no TLS: an unknown authority, another name, no common version.
    #[error("TLS toward the upstream failed: {0}: {remedy}", remedy = tls_remedy(.0))]
    TlsFailed(#[source] io::Error),
    /// A deadline of [`Timeouts`](super::Timeouts) passed.
    #[error("the upstream was too slow {0}")]
    TooSlow(Phase),
    /// What came was no answer to what was asked.
    #[error("the upstream misbehaved: {0}")]
    Misbehaved(Fault),
    /// The response's body ended before its end.
    #[error("the upstream broke off: {0}")]
    BrokeOff(#[source] BodyError),
    /// As many connections to upstreams as there may be are busy.
    #[error("there is no room for another connection to an upstream")]
    Full,
    /// Most of them are in use, and this client holds its share.
    #[error("most connections to upstreams are in use, and this client holds a quarter of them")]
    FullForClient,
    /// The request's body is over the route's cap.
    #[error("the request's body is too large")]
    BodyTooLarge,
    /// The client's body broke off before its end.
    #[error("the client's body broke off")]
    Client(#[source] hyper::Error),
}

/// What to do, where TLS tells.
fn tls_remedy(error: &io::Error) -> &'static str {
    let told = error.get_ref().and_then(|inner| inner.downcast_ref());
    match told {
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
            "does it speak plain http:// there?"
        }
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::Other(_),
        )) => "name its authority, or the certificate itself, in `upstream_tls.ca`",
        Some(_) | None => "check `upstream_tls`",
    }
}

/// What the upstream was slow at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// DNS, TCP and TLS.
    Connecting,
    /// From the request's last byte to the end of the response's head.
    Answering,
    /// Between two bytes of the response's body.
    Streaming,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "to connect",
            Self::Answering => "to answer",
            Self::Streaming => "between two bytes of its body",
        })
    }
}

/// How the upstream broke HTTP.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Garbage, an oversize head, a reset or an end before the head's.
    #[error("{0}")]
    Http(#[source] hyper::Error),
    /// `Content-Length` beside `Transfer-Encoding`, either of them twice, or a coding that is not
    /// `chunked` (RFC 9112 §6.3).
    #[error("its response has no clear end")]
    Framing,
    /// 101 that nobody asked for, or one that does not answer our key (RFC 6455 §4.1).
    #[error("it switched protocols in a way that was not asked for")]
    Upgrade,
}

/// What is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsFault {
    /// `upstream_tls.ca` holds no certificate that can be used.
    #[error("upstream_tls.ca holds no usable certificate")]
    Authority,
    /// The client certificate and its key cannot be used together.
    #[error("upstream_tls.client_certificate and client_key cannot be used: {0}")]
    ClientCertificate(String),
    /// The TLS library has no protocol version to offer.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// Neither a DNS name nor an IP address.
    #[error("{0} is no name that a certificate can have")]
    ServerName(String),
    /// The target's authority is no `Host`.
    #[error("{0} is no value for Host")]
    Host(String),
}
