//! The authorization endpoint and its sign-in form (RFC 6749 §4.1, OIDC Core §3.1.2, RFC 7636).
//! Invariant: a browser is redirected only to a `redirect_uri` that equals a registered one exactly.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use minijinja::context;
use url::Url;

use crate::demo::endpoint::LOGIN;
use crate::demo::form::Form;
use crate::demo::grants::{Authorization, CodeBinding, SignIn};
use crate::demo::html::{PageTemplate, message};
use crate::demo::identity_provider::{DemoProvider, ProviderState, RegisteredClient};

/// A valid authorization request.
struct AuthorizationRequest {
    client: RegisteredClient,
    redirect_uri: Url,
    binding: CodeBinding,
    scope: String,
    state: Option<String>,
    nonce: Option<String>,
    acr: Option<String>,
    max_age: Option<i64>,
    prompt: Prompt,
    login_hint: Option<String>,
}

/// `prompt`: what the provider may show (OIDC Core §3.1.2.1).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prompt {
    /// Nothing: sign in without interaction, or fail.
    Nothing,
    /// The sign-in form, even if the browser is signed in.
    Form,
    /// The sign-in form, if needed.
    AsNeeded,
}

/// Why a request is rejected.
enum Rejection {
    /// A page, because the request has no valid redirect URI.
    Page(&'static str),
    /// A redirect with an error.
    Error(AuthorizationResponse),
}

/// The URL of the redirect back to the client.
struct AuthorizationResponse(Url);

impl DemoProvider {
    pub(super) fn authorization(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let outcome = if request.uri().path().ends_with(LOGIN) {
            self.sign_in(request)
        } else {
            self.authorize(request)
        };
        match outcome {
            Ok(response) => response,
            Err(Rejection::Page(text)) => {
                message(&self.style(), StatusCode::BAD_REQUEST, "This request is not valid", text)
            }
            Err(Rejection::Error(response)) => see_other(response.0.as_str()),
        }
    }

    fn authorize(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, Rejection> {
        let query = match *request.method() {
            Method::GET => request.uri().query().unwrap_or_default(),
            _ => std::str::from_utf8(request.body()).unwrap_or_default(),
        };
        let parsed = self.parse(query)?;
        let signed_in = cookie(request)
            .and_then(|cookie| self.state().grants.signed_in(cookie).cloned())
            .filter(|sign_in| self.is_recent(sign_in, &parsed));
        match (parsed.prompt, signed_in) {
            (Prompt::Nothing, None) => Err(Rejection::Error(parsed.error(self, "login_required"))),
            (Prompt::Form, _) | (Prompt::AsNeeded, None) => {
                let username = parsed.login_hint.as_deref().unwrap_or_default();
                let username = username.split('@').next().unwrap_or_default();
                Ok(self.form(&parsed, query, username, StatusCode::OK))
            }
            (Prompt::Nothing | Prompt::AsNeeded, Some(sign_in)) => Ok(self.grant(parsed, sign_in)),
        }
    }

    /// Handles the sent sign-in form. Its hidden field has the authorization request, which is checked again.
    fn sign_in(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, Rejection> {
        let form = Form::parse(request.body()).ok_or(Rejection::Page("A field is repeated."))?;
        let query = form.get("request").unwrap_or_default();
        let parsed = self.parse(query)?;
        let username = form.get("username").unwrap_or_default();
        let (cookie, sign_in) = {
            let mut state = self.state();
            if state.account(username).is_none() || form.get("password") != Some(username) {
                drop(state);
                return Ok(self.form(&parsed, query, username, StatusCode::FORBIDDEN));
            }
            state.grants.sign_in(username, self.clock.unix())
        };
        let mut response = self.grant(parsed, sign_in);
        let secure = if self.issuer.starts_with("https:") { "; Secure" } else { "" };
        let cookie = format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax{secure}");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }

    fn form(
        &self,
        parsed: &AuthorizationRequest,
        query: &str,
        username: &str,
        status: StatusCode,
    ) -> Response<Bytes> {
        let state = self.state();
        let accounts: Vec<_> =
            state.accounts.iter().map(|account| account.username.clone()).collect();
        let context = context! {
            style => self.style(),
            client => parsed.client.id.as_str(),
            wrong => status != StatusCode::OK,
            action => format!("{}{LOGIN}", self.path),
            request => query,
            username,
            accounts,
        };
        // Browsers apply `form-action` to all redirects that follow a form.
        PageTemplate::SignIn.page(status, &parsed.client.origins(), context)
    }

    /// Issues a code and redirects the browser to the client.
    fn grant(&self, parsed: AuthorizationRequest, sign_in: SignIn) -> Response<Bytes> {
        let response = parsed.respond(&self.issuer);
        let authorization = Authorization {
            sign_in,
            client_id: parsed.client.id,
            scope: parsed.scope,
            nonce: parsed.nonce,
            acr: parsed.acr,
        };
        let code =
            self.state().grants.issue_code(authorization, parsed.binding, self.clock.moment());
        see_other(response.with("code", &code).0.as_str())
    }

    fn is_recent(&self, sign_in: &SignIn, parsed: &AuthorizationRequest) -> bool {
        let age = self.clock.unix().0 - sign_in.auth_time.0;
        let known = self.state().account(&sign_in.username).is_some();
        known && parsed.max_age.is_none_or(|max_age| age <= max_age)
    }

    fn parse(&self, query: &str) -> Result<AuthorizationRequest, Rejection> {
        let form = Form::parse(query.as_bytes())
            .ok_or(Rejection::Page("A parameter is repeated (RFC 6749 §3.1)."))?;
        let parsed = AuthorizationRequest::of(&form, &self.state())?;
        let reject = |code| Err(Rejection::Error(parsed.error(self, code)));
        if form.get("response_type") != Some("code") {
            return reject("unsupported_response_type");
        }
        if !parsed.scope.split(' ').any(|scope| scope == "openid") {
            return reject("invalid_scope");
        }
        // SECURITY: with method `plain` an attacker who sees the request has the verifier (RFC 9700 §2.1.1).
        let sent = parsed.binding.challenge.as_deref();
        let method = form.get("code_challenge_method");
        if sent.is_some_and(|sent| sent.len() != 43) || sent.is_some() != (method == Some("S256")) {
            return reject("invalid_request");
        }
        Ok(parsed)
    }
}

impl AuthorizationRequest {
    /// Parses the request up to the redirect URI, to which later errors are sent.
    fn of(form: &Form, state: &ProviderState) -> Result<Self, Rejection> {
        let client = form
            .get("client_id")
            .and_then(|id| state.client(id))
            .ok_or(Rejection::Page("The client is not registered."))?;
        let written = form
            .get("redirect_uri")
            .filter(|uri| client.redirect_uris.iter().any(|registered| registered == uri))
            .ok_or(Rejection::Page("The redirect_uri is not registered for this client."))?;
        let redirect_uri =
            Url::parse(written).map_err(|_| Rejection::Page("The redirect_uri is not a URL."))?;
        let challenge = form.owned("code_challenge");
        Ok(Self {
            client: client.clone(),
            redirect_uri,
            binding: CodeBinding { redirect_uri: written.to_owned(), challenge },
            scope: form.owned("scope").unwrap_or_default(),
            state: form.owned("state"),
            nonce: form.owned("nonce"),
            acr: form
                .get("acr_values")
                .and_then(|values| values.split(' ').next())
                .map(str::to_owned),
            max_age: form.get("max_age").and_then(|seconds| seconds.parse().ok()),
            prompt: match form.get("prompt") {
                Some("none") => Prompt::Nothing,
                Some("login" | "select_account") => Prompt::Form,
                Some(_) | None => Prompt::AsNeeded,
            },
            login_hint: form.owned("login_hint"),
        })
    }

    /// A response with `iss` (RFC 9207 §2) and `state`.
    fn respond(&self, issuer: &str) -> AuthorizationResponse {
        let response = AuthorizationResponse(self.redirect_uri.clone()).with("iss", issuer);
        match &self.state {
            Some(state) => response.with("state", state),
            None => response,
        }
    }

    fn error(&self, provider: &DemoProvider, code: &str) -> AuthorizationResponse {
        self.respond(&provider.issuer).with("error", code)
    }
}

impl AuthorizationResponse {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.0.query_pairs_mut().append_pair(name, value);
        self
    }
}

impl RegisteredClient {
    /// The origins of all registered URIs of the client, for `form-action`.
    fn origins(&self) -> String {
        let mut origins: Vec<_> = self
            .redirect_uris
            .iter()
            .chain(&self.post_logout_redirect_uris)
            .filter_map(|uri| Some(Url::parse(uri).ok()?.origin().ascii_serialization()))
            .collect();
        origins.sort();
        origins.dedup();
        origins.join(" ")
    }
}

/// The session cookie of the provider.
pub(super) fn cookie(request: &Request<Bytes>) -> Option<&str> {
    request
        .headers()
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split("; "))
        .find_map(|pair| pair.strip_prefix(COOKIE)?.strip_prefix('='))
}

/// A redirect with status 303, so that browsers do not send a form again (RFC 9700 §4.12).
pub(super) fn see_other(location: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Differs from the cookies of the gateway, because all ports of a host share cookies (RFC 6265 §8.5).
const COOKIE: &str = "demo_provider";
