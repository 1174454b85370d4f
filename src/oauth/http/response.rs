//! A response of a provider.
//! Invariant: its body, which may contain tokens, is in no log.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::{Map, Value};

use crate::jose::json;
use crate::oauth::error::{Error, ErrorResponse};
use crate::oauth::error_form::ErrorForm;

/// A complete response.
pub struct HttpResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its media type without parameters, in lower case; empty if it has none.
    pub media_type: String,
    /// The form of its error, if it is one.
    pub(in crate::oauth) errors: ErrorForm,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl HttpResponse {
    /// The body as a JSON object. The media type is ignored, because some providers send a wrong one.
    pub fn object(&self) -> Result<Map<String, Value>, Error> {
        // RFC 8259 §8.1 allows parsers to ignore the byte order mark.
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        json::object(body).map_err(|_| Error::Garbage("not a JSON object"))
    }

    /// The body as any JSON value.
    pub fn value(&self) -> Result<Value, Error> {
        serde_json::from_slice(&self.body).map_err(|_| Error::Garbage("not JSON"))
    }

    /// The error in a response of a resource, in the form of the provider.
    pub fn resource_error(&self) -> Option<ErrorResponse> {
        match self.errors {
            ErrorForm::Standard => None,
            form @ (ErrorForm::OkFalse | ErrorForm::Numbered) => {
                form.of_resource(self.status, &self.object().ok()?)
            }
        }
    }

    /// The URL of the next page: `Link` with `rel="next"` (RFC 8288 §3).
    pub fn next_link(&self) -> Option<&str> {
        let fields = self.headers.get_all(header::LINK).iter().filter_map(|it| it.to_str().ok());
        let links = fields.flat_map(|field| field.split('<').skip(1));
        links.filter_map(|link| link.split_once('>')).find_map(|(url, parameters)| {
            let mut parameters = parameters.trim_end_matches([',', ' ']).split(';').map(str::trim);
            let relations =
                |it: &str| it.strip_prefix("rel=").map(|it| it.trim_matches('"').to_owned());
            let is_next = |it: String| it.split(' ').any(|relation| relation == "next");
            parameters.any(|it| relations(it).is_some_and(is_next)).then_some(url)
        })
    }

    /// Whether the server wants fewer requests: 429, or 403 with `Retry-After`, with no request left of those that a client
    /// has (`X-RateLimit-Remaining`, as GitHub answers), or with the reason of an exceeded limit (as Google answers).
    pub fn is_rate_limited(&self) -> bool {
        let is_exhausted = || {
            let waits = self.headers.contains_key(header::RETRY_AFTER);
            let has_none = self.headers.get("x-ratelimit-remaining").is_some_and(|it| it == "0");
            waits || has_none || self.has_reason_of_a_limit()
        };
        self.status == StatusCode::TOO_MANY_REQUESTS
            || (self.status == StatusCode::FORBIDDEN && is_exhausted())
    }

    /// Whether `error.errors` of Google's APIs has such a reason: `userRateLimitExceeded`, `quotaExceeded` and others.
    fn has_reason_of_a_limit(&self) -> bool {
        let body = self.value().unwrap_or_default();
        let errors = body.pointer("/error/errors").and_then(Value::as_array);
        let mut reasons = errors.into_iter().flatten().filter_map(|it| it.get("reason")?.as_str());
        reasons.any(|it| it.ends_with("LimitExceeded") || it == "quotaExceeded")
    }

    /// The time of the server, since 1970: `Date` (RFC 9110 §6.6.1), and `Age` if a cache stored the response
    /// (RFC 9111 §5.1).
    pub fn date(&self) -> Option<Duration> {
        let date = httpdate::parse_http_date(self.text(header::DATE)?).ok()?;
        let age = self.text(header::AGE).and_then(|age| age.parse().ok()).unwrap_or_default();
        date.duration_since(UNIX_EPOCH).ok()?.checked_add(Duration::from_secs(age))
    }

    /// `Location`. It is never followed.
    pub fn location(&self) -> Option<&str> {
        self.text(header::LOCATION)
    }

    fn text(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A response for tests.
    #[cfg(test)]
    pub(crate) fn of(status: u16, body: String) -> Self {
        let status = StatusCode::from_u16(status).unwrap();
        let headers = HeaderMap::new();
        Self {
            status,
            media_type: String::new(),
            errors: ErrorForm::Standard,
            headers,
            body: body.into_bytes(),
        }
    }

    /// A response with this `Date` and `Age`, for tests.
    #[cfg(test)]
    pub(crate) fn dated(date: &str, age: Option<&str>) -> Self {
        let mut response = Self::of(200, String::new());
        response.headers.insert(header::DATE, date.parse().unwrap());
        if let Some(age) = age {
            response.headers.insert(header::AGE, age.parse().unwrap());
        }
        response
    }

    /// The body as received.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl fmt::Debug for HttpResponse {
    // SECURITY: the body may contain tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpResponse({}, {:?}, {} bytes)", self.status, self.media_type, self.body.len())
    }
}
