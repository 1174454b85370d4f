//! The body type of all requests and responses: empty, full, or streamed.
//! Invariant: `size_hint` and `is_end_stream` are those of the inner body, so that a known `Content-Length` is
//! forwarded.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

/// Why a body ended early.
pub type BodyError = Box<dyn StdError + Send + Sync>;

/// The body of a request or a response.
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Option<Bytes>),
    Incoming(Incoming),
    Streamed(Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError> + Send>>),
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// These bytes, all at once.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Full(Some(bytes.into())))
    }

    /// The bytes of a body that is not streamed.
    pub fn into_bytes(self) -> Option<Bytes> {
        match self.0 {
            Kind::Empty => Some(Bytes::new()),
            Kind::Full(bytes) => Some(bytes.unwrap_or_default()),
            Kind::Incoming(_) | Kind::Streamed(_) => None,
        }
    }

    /// A stream of bytes, which may apply limits or end early.
    pub fn streamed(body: impl HttpBody<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        Self(Kind::Streamed(Box::pin(body)))
    }
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        Self(Kind::Incoming(incoming))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Incoming(incoming) => {
                Pin::new(incoming).poll_frame(cx).map_err(|error| Box::new(error) as BodyError)
            }
            Kind::Streamed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Kind::Incoming(incoming) => incoming.is_end_stream(),
            Kind::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Kind::Incoming(incoming) => incoming.size_hint(),
            Kind::Streamed(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Empty => "Body::Empty",
            Kind::Full(_) => "Body::Full",
            Kind::Incoming(_) => "Body::Incoming",
            Kind::Streamed(_) => "Body::Streamed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_of_empty_and_full_body_is_exact() {
        assert_eq!(Body::empty().size_hint().exact(), Some(0));
        assert_eq!(Body::full("abc").size_hint().exact(), Some(3));
        assert!(Body::full("").is_end_stream());
        assert_eq!(Body::empty().into_bytes().unwrap(), "");
        assert_eq!(Body::full("abc").into_bytes().unwrap(), "abc");
    }
}
