//! An endpoint's JSON answer before it is sent, so that faults can change any part of it.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};

/// Status, a few header fields, and a JSON object.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) location: Option<String>,
    pub(super) authenticate: Option<&'static str>,
    pub(super) members: Map<String, Value>,
    /// Sent instead of the members.
    pub(super) text: Option<String>,
}

impl Answer {
    /// 200 with these members.
    pub(super) fn ok(members: Map<String, Value>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: "application/json",
            location: None,
            authenticate: None,
            members,
            text: None,
        }
    }

    /// An OAuth error (RFC 6749 §5.2).
    pub(super) fn error(status: StatusCode, code: &str, description: &str) -> Self {
        let mut members = Map::new();
        members.insert("error".into(), json!(code));
        members.insert("error_description".into(), json!(description));
        Self { status, ..Self::ok(members) }
    }

    /// With a `WWW-Authenticate` field.
    pub(super) fn challenge(self, authenticate: &'static str) -> Self {
        Self { authenticate: Some(authenticate), ..self }
    }

    pub(super) fn into_response(self) -> Response<Bytes> {
        let text = self.text.unwrap_or_else(|| Value::Object(self.members).to_string());
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        // Tokens must not be kept by caches (RFC 6749 §5.1).
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(value) = self.authenticate {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        if let Some(value) = self.location.and_then(|to| HeaderValue::from_str(&to).ok()) {
            headers.insert(header::LOCATION, value);
        }
        response
    }
}
