//! The stream that hyper reads and writes, for every transport.
//! Invariant: all reads and writes are reported to [`ConnectionActivity`], a client that leaves before its
//! response is noticed, and a close does not lose the last response. After an upgrade, bytes are only forwarded.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::server::connection_info::ConnectionInfo;
use crate::server::connection_limit::ConnectionGuard;
use crate::server::deadlines::ConnectionActivity;
use crate::server::protocol::Protocol;
use crate::server::transport::Transport;

/// A transport that reports its activity.
pub(super) struct Stream {
    transport: Transport,
    connected: Arc<ConnectionInfo>,
    protocol: Protocol,
    /// Bytes that were read before hyper reads them.
    ahead: Bytes,
    client_side: Side,
    our_side: Side,
    _guard: ConnectionGuard,
}

#[derive(Debug, PartialEq, Eq)]
enum Side {
    Open,
    Closed,
}

/// The preface of HTTP/2 with prior knowledge (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes that are read at once to determine the protocol. Few, because every silent connection reserves them.
const SNIFFED: usize = 1024;

impl Stream {
    pub(super) fn new(
        transport: Transport,
        ahead: Bytes,
        connected: Arc<ConnectionInfo>,
        guard: ConnectionGuard,
    ) -> Self {
        Self {
            transport,
            connected,
            protocol: Protocol::Http1,
            ahead,
            client_side: Side::Open,
            our_side: Side::Open,
            _guard: guard,
        }
    }

    /// Determines the protocol: by ALPN, else by the first bytes.
    pub(super) async fn protocol(&mut self) -> io::Result<Protocol> {
        self.protocol = match self.transport.negotiated() {
            Some(protocol) => protocol,
            None => self.sniff().await?,
        };
        Ok(self.protocol)
    }

    async fn sniff(&mut self) -> io::Result<Protocol> {
        let mut head = BytesMut::from(std::mem::take(&mut self.ahead));
        head.reserve(SNIFFED);
        let protocol = loop {
            if head.iter().zip(PREFACE).any(|(sent, expected)| sent != expected) {
                break Protocol::Http1;
            }
            if head.len() >= PREFACE.len() {
                break Protocol::Http2;
            }
            if self.transport.read_buf(&mut head).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        self.ahead = head.freeze();
        Ok(protocol)
    }

    fn activity(&self) -> &ConnectionActivity {
        self.connected.activity()
    }

    /// Checks whether the client is still connected while hyper waits for the response and does not read. Called
    /// at each flush: hyper flushes whenever it is polled. A reset ends the connection. A client that has closed
    /// its side may still wait for its response, so the request goes on as long as the client takes bytes.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let watches = self.protocol == Protocol::Http1
            && self.client_side == Side::Open
            && self.ahead.is_empty()
            && self.activity().is_answering(cx);
        if !watches {
            return Ok(());
        }
        let mut space = [0; 64];
        let mut read = ReadBuf::new(&mut space);
        if let Poll::Ready(outcome) = Pin::new(&mut self.transport).poll_read(cx, &mut read) {
            outcome?;
            if read.filled().is_empty() {
                self.client_side = Side::Closed;
                self.activity().half_closed();
            } else {
                // The beginning of the next request, kept until hyper reads it.
                self.ahead = Bytes::copy_from_slice(read.filled());
            }
        }
        Ok(())
    }

    /// Reads until the client has closed its side. A close with unread bytes would reset the connection, and the
    /// reset may overtake the response (RFC 9112 §9.6). The amount is not limited, because an upload may send
    /// megabytes before its rejection arrives. The watchdog ends it.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 4096];
        loop {
            let mut read = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut self.transport).poll_read(cx, &mut read)) {
                Ok(()) if !read.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.activity().blocked(),
            Poll::Ready(_) => self.activity().wrote(),
        }
        written
    }

    fn flushed(&self, flushed: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        match &flushed {
            Poll::Pending => self.activity().blocked(),
            Poll::Ready(_) => self.activity().flushed(),
        }
        flushed
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead.has_remaining() {
            let length = this.ahead.remaining().min(buf.remaining());
            buf.put_slice(&this.ahead.split_to(length));
            this.activity().received(this.protocol);
            // There may be more of the head. hyper would double its buffer for a second read, and an idle
            // connection keeps that buffer.
            if length == SNIFFED
                && let Poll::Ready(Err(error)) = Pin::new(&mut this.transport).poll_read(cx, buf)
            {
                return Poll::Ready(Err(error));
            }
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.transport).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.activity().received(this.protocol);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.transport).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.transport).poll_write_vectored(cx, slices);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.transport).poll_flush(cx);
        ready!(self.flushed(flushed))?;
        self.poll_client(cx)?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.our_side == Side::Open {
            let shut = Pin::new(&mut self.transport).poll_shutdown(cx);
            ready!(self.flushed(shut))?;
            self.our_side = Side::Closed;
            self.activity().closing();
        }
        if !self.activity().is_upgraded() {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;

    use super::*;
    use crate::server::connection_limit::ConnectionLimit;
    use crate::server::peer::Peer;
    use crate::server::protocol::Scheme;
    use crate::server::settings::{Limits, Settings};

    async fn served() -> (Stream, UnixStream) {
        let (server, client) = UnixStream::pair().unwrap();
        let settings = Settings::listening_nowhere();
        let connected = ConnectionInfo::fixed(Peer::Unix, Scheme::Http, &settings);
        let limit = ConnectionLimit::new(&Limits::default(), Arc::default());
        let guard = limit.claim(limit.slot().await, &connected).unwrap();
        (Stream::new(Transport::Unix(server), Bytes::new(), connected, guard), client)
    }

    #[tokio::test]
    async fn head_that_has_arrived_is_read_at_once() {
        for length in [1, SNIFFED - 1, SNIFFED, SNIFFED + 1, 3 * SNIFFED] {
            let (mut stream, mut client) = served().await;
            let sent = vec![b'x'; length];
            client.write_all(&sent).await.unwrap();
            assert_eq!(stream.protocol().await.unwrap(), Protocol::Http1);
            let mut space = vec![0; 8 * SNIFFED];
            let read = stream.read(&mut space).await.unwrap();
            assert_eq!(space.get(..read), Some(&sent[..]), "{length}");
            client.write_all(b"more").await.unwrap();
            drop(client);
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"more");
        }
    }

    #[tokio::test]
    async fn upload_after_the_response_is_not_reset() {
        let (mut stream, mut client) = served().await;
        let uploading = async {
            for _ in 0..512 {
                client.write_all(&[b'x'; 16 * 1024]).await.expect("no reset");
            }
            drop(client);
        };
        let closing = async move {
            stream.shutdown().await.unwrap();
        };
        tokio::join!(closing, uploading);
    }
}
