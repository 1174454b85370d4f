//! Accepted sockets and the byte streams that carry HTTP.
//! Invariant: unix sockets and the redirect to https never use TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use rustls::{ServerConfig, ServerConnection};
#[cfg(test)]
use tokio::io::DuplexStream;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::server::peer::Peer;
use crate::server::protocol::Protocol;
use crate::server::settings::ListenerKind;

/// A socket as it comes from `accept`.
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
    /// For tests whose clock is paused: no socket works with one.
    #[cfg(test)]
    Memory(DuplexStream),
}

impl Accepted {
    pub(super) fn peer(&self) -> Peer {
        match self {
            Self::Tcp(_, peer) => Peer::Ip(peer.ip().to_canonical()),
            Self::Unix(_) => Peer::Unix,
            #[cfg(test)]
            Self::Memory(_) => Peer::Ip([127, 0, 0, 1].into()),
        }
    }

    /// The TLS configuration that applies to this socket.
    pub(super) fn tls<'t>(
        &self,
        listener: ListenerKind,
        tls: Option<&'t Arc<ServerConfig>>,
    ) -> Option<&'t Arc<ServerConfig>> {
        match (self, listener) {
            (Self::Tcp(..), ListenerKind::Public | ListenerKind::ForwardAuth) => tls,
            (Self::Tcp(..), ListenerKind::Redirect) | (Self::Unix(_), _) => None,
            #[cfg(test)]
            (Self::Memory(_), _) => None,
        }
    }

    /// Reads bytes, before the transport is known.
    pub(super) async fn read_buf(&mut self, bytes: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Tcp(stream, _) => stream.read_buf(bytes).await,
            Self::Unix(stream) => stream.read_buf(bytes).await,
            #[cfg(test)]
            Self::Memory(stream) => stream.read_buf(bytes).await,
        }
    }

    /// Completes the TLS handshake, if there is one. `ahead` was read before. Returns what is left of it.
    pub(super) async fn open(
        self,
        tls: Option<&Arc<ServerConfig>>,
        ahead: Bytes,
    ) -> io::Result<(Transport, Bytes)> {
        let transport = match (self, tls) {
            (Self::Tcp(stream, _), Some(tls)) => {
                let tls = TlsAcceptor::from(Arc::clone(tls));
                let mut fed = Ok(());
                let handshake = tls.accept_with(stream, |session| fed = feed(session, &ahead));
                fed?;
                // Boxed: a handshake is large, and short compared with the connection.
                let stream = Box::pin(handshake).await?;
                return Ok((Transport::Tls(Box::new(stream)), Bytes::new()));
            }
            (Self::Tcp(stream, _), None) => Transport::Tcp(stream),
            (Self::Unix(stream), _) => Transport::Unix(stream),
            #[cfg(test)]
            (Self::Memory(stream), _) => Transport::Memory(stream),
        };
        Ok((transport, ahead))
    }
}

/// Hands bytes that were read from the socket before to the TLS session.
fn feed(session: &mut ServerConnection, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        session.read_tls(&mut bytes)?;
        session.process_new_packets().map_err(io::Error::other)?;
    }
    Ok(())
}

/// A byte stream.
#[derive(Debug)]
pub(super) enum Transport {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
    #[cfg(test)]
    Memory(DuplexStream),
}

impl Transport {
    /// The protocol that ALPN chose; `None` without TLS.
    pub(super) fn negotiated(&self) -> Option<Protocol> {
        match self {
            Self::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Some(Protocol::Http2)
            }
            Self::Tls(_) => Some(Protocol::Http1),
            Self::Tcp(_) | Self::Unix(_) => None,
            #[cfg(test)]
            Self::Memory(_) => None,
        }
    }
}

/// Calls a method of the stream inside, whichever it is.
macro_rules! delegate {
    ($transport:expr, $stream:ident => $call:expr) => {
        match $transport {
            Transport::Tcp($stream) => $call,
            Transport::Tls($stream) => $call,
            Transport::Unix($stream) => $call,
            #[cfg(test)]
            Transport::Memory($stream) => $call,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        delegate!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
