//! Event streams end when the process begins to drain. A browser connects again at once, to the next process.
//! How: the body of the response ends with an error. hyper asks for the body only while the client reads, so a task
//! cuts the response of a client that does not.
//! Invariant: a stream that is cut ends with an error, so that no client takes it for complete. Other responses are
//! sent to their end.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body as _, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::body::{Body, BodyError};
use crate::server::{ClientInfo, Tasks};
use crate::upstream::is_stream;

/// Ends a response with the process, if it is a stream.
pub(super) fn end_with_process(response: &mut Response<Body>, client: &Arc<ClientInfo>) {
    if !is_stream(response.headers()) || response.body().is_end_stream() {
        return;
    }
    let tasks = client.tasks().clone();
    let leaving = Box::pin(async move { tasks.leaving().await });
    let over = CancellationToken::new();
    client.tasks().spawn(cut_unread(Arc::downgrade(client), client.tasks().clone(), over.clone()));
    let body = std::mem::take(response.body_mut());
    *response.body_mut() =
        Body::streamed(LeavingStream { body, leaving, _over: over.drop_guard() });
}

/// Cuts a response that is still open when all streams have left.
async fn cut_unread(request: Weak<ClientInfo>, tasks: Tasks, over: CancellationToken) {
    tokio::select! {
        () = over.cancelled() => {}
        () = tasks.left() => {
            if let Some(request) = request.upgrade() {
                request.cut();
            }
        }
    }
}

/// The body of a stream that ends with the process.
struct LeavingStream {
    body: Body,
    leaving: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Ends the task that waits to cut the response.
    _over: DropGuard,
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
