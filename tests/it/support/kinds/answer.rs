//! Answers of the engine.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::Serializer;

use super::data::{Data, Reply};

pub(super) type Answer = Response<Full<Bytes>>;

/// JSON with this status.
pub(super) fn json_answer(status: u16, body: &Value) -> Answer {
    with_body(status, "application/json; charset=utf-8", body.to_string())
}

/// Members of an object as a form.
pub(super) fn form_answer(status: u16, body: &Value) -> Answer {
    let mut form = Serializer::new(String::new());
    for (name, value) in body.as_object().unwrap() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        form.append_pair(name, &value);
    }
    with_body(status, "application/x-www-form-urlencoded; charset=utf-8", form.finish())
}

/// A page of HTML whose form is submitted to `action` (OAuth 2.0 Form Post Response Mode).
pub(super) fn form_page(action: &str, fields: &[(String, String)]) -> Answer {
    let escape =
        |text: &str| text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let inputs = fields.iter().map(|(name, value)| {
        format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", escape(name), escape(value))
    });
    let inputs = inputs.collect::<String>();
    let page = format!("<form method=\"post\" action=\"{}\">{inputs}</form>", escape(action));
    with_body(200, "text/html; charset=utf-8", page)
}

pub(super) fn redirect(to: &Url) -> Answer {
    let mut answer = with_body(302, "text/plain", String::new());
    answer.headers_mut().insert("location", HeaderValue::try_from(to.as_str()).unwrap());
    answer
}

pub(super) fn empty(status: u16) -> Answer {
    with_body(status, "text/plain", String::new())
}

fn with_body(status: u16, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
    answer
}

impl Data {
    /// The answer with this error: the provider's own one, or that of the standards.
    pub(super) fn error(&self, name: &str) -> Reply {
        if let Some(own) = self.errors.get(name) {
            return own.clone();
        }
        let (status, error) = match name {
            "invalid_client" => (401, "invalid_client"),
            "refresh_refused" => (400, "invalid_grant"),
            "unauthorized" => (401, "invalid_token"),
            "forbidden" => (403, "insufficient_scope"),
            "limited" => (429, "too_many_requests"),
            "failed_page" => (500, "server_error"),
            other => (400, other),
        };
        Reply { status, headers: BTreeMap::new(), body: json!({ "error": error }) }
    }
}

impl Reply {
    /// As an answer in JSON.
    pub(super) fn answer(&self) -> Answer {
        let mut answer = json_answer(self.status, &self.body);
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).unwrap();
            answer.headers_mut().insert(name, HeaderValue::try_from(value).unwrap());
        }
        answer
    }
}
