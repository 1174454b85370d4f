//! A request body that is sent to the upstream.
//! Invariants: its framing is made from the body, never from the client's fields; at most the route's limit is sent; no
//! trailers are sent.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::Method;
use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

use crate::body::{Body, BodyError};
use crate::lock::lock;
use crate::upstream::error::Error;

/// Sets the framing of the body from the body itself, not from the client's fields.
pub(super) fn frame(
    request: &mut http::Request<Body>,
    cap: Option<u64>,
    on_bytes: impl FnMut() + Send + Unpin + 'static,
) -> Result<Option<Progress>, Error> {
    request.headers_mut().remove(CONTENT_LENGTH);
    if request.body().is_end_stream() {
        // RFC 9110 §8.6: methods that expect a body say that there is none.
        if matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        return Ok(None);
    }
    let size = request.body().size_hint();
    if cap.is_some_and(|cap| size.lower() > cap) {
        return Err(Error::BodyTooLarge);
    }
    let (name, value) = match size.exact() {
        Some(length) => (CONTENT_LENGTH, HeaderValue::from(length)),
        // hyper would drop a body of unknown length from a GET.
        None => (TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
    };
    request.headers_mut().insert(name, value);
    let progress = Progress(Arc::new(Mutex::new(Turn::Upstream(Instant::now()))));
    let (body, left) = (std::mem::take(request.body_mut()), cap.unwrap_or(u64::MAX));
    *request.body_mut() =
        Body::streamed(Upload { body, left, progress: progress.clone(), on_bytes });
    Ok(Some(progress))
}

/// The progress of an upload.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Mutex<Turn>>);

/// Which side is awaited.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// The client, which has its own timeout.
    Client,
    /// The upstream. Its connection took bytes at this time, or the last of them.
    Upstream(Instant),
}

impl Progress {
    /// Since when the upstream is awaited.
    pub(super) fn last(&self) -> Instant {
        match *lock(&self.0) {
            Turn::Client => Instant::now(),
            Turn::Upstream(since) => since,
        }
    }

    fn turn(&self, turn: Turn) {
        *lock(&self.0) = turn;
    }
}

/// A request body, counted and without trailers.
struct Upload<H> {
    body: Body,
    left: u64,
    progress: Progress,
    /// Called for each frame.
    on_bytes: H,
}

/// Why a request body was not sent completely.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadFault {
    /// More bytes than the route's limit.
    #[error("over the limit")]
    TooLarge,
    /// The client broke it off.
    #[error("{0}")]
    Client(#[source] BodyError),
}

impl<H: FnMut() + Unpin> http_body::Body for Upload<H> {
    type Data = bytes::Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            self.progress.turn(Turn::Client);
            return Poll::Pending;
        };
        self.progress.turn(Turn::Upstream(Instant::now()));
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(UploadFault::Client(error).into()))),
            None => return Poll::Ready(None),
        };
        (self.on_bytes)();
        // SECURITY: trailers are dropped, so that none is taken for a header field (RFC 9110 §6.5.1).
        let Ok(data) = frame.into_data() else { return Poll::Ready(None) };
        match self.left.checked_sub(data.len() as u64) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Some(Err(UploadFault::TooLarge.into()))),
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
