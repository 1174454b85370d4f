//! The body of a form that a browser sends to an endpoint.
//! Invariants: it is read whole or not at all, at most [`MAX_BYTES`] within [`DEADLINE`].

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::body::Body;
use crate::error::Error;
use crate::server::Stalled;

/// The text of an `application/x-www-form-urlencoded` body, still encoded.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<String, Error> {
    if !is_form(headers) {
        return Err(Error::Rejected(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    if body.size_hint().lower() > MAX_BYTES as u64 {
        return Err(Error::Rejected(StatusCode::PAYLOAD_TOO_LARGE));
    }
    // SECURITY: the server's timeout is between two chunks, so a body could come without end.
    let read = timeout(DEADLINE, Limited::new(body, MAX_BYTES).collect()).await;
    let bytes = match read {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Error::Rejected(StatusCode::PAYLOAD_TOO_LARGE));
        }
        Ok(Err(error)) if error.is::<Stalled>() => {
            return Err(Error::Rejected(StatusCode::REQUEST_TIMEOUT));
        }
        Ok(Err(_)) => return Err(Error::Malformed),
        Err(_) => return Err(Error::Rejected(StatusCode::REQUEST_TIMEOUT)),
    };
    String::from_utf8(bytes.into()).map_err(|_| Error::Malformed)
}

/// Whether the only `Content-Type` is that of a form, with or without parameters.
fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter().map(|value| value.as_bytes());
    let essence = |value: &[u8]| {
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        value.get(..end).is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(FORM))
    };
    types.next().is_some_and(essence) && types.next().is_none()
}

const FORM: &[u8] = b"application/x-www-form-urlencoded";
/// Room for a code that is a signed and encrypted token, and for what else a provider sends.
const MAX_BYTES: usize = 16 * 1024;
/// For the whole body.
const DEADLINE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    async fn status(types: &[&'static str], body: Body) -> Result<String, StatusCode> {
        let mut headers = HeaderMap::new();
        for value in types {
            headers.append(CONTENT_TYPE, HeaderValue::from_static(value));
        }
        read(&headers, body).await.map_err(|error| error.status())
    }

    const FORM: &str = "application/x-www-form-urlencoded";

    #[tokio::test]
    async fn only_one_type_is_a_form() {
        for types in [
            FORM,
            "Application/X-WWW-Form-URLencoded",
            "application/x-www-form-urlencoded; charset=UTF-8",
        ] {
            assert_eq!(status(&[types], Body::full("a=b")).await, Ok("a=b".into()), "{types}");
        }
        for types in [
            &[][..],
            &["text/plain"],
            &["multipart/form-data; boundary=x"],
            &[FORM, FORM],
            &[FORM, "text/plain"],
        ] {
            let unsupported = Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
            assert_eq!(status(types, Body::full("a=b")).await, unsupported, "{types:?}");
        }
    }

    #[tokio::test]
    async fn body_over_the_limit_is_413_with_and_without_its_length() {
        let fits = "x".repeat(MAX_BYTES);
        assert_eq!(status(&[FORM], Body::full(fits.clone())).await, Ok(fits.clone()));
        let streamed = |text: String| {
            Body::streamed(http_body_util::StreamBody::new(futures_util::stream::iter([Ok(
                http_body::Frame::data(text.into()),
            )])))
        };
        assert_eq!(status(&[FORM], streamed(fits.clone())).await, Ok(fits.clone()));
        let longer = format!("{fits}x");
        for body in [Body::full(longer.clone()), streamed(longer)] {
            assert_eq!(status(&[FORM], body).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
        }
    }

    #[tokio::test]
    async fn body_that_is_not_text_is_400() {
        assert_eq!(status(&[FORM], Body::full(&b"a=\xff"[..])).await, Err(StatusCode::BAD_REQUEST));
    }

    #[tokio::test(start_paused = true)]
    async fn body_that_never_ends_is_408() {
        let endless = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok(http_body::Frame::data("a".into())), ()))
        });
        let body = Body::streamed(http_body_util::StreamBody::new(endless));
        assert_eq!(status(&[FORM], body).await, Err(StatusCode::REQUEST_TIMEOUT));
    }
}
