//! Pages of the demo: minijinja templates, escaped because their names end in `.html`.
//! Invariant: no script and no content of other sites. Forms are sent only to the provider, which redirects only to
//! registered clients.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use minijinja::{Environment, Value, context};

/// A template of `html/`.
#[derive(Clone, Copy, Debug)]
pub(super) enum PageTemplate {
    SignIn,
    Message,
    Request,
}

impl PageTemplate {
    /// Renders the page. `form_action` has the origins to which a form can be redirected.
    pub(super) fn page(
        self,
        status: StatusCode,
        form_action: &str,
        context: Value,
    ) -> Response<Bytes> {
        let (name, source) = match self {
            Self::SignIn => ("sign_in.html", include_str!("html/sign_in.html")),
            Self::Message => ("message.html", include_str!("html/message.html")),
            Self::Request => ("request.html", include_str!("html/request.html")),
        };
        match Environment::new().render_named_str(name, source, context) {
            Ok(page) => respond(status, "text/html; charset=utf-8", page, form_action),
            Err(error) => {
                tracing::error!(%error, name, "cannot render page");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                respond(status, "text/plain", "Cannot render this page.".into(), "")
            }
        }
    }
}

/// A page with one message.
pub(super) fn message(style: &str, status: StatusCode, title: &str, text: &str) -> Response<Bytes> {
    PageTemplate::Message.page(status, "", context! { style, title, text })
}

/// The style of all pages.
pub(super) fn style() -> Response<Bytes> {
    respond(StatusCode::OK, "text/css", include_str!("html/style.css").into(), "")
}

fn respond(
    status: StatusCode,
    content_type: &'static str,
    text: String,
    form_action: &str,
) -> Response<Bytes> {
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {form_action}; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
