//! Responses of the gateway that have no page: a redirect, and plain text.
//! Invariant: each has the security headers of a page.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, InvalidHeaderValue, LOCATION,
    REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::body::Body;

/// Sets the security headers of every response that the gateway itself makes.
pub fn harden(headers: &mut HeaderMap) {
    // SECURITY: browsers and proxies must not cache it, guess its type, frame it on another
    // origin's page, or send its address to the next site.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(NOTHING));
}

/// A 302 to `location` that sets these cookies. Fails if the location has a control character.
pub fn redirect(
    location: String,
    cookies: impl IntoIterator<Item = HeaderValue>,
) -> Result<Response<Body>, InvalidHeaderValue> {
    let location = HeaderValue::try_from(location)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    let headers = response.headers_mut();
    harden(headers);
    headers.insert(LOCATION, location);
    for cookie in cookies {
        headers.append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// A `text/plain` response.
pub fn plain_text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::full(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    harden(headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Nothing is loaded or run, and only a page of the same origin may frame it.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'self'";
