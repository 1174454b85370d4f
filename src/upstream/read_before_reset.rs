//! A stream that reports failed writes only after everything was read.
//! Invariant: a failed write does not end the connection while there may be something to read.
//!
//! An upstream that rejects a body sends its response and closes, and our next bytes cause a reset. hyper gives up a
//! connection at the first failed write and loses the response that is ready to be read (RFC 9112 §9.5, §9.6): the
//! client would get a 502, not "413: at most 10 MB".

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::upstream::connection_budget::BudgetPermit;

/// A stream whose failed writes are reported once everything was read.
pub(super) struct DeferWriteErrors<S> {
    stream: S,
    reading: Reading,
    _permit: BudgetPermit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// There may be more to read.
    Open,
    /// The end or an error was read.
    Over,
}

impl<S> DeferWriteErrors<S> {
    pub(super) fn new(stream: S, permit: BudgetPermit) -> Self {
        Self { stream, reading: Reading::Open, _permit: permit }
    }

    /// The reported result of a write. If it failed while there may be more to read: `lost`, as its bytes are lost
    /// like those before it that were not delivered. Reading will return the error.
    fn reported<T>(
        &self,
        written: Poll<io::Result<T>>,
        lost: impl FnOnce() -> T,
    ) -> Poll<io::Result<T>> {
        written.map(|written| match self.reading {
            Reading::Open => Ok(written.unwrap_or_else(|_| lost())),
            Reading::Over => written,
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for DeferWriteErrors<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        match &read {
            Poll::Pending => {}
            Poll::Ready(Ok(())) if buf.filled().len() > before => {}
            Poll::Ready(Ok(()) | Err(_)) => self.reading = Reading::Over,
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for DeferWriteErrors<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.reported(written, || bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.reported(written, || slices.iter().map(|slice| slice.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.reported(flushed, || ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;
    use crate::upstream::connection_budget::ConnectionBudget;

    #[tokio::test]
    async fn bytes_before_a_reset_are_read_and_then_the_reset_is_reported() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut theirs, _) = listener.accept().await.unwrap();
        let permit = ConnectionBudget::new(1).take().await.unwrap();
        let mut stream = DeferWriteErrors::new(ours, permit);
        stream.write_all(b"a body that is not read").await.unwrap();
        theirs.readable().await.unwrap();
        theirs.write_all(b"no").await.unwrap();
        // Unread bytes make this a reset.
        drop(theirs);
        let until_reset = async {
            while stream.stream.try_write(b"more").is_ok() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(5), until_reset).await.expect("the reset comes");
        stream.write_all(b"more").await.unwrap();
        stream.flush().await.unwrap();
        let mut received = [0; 2];
        stream.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"no");
        assert_eq!(stream.read(&mut received).await.unwrap_or(0), 0);
        stream.write_all(b"more").await.unwrap_err();
    }
}
