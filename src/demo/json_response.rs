//! JSON responses of the endpoints.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};

/// A response with a status, an optional `WWW-Authenticate` and a JSON object.
#[derive(Clone, Debug)]
pub(super) struct JsonResponse {
    status: StatusCode,
    authenticate: Option<&'static str>,
    members: Map<String, Value>,
}

impl JsonResponse {
    /// 200 with these members.
    pub(super) fn ok(members: Map<String, Value>) -> Self {
        Self { status: StatusCode::OK, authenticate: None, members }
    }

    /// An OAuth error (RFC 6749 §5.2).
    pub(super) fn error(status: StatusCode, code: &str, description: &str) -> Self {
        let mut members = Map::new();
        members.insert("error".into(), json!(code));
        members.insert("error_description".into(), json!(description));
        Self { status, ..Self::ok(members) }
    }

    /// Adds a `WWW-Authenticate` field.
    pub(super) fn challenge(self, authenticate: &'static str) -> Self {
        Self { authenticate: Some(authenticate), ..self }
    }

    pub(super) fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(Value::Object(self.members).to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Caches must not store tokens (RFC 6749 §5.1).
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(value) = self.authenticate {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        response
    }
}
