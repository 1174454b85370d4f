//! A request's body on its way in.
//! Invariant: its reader waits at most `timeouts.request_body` for the next byte, and gets no trailers.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::body::{Body, BodyError};
use crate::deadline::Deadline;
use crate::server::client_info::ClientInfo;

/// The error of a body whose client sent nothing for this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client sent no byte of the request's body for {} s", .0.as_secs_f32())]
pub struct Stalled(pub Duration);

/// Wraps hyper's body. A request without a body costs nothing.
pub(super) fn wrap(incoming: Incoming, timeout: Duration, client: &Arc<ClientInfo>) -> Body {
    if incoming.is_end_stream() {
        return Body::empty();
    }
    client.connected().activity().uploads();
    client.open_parts().uploads();
    let client = Arc::clone(client);
    Body::streamed(RequestBody { incoming, timeout, client, waiting: None })
}

struct RequestBody {
    incoming: Incoming,
    timeout: Duration,
    client: Arc<ClientInfo>,
    /// Set when the reader first has to wait. The flag is set while it waits.
    waiting: Option<(Deadline, bool)>,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = pin!(&mut this.incoming).poll_frame(cx) else {
            ready!(this.poll_deadline(cx));
            return Poll::Ready(Some(Err(Box::new(Stalled(this.timeout)))));
        };
        if let Some((_, waits)) = &mut this.waiting {
            *waits = false;
        }
        let frame = match frame {
            // SECURITY: trailers could bring identity or framing fields past the checks of the head
            // (RFC 9110 §6.5.1).
            Some(Ok(frame)) if frame.is_trailers() => None,
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) => Some(Err(error.into())),
            None => None,
        };
        if frame.is_none() || this.incoming.is_end_stream() {
            this.client.connected().activity().uploaded();
            this.client.open_parts().uploaded();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.client.open_parts().uploaded();
    }
}

impl RequestBody {
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let begin = || (Deadline::after(Instant::now(), self.timeout), true);
        let (deadline, waits) = self.waiting.get_or_insert_with(begin);
        if !*waits {
            *waits = true;
            deadline.set(Instant::now(), self.timeout);
        }
        deadline.poll(cx)
    }
}
