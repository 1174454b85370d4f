//! How a server writes its errors.
//! Invariant: a form other than the standard one is read only where the kind of the provider has it.

use http::StatusCode;
use serde_json::{Map, Value};

use crate::oauth::error::{ErrorCode, ErrorResponse};

/// The form of error responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ErrorForm {
    /// `error` is a text (RFC 6749 §5.2). At a resource, the status says what an answer is.
    #[default]
    Standard,
    /// The same at the token endpoint. At a resource, an object with `"ok": false` is an error, also with status 200.
    OkFalse,
    /// `error` is an object with the number `code`, often also `error_subcode`, the text `message`, and `is_transient`.
    /// Its code is read as `CODE` or `CODE/SUBCODE`.
    Numbered,
}

impl ErrorForm {
    /// The error in a response of the token endpoint.
    pub(super) fn of_token(self, body: &Map<String, Value>) -> Option<ErrorResponse> {
        match self {
            Self::Standard | Self::OkFalse => standard(body),
            Self::Numbered => numbered(body).or_else(|| standard(body)),
        }
    }

    /// The error in a response of a resource, if the status does not say all of it.
    pub(super) fn of_resource(
        self,
        status: StatusCode,
        body: &Map<String, Value>,
    ) -> Option<ErrorResponse> {
        match self {
            Self::Standard => None,
            Self::OkFalse if body.get("ok") == Some(&Value::Bool(false)) => {
                standard(body).or_else(|| Some(ErrorResponse::new("ok: false", "")))
            }
            Self::OkFalse => None,
            Self::Numbered if status.is_client_error() => numbered(body),
            Self::Numbered => None,
        }
    }
}

fn standard(body: &Map<String, Value>) -> Option<ErrorResponse> {
    let text = |name| body.get(name).and_then(Value::as_str);
    Some(ErrorResponse::new(text("error")?, text("error_description").unwrap_or_default()))
}

fn numbered(body: &Map<String, Value>) -> Option<ErrorResponse> {
    let error = body.get("error")?.as_object()?;
    let number = |name| error.get(name).and_then(Value::as_u64);
    let code = match (number("code")?, number("error_subcode")) {
        (code, Some(subcode)) => format!("{code}/{subcode}"),
        (code, None) => code.to_string(),
    };
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    let mut response = ErrorResponse::new(&code, message);
    if error.get("is_transient") == Some(&Value::Bool(true)) {
        response.code = ErrorCode::TemporarilyUnavailable;
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    /// The code of an error at the token endpoint.
    fn token_error(form: ErrorForm, value: &Value) -> Option<String> {
        form.of_token(&body(value)).map(|error| error.code.as_str().to_owned())
    }

    /// The code of an error at a resource.
    fn resource_error(form: ErrorForm, status: u16, value: &Value) -> Option<String> {
        let status = StatusCode::from_u16(status).unwrap();
        form.of_resource(status, &body(value)).map(|error| error.code.as_str().to_owned())
    }

    #[test]
    fn error_object_is_read_only_in_its_form() {
        let spent = json!({"error": {"message": "used", "code": 100, "error_subcode": 36009}});
        assert_eq!(token_error(ErrorForm::Numbered, &spent).as_deref(), Some("100/36009"));
        assert_eq!(resource_error(ErrorForm::Numbered, 400, &spent).as_deref(), Some("100/36009"));
        assert_eq!(resource_error(ErrorForm::Numbered, 200, &spent), None);
        for form in [ErrorForm::Standard, ErrorForm::OkFalse] {
            assert_eq!(token_error(form, &spent), None);
            assert_eq!(resource_error(form, 400, &spent), None);
        }
        let secret = json!({"error": {"code": 1}});
        assert_eq!(token_error(ErrorForm::Numbered, &secret).as_deref(), Some("1"));
        for other in [json!({"error": {"code": "1"}}), json!({"error": {}}), json!({"error": 1})] {
            assert_eq!(token_error(ErrorForm::Numbered, &other), None, "{other}");
        }
        let transient = json!({"error": {"code": 2, "is_transient": true}});
        let error = ErrorForm::Numbered.of_token(&body(&transient)).unwrap();
        assert_eq!(error.code, ErrorCode::TemporarilyUnavailable);
    }

    #[test]
    fn ok_false_is_an_error_of_a_resource_only_in_its_form() {
        let revoked = json!({"ok": false, "error": "token_revoked"});
        assert_eq!(
            resource_error(ErrorForm::OkFalse, 200, &revoked).as_deref(),
            Some("token_revoked")
        );
        let unnamed = json!({"ok": false});
        assert_eq!(resource_error(ErrorForm::OkFalse, 200, &unnamed).as_deref(), Some("ok: false"));
        for form in [ErrorForm::Standard, ErrorForm::Numbered] {
            assert_eq!(resource_error(form, 200, &revoked), None);
        }
        for good in [json!({"ok": true, "sub": "U1"}), json!({"sub": "U1"}), json!({"ok": "false"})]
        {
            assert_eq!(resource_error(ErrorForm::OkFalse, 200, &good), None, "{good}");
        }
    }
}
