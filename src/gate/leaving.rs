//! Event streams end when the process begins to drain. A browser connects again at once, to the next process.
//! Invariant: such a response never looks complete, and every other one goes on.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body as _, Frame, SizeHint};

use crate::body::{Body, BodyError};
use crate::server::Tasks;
use crate::upstream::is_stream;

/// Ends a response with the process, if it is a stream.
pub(super) fn end_with_process(response: &mut Response<Body>, tasks: &Tasks) {
    if !is_stream(response.headers()) || response.body().is_end_stream() {
        return;
    }
    let tasks = tasks.clone();
    let leaving = Box::pin(async move { tasks.leaving().await });
    let body = std::mem::take(response.body_mut());
    *response.body_mut() = Body::streamed(LeavingStream { body, leaving });
}

/// The body of a stream that ends with the process.
struct LeavingStream {
    body: Body,
    leaving: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// The process stops.
#[derive(Debug, thiserror::Error)]
#[error("the gateway is shutting down")]
struct ShuttingDown;

impl http_body::Body for LeavingStream {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // First, so that a stream that always has bytes ends as well.
        if self.leaving.as_mut().poll(cx).is_ready() {
            self.leaving = Box::pin(std::future::pending());
            return Poll::Ready(Some(Err(ShuttingDown.into())));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
