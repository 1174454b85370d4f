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
    /// Empty once there is no more to come, for better or worse.
    pub(super) body: Body,
    /// Why it broke off, until that is told.
    pub(super) broken: Option<BodyError>,
    pub(super) exchange: Box<Exchange>,
    /// On HTTP/2.
    pub(super) handover: Option<Arc<SendStall>>,
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
        if let Some(handover) = &this.handover {
            handover.asked();
        }
        let frame = ready!(pin!(&mut this.body).poll_frame(cx));
        if let Some(handover) = &this.handover {
            handover.handed();
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
    /// Ends a body before its end. On HTTP/1 what there is of the answer is sent first: a client takes a
    /// connection without any answer for a stale one, and sends its request again.
    #[cold]
    fn break_off(
        &mut self,
        error: BodyError,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.exchange.outcome.reason = Some(error.to_string().into());
        self.body = Body::empty();
        if self.handover.is_some() {
            return Poll::Ready(Some(Err(error)));
        }
        // hyper drops what it has not written when it hears of an error, and writes when it has to wait.
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
        let stalled = self.handover.as_ref().is_some_and(|handover| handover.is_overdue());
        self.exchange.cut(if stalled { "the client took no more" } else { "the client left" });
    }
}
