//! Makes the client's response from the upstream's (RFC 9110 §7.6, RFC 9112 §6.3).
//! Invariants: a response whose end is in doubt is an error; a body that breaks off ends in an error; the connection
//! returns to the pool only if its response ended where its framing says.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use http::{StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

use crate::body::{Body, BodyError};
use crate::upstream::error::{Error, Fault, Phase};
use crate::upstream::hop_by_hop::{strip_response, strip_trailers};
use crate::upstream::pool::{Connection, Pool};

/// The pool to which a connection returns, and the rules for response bodies on it.
#[derive(Debug)]
pub(super) struct ConnectionReturn {
    /// Takes the connection back.
    pub(super) pool: Arc<Pool>,
    /// Between two bytes of a body.
    pub(super) idle: Duration,
    /// Names of identity headers: never relayed as trailers.
    pub(super) identity: Box<[HeaderName]>,
}

/// The client's response; `connection` returns to its pool when the response has ended.
pub(super) fn relay(
    mut response: Box<http::Response<Body>>,
    mut connection: Box<Connection>,
    home: &Arc<ConnectionReturn>,
) -> Result<Box<http::Response<Body>>, Error> {
    check_framing(response.headers_mut())?;
    // An HTTP/1.0 server does not support chunked bodies, which the next request may need.
    connection.reusable &= response.version() == Version::HTTP_11;
    *response.version_mut() = Version::HTTP_11;
    strip_response(response.headers_mut(), &home.identity);
    if response.status() == StatusCode::NO_CONTENT {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    let body = std::mem::take(response.body_mut());
    if body.is_end_stream() {
        home.pool.put(connection);
        return Ok(response);
    }
    let idle = if is_stream(response.headers()) { None } else { Some(home.idle) };
    let connection = Some(connection);
    let relayed = Relayed { body, connection, home: Arc::clone(home), idle, waiting: false };
    *response.body_mut() = Body::streamed(relayed);
    Ok(response)
}

// SECURITY: if two readers disagree where a response ends, the rest can be taken for a second response (RFC 9112
// §6.3, §11.1).
fn check_framing(headers: &mut HeaderMap) -> Result<(), Error> {
    let mut framed = false;
    for (name, value) in headers {
        let bytes = value.as_bytes();
        let clear = match *name {
            TRANSFER_ENCODING => bytes.eq_ignore_ascii_case(b"chunked"),
            CONTENT_LENGTH => !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit),
            _ => continue,
        };
        if framed || !clear {
            return Err(Error::Misbehaved(Fault::Framing));
        }
        framed = true;
        // Some read a leading zero as octal.
        if let [b'0', _, ..] = bytes {
            *value = without_leading_zeros(bytes);
        }
    }
    Ok(())
}

/// The same number without leading zeros.
#[cold]
fn without_leading_zeros(digits: &[u8]) -> HeaderValue {
    let first = digits.iter().position(|digit| *digit != b'0');
    let digits = first.and_then(|first| digits.get(first..)).unwrap_or(b"0");
    HeaderValue::from_bytes(digits).unwrap_or(const { HeaderValue::from_static("0") })
}

/// Whether pauses are normal in a response: an event stream (HTML, Server-sent events) or gRPC.
pub fn is_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        [&b"text/event-stream"[..], b"application/grpc"].iter().any(|kind| {
            value.as_bytes().get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind))
        })
    })
}

/// A response body that is being relayed.
struct Relayed {
    body: Body,
    /// `None` once the body has ended or broken off.
    connection: Option<Box<Connection>>,
    home: Arc<ConnectionReturn>,
    idle: Option<Duration>,
    /// Whether the idle timeout runs: only while the client waits for the upstream.
    waiting: bool,
}

impl Relayed {
    fn end(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.home.pool.put(connection);
        }
    }

    /// Fails once the upstream has sent nothing for the idle timeout.
    fn poll_silence(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let (Some(limit), Some(connection)) = (self.idle, &mut self.connection) else {
            return Poll::Pending;
        };
        if !self.waiting {
            self.waiting = true;
            connection.deadline.set(Instant::now(), limit);
        }
        ready!(connection.deadline.poll(cx));
        self.connection = None;
        Poll::Ready(Some(Err(Error::TooSlow(Phase::Streaming).into())))
    }
}

impl http_body::Body for Relayed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(item) = Pin::new(&mut self.body).poll_frame(cx) else {
            return self.poll_silence(cx);
        };
        self.waiting = false;
        let frame = match item {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                self.connection = None;
                return Poll::Ready(Some(Err(Error::BrokeOff(error).into())));
            }
            None => {
                self.end();
                return Poll::Ready(None);
            }
        };
        // The reader may stop at the last byte, or at trailers.
        if frame.is_trailers() || self.body.is_end_stream() {
            self.end();
        }
        Poll::Ready(Some(Ok(match frame.into_trailers() {
            Ok(mut trailers) => {
                strip_trailers(&mut trailers, &self.home.identity);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
