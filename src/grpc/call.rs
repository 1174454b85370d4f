//! A unary call: one message each way, each after a prefix of five bytes, and a status in the trailers.
//! Invariant: a message that is longer than its limit is not kept in memory.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};

use crate::body::{Body, BodyError};

/// Why a call has no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It is longer than the limit.
    #[error("the message of the call is too long")]
    TooLong,
    /// It is compressed, although the gateway does not announce that it can decompress.
    #[error("the message of the call is compressed")]
    Compressed,
    /// There is not exactly one message.
    #[error("the call has not exactly one message")]
    Malformed,
    /// The client sent no more.
    #[error("the call broke off")]
    BrokeOff,
}

/// The code of a call that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// `INVALID_ARGUMENT`.
    InvalidArgument,
    /// `NOT_FOUND`.
    NotFound,
}

/// Flag and length of a message.
const PREFIX: usize = 5;

/// Whether a `Content-Type` is gRPC: `application/grpc`, `application/grpc+proto`, …
pub fn is_grpc(content_type: &HeaderValue) -> bool {
    let prefix = b"application/grpc";
    content_type.as_bytes().get(..prefix.len()).is_some_and(|s| s.eq_ignore_ascii_case(prefix))
}

/// Reads the message of a call, of at most `limit` bytes.
pub async fn message_of(body: Body, limit: usize) -> Result<Bytes, CallError> {
    let body = Limited::new(body, limit.saturating_add(PREFIX));
    let body = body.collect().await.map_err(|error| match error.is::<LengthLimitError>() {
        true => CallError::TooLong,
        false => CallError::BrokeOff,
    })?;
    unframed(body.to_bytes())
}

/// The message after its prefix.
fn unframed(mut body: Bytes) -> Result<Bytes, CallError> {
    if body.len() < PREFIX {
        return Err(CallError::Malformed);
    }
    let message = body.split_off(PREFIX);
    match *body {
        [0, a, b, c, d]
            if usize::try_from(u32::from_be_bytes([a, b, c, d])) == Ok(message.len()) =>
        {
            Ok(message)
        }
        [1, ..] => Err(CallError::Compressed),
        _ => Err(CallError::Malformed),
    }
}

/// The time that the client gives a call; `None`: it gives all the time, or what it says is malformed.
pub fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// The response to a call that succeeds, with its message.
pub fn answer(message: &Bytes) -> Response<Body> {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    // A message that does not fit is cut off by its length, and so is no message.
    framed.put_u32(u32::try_from(message.len()).unwrap_or(0));
    framed.extend_from_slice(message);
    let trailers = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(framed.freeze()).map_err(|never| match never {});
    let body = body.with_trailers(async move { Some(Ok::<_, BodyError>(trailers)) });
    response(Body::streamed(body))
}

/// The response to a call that fails: a status, and no message.
pub fn fail(failure: CallFailure) -> Response<Body> {
    let code = match failure {
        CallFailure::InvalidArgument => "3",
        CallFailure::NotFound => "5",
    };
    let mut response = response(Body::empty());
    response.headers_mut().insert(STATUS, HeaderValue::from_static(code));
    response
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
