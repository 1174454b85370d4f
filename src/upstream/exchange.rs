//! One exchange on a connection: a request is sent, the head of its response is received.
//! Invariant: it ends within its timeout, which runs while the upstream is awaited, not while the client is; a request
//! of which no byte was sent is returned, to be sent on another connection.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::body::Body;
use crate::upstream::pool::Connection;
use crate::upstream::upload::Progress;

impl Connection {
    /// Sends a request and waits for the head of its response: until `limit` after `start`, or after the connection
    /// took the last byte of the request. The time in which the upload waits for the client does not count.
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
    /// The connection was closed before a byte was sent. Returns the request.
    Unsent(Box<http::Request<Body>>, hyper::Error),
    /// The connection broke, or the response is not HTTP.
    Broken(hyper::Error),
    /// The timeout passed.
    TooSlow,
}
