//! An endpoint's JSON answer, read so that faults can change any part of it.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::Bytes;
use serde_json::{Map, Value, json};

/// Status, header fields, and a JSON object.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) members: Map<String, Value>,
    /// Sent instead of the members.
    pub(super) text: Option<String>,
}

impl Answer {
    /// What the provider answered.
    pub(super) fn read(response: Response<Bytes>) -> Self {
        let (head, body) = response.into_parts();
        let members = serde_json::from_slice(&body).unwrap();
        Self { status: head.status, headers: head.headers, members, text: None }
    }

    /// An OAuth error (RFC 6749 §5.2).
    pub(super) fn error(status: StatusCode, code: &str) -> Self {
        let mut error = Self { status, headers: HeaderMap::new(), members: Map::new(), text: None };
        error.set("error", json!(code));
        error.set("error_description", json!("on demand"));
        error.head(header::CONTENT_TYPE, "application/json");
        error.head(header::CACHE_CONTROL, "no-store");
        error
    }

    /// Another value of a header field.
    pub(super) fn head(&mut self, name: HeaderName, value: &str) {
        self.headers.insert(name, HeaderValue::from_str(value).unwrap());
    }

    /// Another value of a member.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.members.insert(name.to_owned(), value);
    }

    /// A redirect in place of the members.
    pub(super) fn go(&mut self, status: StatusCode, to: &str) {
        self.status = status;
        self.head(header::LOCATION, to);
        self.members.clear();
    }

    pub(super) fn into_response(self) -> Response<Bytes> {
        let text = self.text.unwrap_or_else(|| Value::Object(self.members).to_string());
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
