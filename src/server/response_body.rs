//! A response's body on its way out.
//! Invariant: the request ends with it, sent as a whole or not.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::body::{Body, BodyError};
use crate::server::exchange::Exchange;
use crate::server::h2_streams::SendStall;

/// A response's body; the request ends with it.
pub(super) struct ResponseBody {
    /// Empty after its end, or after an error.
    pub(super) body: Body,
    /// The error that is still to be reported to hyper.
    pub(super) broken: Option<BodyError>,
    pub(super) exchange: Box<Exchange>,
    /// Set on HTTP/2.
    pub(super) stall: Option<Arc<SendStall>>,
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(stall) = &this.stall {
            stall.polled();
        }
        let frame = ready!(pin!(&mut this.body).poll_frame(cx));
        if let Some(stall) = &this.stall {
            stall.delivered();
        }
        match frame {
            Some(Ok(frame)) => {
                match frame.data_ref() {
                    Some(data) => this.exchange.bytes += data.len() as u64,
                    None => this.body = Body::empty(),
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => this.break_off(error, cx),
            None => {
                this.body = Body::empty();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl ResponseBody {
    /// Breaks the body off. On HTTP/1 the rest that hyper holds is sent first: a client that gets no byte of a
    /// response takes the connection for a stale one and sends its request again.
    #[cold]
    fn break_off(
        &mut self,
        error: BodyError,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.exchange.outcome.reason = Some(error.to_string().into());
        self.body = Body::empty();
        if self.stall.is_some() {
            return Poll::Ready(Some(Err(error)));
        }
        // hyper drops unsent bytes at an error, and sends them while it waits. So it waits once, then gets the
        // error.
        self.broken = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            return;
        }
        let stalled = self.stall.as_ref().is_some_and(|stall| stall.is_overdue());
        self.exchange.cut(if stalled { "the client took no more" } else { "the client left" });
    }
}
