//! One exchange on a connection: a request out, the head of its response back.
//! Invariant: it ends within its deadline, which runs while the upstream is waited for, not the client; a
//! request of which no byte was sent comes back to be sent elsewhere.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::pool::Connection;
use super::upload::Progress;
use crate::body::Body;

impl Connection {
    /// Sends a request and awaits the head of its response, at most `limit` after `start`, or after the
    /// last byte of the request was taken. While the client is waited for, nobody waits for the upstream.
    pub(super) async fn exchange(
        &mut self,
        request: Box<http::Request<Body>>,
        progress: Option<&Progress>,
        mut start: Instant,
        limit: Duration,
    ) -> Result<Box<http::Response<Body>>, Failure> {
        let mut answer = pin!(self.sender.try_send_request(*request));
        let deadline = &mut self.deadline;
        deadline.set(start, limit);
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(match answer {
                    Ok(response) => Ok(Box::new(response.map(Body::from))),
                    Err(mut error) => Err(match error.take_message() {
                        Some(request) => Failure::Unsent(Box::new(request), error.into_error()),
                        None => Failure::Broken(error.into_error()),
                    }),
                });
            }
            loop {
                ready!(deadline.poll(cx));
                match progress.map(Progress::last).filter(|last| *last > start) {
                    Some(last) => start = last,
                    None => return Poll::Ready(Err(Failure::TooSlow)),
                }
                deadline.set(start, limit);
            }
        })
        .await
    }
}

/// Why there is no head of a response.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection was closed before a byte was sent; here is the request again.
    Unsent(Box<http::Request<Body>>, hyper::Error),
    /// The connection broke, or what came was no response.
    Broken(hyper::Error),
    /// The deadline passed.
    TooSlow,
}
