//! The pages of the gateway in the client's language, and the same as JSON or gRPC status in English. One page has a
//! token, as the value of a form: [`SignOutAtProvider`].
//! Invariants: every value is escaped, because the templates' names end in `.html`; every answer is `no-store`,
//! `nosniff` and `no-referrer`; a page runs no script and loads nothing.
//! Source: CSP Level 3; RFC 9110 §12.5.1; the gRPC protocol over HTTP/2, "Responses".

mod english;
mod error;
mod german;
mod korean;
mod language;
mod logo;
mod negotiate;
mod reason;
mod reference;
mod response;
mod sign_in;
mod sign_out;
mod style;
mod texts;
mod view;

use http::header::{
    CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

pub use error::Forbidden;
pub use language::{Language, Languages, ReplaceError};
pub use logo::Logo;
pub use negotiate::{Format, ResponseContext};
pub use reason::{DenialReason, SignInReason};
pub use response::{harden, plain_text, redirect};
pub use sign_in::{Choice, SignInFailure};
pub use sign_out::{SignOutAtProvider, SignOutUnconfirmed};

use crate::body::Body;
use crate::clock::Clock;
use crate::origin::Origin;
use crate::pages::english::Texts;
use crate::pages::style::{FormAction, Policies};
use crate::pages::view::{Action, ActionKind, View};

/// `pages:`, what the operator can change.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    /// The title of every page. Default: "Portcullis".
    pub title: Option<String>,
    /// A picture above the title.
    pub logo: Option<Logo>,
    /// A sentence below the title.
    pub message: Option<String>,
    /// CSS text after the built-in style. The policy keeps it from loading anything.
    pub style: Option<String>,
    /// The texts in every language.
    pub texts: Languages,
}

/// A page and its data. Every address is ready for the visitor's browser.
#[derive(Debug)]
pub enum Page<'a> {
    /// A button per provider.
    SignIn {
        /// The buttons, in their order.
        choices: &'a [Choice<'a>],
        /// The host to which the user goes after the sign-in.
        site: &'a str,
    },
    /// 401: the visitor has to sign in.
    SignInRequired {
        /// The address of the sign-in; also `login_url` of the JSON answer.
        login_url: &'a str,
    },
    /// 401: the session ended before the form of this request was sent.
    SessionEnded {
        /// The address of the sign-in, opened in another tab; also `login_url` of the JSON answer.
        login_url: &'a str,
    },
    /// The session is over.
    SignedOut {
        /// The address of a new sign-in; `None` if this host has no application.
        sign_in: Option<&'a str>,
    },
    /// The session is over here, and maybe not at other instances.
    SignOutUnconfirmed(SignOutUnconfirmed<'a>),
    /// A question before a sign-out that another site may have started.
    ConfirmSignOut {
        /// The address that the button posts to.
        action: &'a str,
    },
    /// The session here is over; the one at the provider ends by a form.
    SignOutAtProvider(SignOutAtProvider<'a>),
    /// 403: the user is not allowed.
    Forbidden(Forbidden<'a>),
    /// 403: there is no access from the visitor's network.
    DeniedNetwork,
    /// 503: the provider cannot be reached.
    ProviderUnavailable,
    /// The sign-in failed.
    SignInFailed(SignInFailure<'a>),
    /// 421: no route has this host.
    WrongHost {
        /// The address of the gateway.
        public_url: &'a Origin,
    },
    /// 421: the host of `public_url`, which has no application.
    SignInOnly {
        /// The address of this page.
        public_url: &'a Origin,
    },
    /// 421: the redirect to https would lead back to it.
    RedirectLoop,
    /// The general page of a status, which may differ from the answer's.
    Status(StatusCode),
}

/// Why a [`Brand`] cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operator's CSS would end the `<style>` element.
    #[error("the style must not contain \"</style\"")]
    Style,
    /// An embedded template is broken.
    #[error("a page template is broken: {0}")]
    Template(#[from] minijinja::Error),
}

/// Renders all pages, in one brand.
#[derive(Debug)]
pub struct Pages {
    environment: Environment<'static>,
    policies: Policies,
    /// The header fields of every answer that has no form.
    fields: HeaderMap,
    /// The same for a 401, the most frequent page, and those of its own, so that a copy has room for all.
    unauthorized_fields: HeaderMap,
    clock: Clock,
    texts: Languages,
    /// The texts that no operator replaced, for programs.
    built_in: Languages,
}

impl Pages {
    /// Prepares the templates, and renders what is the same on every page.
    pub fn new(brand: &Brand, clock: Clock) -> Result<Self, Error> {
        let style = style::style(brand)?;
        let mut environment = Environment::new();
        environment.add_template("brand.html", include_str!("html/brand.html"))?;
        environment.add_template("page.html", include_str!("html/page.html"))?;
        let title = brand.title.as_deref().unwrap_or("Portcullis");
        let rendered = environment.get_template("brand.html")?.render(context! {
            title,
            logo => brand.logo.as_ref().map(Logo::data_url),
            message => brand.message.as_deref(),
        })?;
        let policies = Policies::new(&style);
        let mut fields = HeaderMap::with_capacity(FIELDS);
        harden(&mut fields);
        fields.insert(CONTENT_SECURITY_POLICY, policies.of(FormAction::None));
        let mut unauthorized_fields = fields.clone();
        for own in [CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE] {
            unauthorized_fields.insert(own, HeaderValue::from_static(""));
        }
        environment.add_global("title", title);
        environment.add_global("brand", Value::from_safe_string(rendered));
        environment.add_global("style", Value::from_safe_string(style));
        let (texts, built_in) = (brand.texts.clone(), Languages::default());
        Ok(Self { environment, policies, fields, unauthorized_fields, clock, texts, built_in })
    }

    /// Renders a page in the format of `context`. A 401 gets `WWW-Authenticate: Bearer`, a 429 and a 503 get
    /// `Retry-After`; the caller may replace them.
    pub fn respond(
        &self,
        context: &ResponseContext<'_>,
        status: StatusCode,
        page: &Page<'_>,
    ) -> Response<Body> {
        let texts = match context.format {
            Format::Html => self.texts.of(context.language),
            Format::Grpc | Format::Json => self.built_in.of(Language::English),
        };
        let view = page.view(texts, context.retry);
        let mut response = match context.format {
            Format::Grpc => self.grpc(status, &view),
            Format::Html => self
                .html(context, texts, page, &view)
                .unwrap_or_else(|| self.json(context, status, page, &view)),
            Format::Json => self.json(context, status, page, &view),
        };
        if context.format != Format::Grpc {
            *response.status_mut() = status;
        }
        let headers = response.headers_mut();
        let forms = page.form_action();
        if forms != FormAction::None {
            headers.insert(CONTENT_SECURITY_POLICY, self.policies.of(forms));
        }
        if let FormAction::Only(_) = forms {
            // SECURITY: a script of an application on this origin could read the token in a window that it opened.
            headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }

    fn html(
        &self,
        context: &ResponseContext<'_>,
        texts: &Texts,
        page: &Page<'_>,
        view: &View<'_>,
    ) -> Option<Response<Body>> {
        let values = context! {
            language => context.language.tag(),
            next_steps => &*texts.next_steps,
            reference => &*texts.reference,
            reference_use => &*texts.reference_use,
            time => reference::time(self.clock.unix()),
            view => Serde(view),
            form => page.form_action() != FormAction::None,
            fields => Serde(page.fields()),
            request_id => reference::short(context.request_id),
        };
        let text = self.environment.get_template("page.html").ok()?.render(values).ok()?;
        let mut response = full(&self.fields, "text/html; charset=utf-8", text);
        // No `Vary`: the answer is `no-store`, so no cache could mix up two languages.
        let language = HeaderValue::from_static(context.language.tag());
        response.headers_mut().insert(CONTENT_LANGUAGE, language);
        Some(response)
    }

    /// Without a serializer, because a general one would take a third of the time of an auth subrequest.
    fn json(
        &self,
        context: &ResponseContext<'_>,
        status: StatusCode,
        page: &Page<'_>,
        view: &View<'_>,
    ) -> Response<Body> {
        let message = view.message();
        let members = [
            ("error", view.error),
            ("message", Some(&*message)),
            ("request_id", Some(context.request_id)),
            ("login_url", page.login_url()),
        ];
        let mut text = String::with_capacity(JSON_BYTES);
        for (name, value) in members {
            let Some(value) = value else { continue };
            text.push_str(if text.is_empty() { "{\"" } else { ",\"" });
            text.push_str(name);
            text.push_str("\":");
            push_json(&mut text, value);
        }
        text.push('}');
        let is_unauthorized = status == StatusCode::UNAUTHORIZED;
        let fields = if is_unauthorized { &self.unauthorized_fields } else { &self.fields };
        full(fields, "application/json", text)
    }

    /// A Trailers-Only response: HTTP 200, and the gRPC status as a header.
    fn grpc(&self, status: StatusCode, view: &View<'_>) -> Response<Body> {
        let message = utf8_percent_encode(&view.message(), GRPC_MESSAGE).to_string();
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.clone_from(&self.fields);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(GRPC_STATUS, HeaderValue::from(negotiate::grpc_status(status)));
        if let Ok(message) = HeaderValue::try_from(message) {
            headers.insert(HeaderName::from_static("grpc-message"), message);
        }
        response
    }
}

impl Page<'_> {
    fn view<'v>(&'v self, texts: &'v Texts, retry: Option<&'v str>) -> View<'v> {
        match self {
            Self::SignIn { choices, site } => sign_in::choose(texts, choices, site),
            Self::SignInRequired { login_url } => sign_in::required(texts, login_url),
            Self::SessionEnded { login_url } => sign_in::session_ended(texts, login_url),
            Self::SignedOut { sign_in } => sign_out::signed_out(texts, *sign_in),
            Self::SignOutUnconfirmed(page) => sign_out::unconfirmed(texts, page),
            Self::ConfirmSignOut { action } => sign_out::confirm(texts, action),
            Self::SignOutAtProvider(page) => sign_out::at_provider(texts, page),
            Self::SignInFailed(failure) => sign_in::failed(texts, failure),
            Self::Forbidden(forbidden) => error::forbidden(texts, forbidden),
            Self::DeniedNetwork => error::denied_network(texts, retry),
            Self::ProviderUnavailable => error::provider_unavailable(texts, retry),
            Self::WrongHost { public_url } => error::wrong_host(texts, public_url),
            Self::SignInOnly { public_url } => error::sign_in_only(texts, public_url),
            Self::RedirectLoop => error::redirect_loop(texts),
            Self::Status(status) => error::of_status(texts, *status, retry),
        }
    }

    fn login_url(&self) -> Option<&str> {
        match self {
            Self::SignInRequired { login_url } | Self::SessionEnded { login_url } => {
                Some(login_url)
            }
            Self::SignIn { .. }
            | Self::SignedOut { .. }
            | Self::SignOutUnconfirmed(_)
            | Self::ConfirmSignOut { .. }
            | Self::SignOutAtProvider(_)
            | Self::Forbidden(_)
            | Self::SignInFailed(_)
            | Self::DeniedNetwork
            | Self::ProviderUnavailable
            | Self::WrongHost { .. }
            | Self::SignInOnly { .. }
            | Self::RedirectLoop
            | Self::Status(_) => None,
        }
    }

    /// The hidden fields of its form: names and values.
    fn fields(&self) -> Vec<(&'static str, &str)> {
        if let Self::SignOutAtProvider(page) = self { page.exposed_fields() } else { Vec::new() }
    }

    fn form_action(&self) -> FormAction<'_> {
        match self {
            Self::ConfirmSignOut { .. } => FormAction::Any,
            Self::SignOutAtProvider(page) => FormAction::Only(page.origins),
            Self::SignIn { .. }
            | Self::SignInRequired { .. }
            | Self::SessionEnded { .. }
            | Self::SignedOut { .. }
            | Self::SignOutUnconfirmed(_)
            | Self::Forbidden(_)
            | Self::SignInFailed(_)
            | Self::DeniedNetwork
            | Self::ProviderUnavailable
            | Self::WrongHost { .. }
            | Self::SignInOnly { .. }
            | Self::RedirectLoop
            | Self::Status(_) => FormAction::None,
        }
    }
}

fn full(fields: &HeaderMap, content_type: &'static str, text: String) -> Response<Body> {
    let mut headers = fields.clone();
    // Set here, because the body of an answer to HEAD is gone before it is measured (RFC 9110 §8.6).
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let mut response = Response::new(Body::full(text));
    *response.headers_mut() = headers;
    response
}

/// Adds a JSON string. Nearly none has a character to be escaped (RFC 8259 §7).
fn push_json(text: &mut String, value: &str) {
    let is_special = |byte| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    // A loop without an early exit can check several bytes at a time.
    if value.bytes().fold(false, |found, byte| found | is_special(byte)) {
        text.push_str(&serde_json::Value::from(value).to_string());
    } else {
        text.push('"');
        text.push_str(value);
        text.push('"');
    }
}

/// `Cross-Origin-Opener-Policy`, of the HTML standard.
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// Characters that `grpc-message` escapes: all but printable ASCII, and the percent sign.
const GRPC_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');
/// Nearly every JSON answer is shorter.
const JSON_BYTES: usize = 512;
/// No answer has more header fields, but for cookies.
const FIELDS: usize = 12;
/// Long enough to reduce the load, short enough for a user who waits.
const RETRY_AFTER_SECONDS: &str = "5";

#[cfg(test)]
mod tests;
