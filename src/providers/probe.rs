//! Checks a provider and the registration of this client without a user, for `check --online`.
//! Invariant: a check without a clear answer is not a finding. Some providers answer every request with their
//! sign-in page, which only a person can judge.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use crate::client_address::ClientAddress;
use crate::clock::UnixTime;
use crate::oauth::ExchangePermit;
use crate::oauth::authorization::{AuthorizationResponse, ResponseMode};
use crate::oauth::client_auth::ClientAuth;
use crate::oauth::error::{Error as OAuthError, ErrorCode, ErrorResponse};
use crate::oauth::http::HttpResponse;
use crate::oauth::pkce;
use crate::oidc::discovery::Metadata;
use crate::oidc::error::{Error as OidcError, LEEWAY};
use crate::oidc::id_token;
use crate::providers::error::advice;
use crate::providers::server::AuthorizationServer;
use crate::providers::{Error, Provider, SignInRequest};
use crate::random;
use crate::secret::Secret;
use crate::telemetry::metrics::ProviderEndpoint;

/// A finding that the operator should see before the first sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResult {
    /// Whether it makes sign-ins impossible, or leaves users without groups.
    pub is_fatal: bool,
    /// The key below `providers.ID` that it is about.
    pub key: &'static str,
    /// The rest of a sentence that begins with the key.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// The result of all checks of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeReport {
    /// Problems.
    pub findings: Vec<ProbeResult>,
    /// Checks that passed, each in a few words.
    pub passed: Vec<&'static str>,
}

impl Provider {
    /// Fetches metadata and keys, and tries the registration with a random code at the token endpoint and a sign-in
    /// without a user (`prompt=none`, OIDC Core §3.1.2.1). `signed_out` is the
    /// `post_logout_redirect_uri`. `among_several`: whether other providers are configured.
    pub async fn probe(
        &self,
        redirect_uri: &str,
        signed_out: &str,
        among_several: bool,
    ) -> ProbeReport {
        let mut report = ProbeReport::default();
        let metadata = match self.documents(&mut report).await {
            Ok(metadata) => metadata,
            Err(error) => {
                let hint = error.is_temporary().then_some(UNREACHABLE);
                report.fatal("issuer", format!("cannot be used: {error}"), hint);
                return report;
            }
        };
        if among_several && !metadata.response_has_issuer && !self.has_distinct_redirect_uri() {
            report.warn(
                "distinct_redirect_uri",
                "is needed here: there are other providers, and this one does not announce `iss` in its responses, \
                 so they can be mixed up (RFC 9700 §4.4.2)"
                    .to_owned(),
                Some(&format!("write `true`, and register {redirect_uri}/{}", self.id())),
            );
        }
        for error in &metadata.ignored {
            let message = format!("has an optional endpoint that is not used: {error}");
            report.warn("issuer", message, None);
        }
        self.try_client(&metadata, redirect_uri, &mut report).await;
        // Without `prompt=none`, the provider shows a page whether the redirect URI is registered or not.
        if metadata.has_prompt("none") {
            self.try_redirect(&metadata, redirect_uri, &mut report).await;
        }
        self.try_sign_out(signed_out, &mut report).await;
        self.try_service_account(&mut report).await;
        report
    }

    async fn documents(&self, report: &mut ProbeReport) -> Result<Arc<Metadata>, OidcError> {
        if let Some(answer) = self.server.document().await? {
            self.check_document(&answer.object()?, report);
            report.check_clock(&answer, self.server.since_epoch());
        }
        let metadata = self.server.metadata().await?;
        let AuthorizationServer::OpenId(issuer) = &self.server else {
            self.try_profile(&metadata, report).await;
            return Ok(metadata);
        };
        report.passed.push("its metadata");
        match issuer.renew_keys(&metadata).await {
            Ok(()) => report.passed.push("its keys"),
            Err(error) => {
                report.fatal("issuer", format!("has keys that cannot be used: {error}"), None);
            }
        }
        Ok(metadata)
    }

    /// Checks what the metadata document offers and requires. A member that is missing says nothing.
    fn check_document(&self, document: &Map<String, Value>, report: &mut ProbeReport) {
        let lacks = |name: &str, has: &dyn Fn(&str) -> bool| {
            let list = document.get(name).and_then(Value::as_array);
            list.is_some_and(|list| !list.iter().filter_map(Value::as_str).any(has))
        };
        if lacks("id_token_signing_alg_values_supported", &id_token::is_accepted) {
            let known = id_token::accepted_algorithms().join(", ");
            report.fatal(
                "issuer",
                "signs ID tokens with no algorithm that is supported here".to_owned(),
                Some(&format!("configure the provider to sign with one of {known}")),
            );
        }
        if lacks("response_types_supported", &|name| name == "code") {
            report.fatal("issuer", "does not offer the authorization code flow".to_owned(), None);
        }
        let mode = self.settings.response_mode.as_str();
        if lacks("response_modes_supported", &|name| name == mode) {
            let message = format!("{mode} is not in response_modes_supported of the provider");
            match self.settings.response_mode {
                ResponseMode::FormPost => {
                    report.fatal("response_mode", message, Some("write `response_mode: query`"));
                }
                // The default of the code flow, which some metadata does not repeat.
                ResponseMode::Query => report.warn("response_mode", message, None),
            }
        }
        if document.get("require_pushed_authorization_requests") == Some(&Value::Bool(true)) {
            report.fatal(
                "issuer",
                "requires pushed authorization requests (RFC 9126), which are not supported"
                    .to_owned(),
                None,
            );
        }
        if lacks("code_challenge_methods_supported", &|name| name == "S256") {
            report.warn("issuer", "does not announce PKCE with S256".to_owned(), None);
        }
        for scope in &self.settings.scopes {
            if lacks("scopes_supported", &|name| name == scope) {
                report.warn(
                    "scopes",
                    format!("{scope:?} is not in scopes_supported of the provider"),
                    None,
                );
            }
        }
    }

    /// Checks the client's authentication with a random code. The token endpoint authenticates the client before it
    /// looks at the code (RFC 6749 §5.2).
    async fn try_client(&self, metadata: &Metadata, redirect_uri: &str, report: &mut ProbeReport) {
        let endpoint = match self.token_endpoint(metadata) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                let hint = "see token_endpoint_auth_methods_supported of the metadata";
                let (key, message) = ("token_endpoint_auth_method", error.to_string());
                return report.fatal(key, format!("cannot be chosen: {message}"), Some(hint));
            }
        };
        let permit = self.client.exchange_permit(ClientAddress::Unknown).await;
        let Ok(ExchangePermit { slot, attempt }) = permit else { return };
        let [code, verifier] = [(); 2].map(|()| Secret::new(random::text::<32>()));
        let answer = self
            .client
            .exchange_code(
                &slot,
                attempt,
                endpoint,
                &code,
                redirect_uri,
                self.has_pkce().then_some(&verifier),
            )
            .await;
        let answer = answer.map_err(|error| self.settings.kind.understood(error));
        self.judge_client(endpoint.method, answer.map(drop), report);
    }

    /// What the answer to a random code says about the client's authentication.
    fn judge_client(
        &self,
        method: &ClientAuth,
        answer: Result<(), OAuthError>,
        report: &mut ProbeReport,
    ) {
        let key = method.key();
        let unverified = match answer {
            Err(OAuthError::Rejected(response)) if response.code == ErrorCode::InvalidGrant => {
                return report.passed.push("the client's authentication");
            }
            Err(OAuthError::Rejected(response))
                if response.code == ErrorCode::UnauthorizedClient =>
            {
                let message =
                    format!("is a client without the authorization code flow: {response}");
                return report.fatal("client_id", message, Some(advice(&response.code)));
            }
            // Keycloak answers a wrong secret with 401 and `unauthorized_client`.
            Err(OAuthError::Unauthenticated(response)) => {
                let message = format!("is not what is registered at the provider: {response}");
                let hint = format!("compare {} with the registration", method.registered());
                return report.fatal(key, message, Some(&hint));
            }
            Err(error @ OAuthError::ClientAssertion(_)) => {
                return report.fatal(key, format!("cannot be used: {error}"), None);
            }
            Err(error) if error.is_temporary() => {
                report.warn("issuer", format!("has a token endpoint that fails: {error}"), None);
                error.to_string()
            }
            Err(error @ OAuthError::Status(_)) => {
                let message = format!("has a token endpoint that does not answer as one: {error}");
                let hint = "compare token_endpoint of the metadata, or `endpoints.token` if it is set, with the \
                            documentation of the provider";
                report.warn("issuer", message, Some(hint));
                error.to_string()
            }
            Err(error) => error.to_string(),
            Ok(()) => "the token endpoint accepted a random code".to_owned(),
        };
        let message = format!("could not be verified at the token endpoint: {unverified}");
        report.warn(key, message, Some("sign in once to verify it"));
    }

    /// Checks the redirect URI. The provider redirects to a registered URI even with an error, but never to one that
    /// is not registered (RFC 6749 §4.1.2.1).
    async fn try_redirect(
        &self,
        metadata: &Metadata,
        redirect_uri: &str,
        report: &mut ProbeReport,
    ) {
        let [state, nonce] = [(); 2].map(|()| random::text::<16>());
        let verifier = Secret::new(random::text::<32>());
        let request = SignInRequest {
            redirect_uri,
            state: &state,
            nonce: &nonce,
            code_challenge: &pkce::challenge(&verifier),
            prompt: Some("none"),
            login_hint: None,
            ui_locales: None,
        };
        let Ok(url) = self.authorization_url(&request).await else { return };
        let Ok(answer) = self.http.get(ProviderEndpoint::Discovery, &url).await else { return };
        let back = answer.location().filter(|location| location.starts_with(redirect_uri));
        match back.and_then(|location| Url::parse(location).ok()) {
            Some(back) => {
                let announced = metadata.response_has_issuer;
                let query = back.query().unwrap_or_default();
                judge_response(query, &self.server, announced, report);
            }
            None if answer.status.is_client_error() => {
                let (status, reason) = (answer.status.as_u16(), reason_of(&answer));
                let message = format!(
                    "the provider rejected the redirect URI {redirect_uri} (HTTP {status}){reason}"
                );
                let hint = format!("register {redirect_uri} as a redirect URI");
                report.fatal("client_id", message, Some(&hint));
            }
            None => {}
        }
    }
}

/// What an authorization response to a request without a user says about the registration.
fn judge_response(
    query: &str,
    server: &AuthorizationServer,
    announced: bool,
    report: &mut ProbeReport,
) {
    let response = match AuthorizationResponse::parse(query) {
        Ok(response) => response,
        Err(error) => {
            let message = format!("is a client whose sign-ins fail: {error}");
            return report.fatal("client_id", message, None);
        }
    };
    if let Err(error) = response.check_issuer(server.identifier(), announced) {
        match (&response.iss, &response.outcome) {
            (Some(iss), _) => {
                let message = format!("is not that of the provider's responses: {error}");
                let hint = server.hint_for_issuer(iss).advice(iss);
                return report.fatal("issuer", message, hint.as_deref());
            }
            // Canaille leaves it out in errors only, and sign-ins work.
            (None, Err(_)) => {
                let message = format!("is a provider whose errors are rejected: {error}");
                report.warn("issuer", message, Some(ANNOUNCED_ONLY));
            }
            (None, Ok(_)) => {
                let message = format!("is a provider whose responses are rejected: {error}");
                return report.fatal("issuer", message, Some(ANNOUNCED_ONLY));
            }
        }
    }
    match response.outcome {
        Err(error) if OAuthError::Rejected(error.clone()).is_temporary() => {
            let message = format!("has an authorization endpoint that fails: {error}");
            report.warn("issuer", message, Some("try again later"));
        }
        Err(error) if !needs_a_user(&error.code) => {
            let is_scope = error.code == ErrorCode::InvalidScope;
            let key = if is_scope { "scopes" } else { "client_id" };
            let message = format!("does not work at the provider: {error}");
            report.fatal(key, message, Some(advice(&error.code)));
        }
        Ok(_) | Err(_) => report.passed.push("the redirect URI"),
    }
}

/// Whether an error only says that a user is needed.
fn needs_a_user(code: &ErrorCode) -> bool {
    [
        ErrorCode::LoginRequired,
        ErrorCode::InteractionRequired,
        ErrorCode::ConsentRequired,
        ErrorCode::AccountSelectionRequired,
        ErrorCode::AccessDenied,
    ]
    .contains(code)
}

/// The error of a response with JSON, after a colon.
fn reason_of(answer: &HttpResponse) -> String {
    let body = answer.object().unwrap_or_default();
    let text = |name| body.get(name).and_then(Value::as_str);
    let error = text("error")
        .map(|error| ErrorResponse::new(error, text("error_description").unwrap_or_default()));
    error.map_or_else(String::new, |error| format!(": {error}"))
}

impl ProbeReport {
    /// The report for a provider whose settings cannot be used.
    pub fn unusable(error: &Error) -> Self {
        let mut report = Self::default();
        report.fatal("issuer", format!("cannot be used: {error}"), None);
        report
    }

    pub(super) fn fatal(&mut self, key: &'static str, message: String, hint: Option<&str>) {
        let hint = hint.map(str::to_owned);
        self.findings.push(ProbeResult { is_fatal: true, key, message, hint });
    }

    pub(super) fn warn(&mut self, key: &'static str, message: String, hint: Option<&str>) {
        let hint = hint.map(str::to_owned);
        self.findings.push(ProbeResult { is_fatal: false, key, message, hint });
    }

    fn check_clock(&mut self, answer: &HttpResponse, here: Duration) {
        let Some(there) = answer.date() else { return };
        let skew = there.abs_diff(here);
        if skew <= TOLERATED {
            return;
        }
        let time = |since: Duration| UnixTime(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
        let message = format!(
            "has a clock at {}, and this machine's clock is at {}, a difference of {} s",
            time(there),
            time(here),
            skew.as_secs()
        );
        let hint =
            "synchronize both clocks by NTP: tokens that are not yet valid or expired are rejected";
        if skew > Duration::from_secs(LEEWAY.unsigned_abs()) {
            self.fatal("issuer", message, Some(hint));
        } else {
            self.warn("issuer", message, Some(hint));
        }
    }
}

/// Hint for a provider that does not answer.
const UNREACHABLE: &str = "check the address, DNS and the network from this machine; if the provider has another address \
                           there, set `internal_origin`; if there is an egress proxy, set `proxy`";

/// Hint for an `iss` that is announced and not sent.
const ANNOUNCED_ONLY: &str = "let the provider send `iss` (RFC 9207) in every response, also in errors, or remove \
                              `authorization_response_iss_parameter_supported` from its metadata";

/// The largest difference without a warning; less than the leeway for ID tokens.
const TOLERATED: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::tests::{settings, states};

    fn server() -> AuthorizationServer {
        states().server(&settings("https://op.example".into())).unwrap()
    }

    #[track_caller]
    fn check(query: &str, expected: Result<&str, (&str, &str)>) {
        let mut report = ProbeReport::default();
        judge_response(query, &server(), true, &mut report);
        let found = report.findings.first().map(|found| {
            let is_warning = ["endpoint that fails", "whose errors are rejected"];
            assert_eq!(found.is_fatal, !is_warning.iter().any(|it| found.message.contains(it)));
            (found.key, format!("{}\n{}", found.message, found.hint.as_deref().unwrap_or_default()))
        });
        match (&found, report.passed.first(), expected) {
            (None, Some(passed), Ok(expected)) => assert_eq!(*passed, expected),
            (Some((key, text)), passed, Err((expected_key, part))) => {
                assert!(passed.is_none() || text.contains("whose errors are rejected"));
                assert!(*key == expected_key && text.contains(part), "{query}: {key}: {text}");
                assert!(!text.replace('\n', "").contains(char::is_control), "{text:?}");
            }
            _ => panic!("{query}: {found:?}"),
        }
    }

    #[test]
    fn authorization_response_without_a_user_tells_about_the_registration() {
        let ours = "state=s&iss=https://op.example";
        check(&format!("{ours}&error=login_required"), Ok("the redirect URI"));
        check(&format!("{ours}&code=c"), Ok("the redirect URI"));
        let scope = "does not work at the provider: the provider answered invalid_scope (unknown: groups)\n\
                     check `scopes`";
        let invalid = "error=invalid_scope&error_description=unknown:+groups";
        check(&format!("{ours}&{invalid}"), Err(("scopes", scope)));
        let flow = "allow the authorization code flow";
        check(&format!("{ours}&error=unauthorized_client"), Err(("client_id", flow)));
        let hostile = "error=%1b]0;x%07%1b[2J%0a";
        check(&format!("{ours}&{hostile}"), Err(("client_id", "the provider answered ]0;x[2J")));
        let other = "`iss` is not the issuer: it is \"https://other\", and `issuer` is \"https://op.example\"";
        check("state=s&iss=https://other&error=login_required", Err(("issuer", other)));
        let announced = "remove `authorization_response_iss_parameter_supported`";
        for (query, rejected) in
            [("state=s&error=login_required", "errors"), ("state=s&code=c", "responses")]
        {
            let rejected = format!("is a provider whose {rejected} are rejected: ");
            check(query, Err(("issuer", &rejected)));
            check(query, Err(("issuer", "no `iss`, although")));
            check(query, Err(("issuer", announced)));
        }
    }

    #[test]
    fn response_mode_that_the_metadata_leaves_out_is_found() {
        let found = |response_mode, modes: Value| {
            let settings = settings("https://op.example".into());
            let settings = crate::providers::Settings { response_mode, ..settings };
            let provider = Provider::new(settings, &states()).unwrap();
            let document = Map::from_iter([("response_modes_supported".to_owned(), modes)]);
            let mut report = ProbeReport::default();
            provider.check_document(&document, &mut report);
            report.findings.pop().map(|found| (found.is_fatal, found.key, found.message))
        };
        let (query, form_post) = (ResponseMode::Query, ResponseMode::FormPost);
        for modes in [json!(["query", "form_post", "fragment"]), Value::Null] {
            assert_eq!(found(query, modes.clone()), None);
            assert_eq!(found(form_post, modes), None);
        }
        let (is_fatal, key, message) = found(form_post, json!(["query", "fragment"])).unwrap();
        assert!(is_fatal && key == "response_mode");
        assert_eq!(message, "form_post is not in response_modes_supported of the provider");
        assert!(!found(query, json!(["form_post"])).unwrap().0, "a warning");
    }

    #[test]
    fn outage_of_the_authorization_endpoint_is_no_error_of_the_registration() {
        for code in ["temporarily_unavailable", "server_error", "slow_down"] {
            let query = format!("state=s&iss=https://op.example&error={code}");
            let text = format!(
                "has an authorization endpoint that fails: the provider answered {code}\ntry again"
            );
            check(&query, Err(("issuer", &text)));
        }
    }

    /// The secret has no part in an authorization request.
    #[test]
    fn advice_for_an_authorization_response_fits_its_code() {
        for code in ["invalid_target", "request_not_supported", "invalid_request_uri", "what"] {
            let query = format!("state=s&iss=https://op.example&error={code}");
            check(
                &query,
                Err((
                    "client_id",
                    "\ncheck `authorization_parameters`, `scopes`, and the registration",
                )),
            );
        }
    }

    #[test]
    fn advice_quotes_no_issuer_that_a_configuration_cannot_have() {
        check(
            "state=s&code=c&iss=https://op.example/a",
            Err(("issuer", "\nto use that provider, set `issuer: \"https://op.example/a\"`")),
        );
        for iss in [
            "http://op.example",
            "op.example",
            "HTTPS://op.example",
            "https://op.example?a",
            "https://u@op.example/",
        ] {
            check(&format!("state=s&code=c&iss={iss}"), Err(("issuer", "(RFC 9207 §2.4)\n")));
            let mut report = ProbeReport::default();
            judge_response(&format!("state=s&code=c&iss={iss}"), &server(), true, &mut report);
            assert_eq!(report.findings.first().unwrap().hint, None, "{iss}");
        }
        check("state=s&code=c&iss=https://{tenant}.example", Err(("issuer", "it is a template")));
    }

    #[test]
    fn clock_of_the_provider_is_an_error_beyond_the_leeway() {
        let judged = |date: &str, age: Option<&str>| {
            let mut report = ProbeReport::default();
            let answer = HttpResponse::dated(date, age);
            report.check_clock(&answer, Duration::from_secs(1_800_000_000));
            report.findings.pop().map(|found| (found.is_fatal, found.message))
        };
        assert_eq!(judged("Fri, 15 Jan 2027 08:00:00 GMT", None), None);
        assert_eq!(
            judged("Fri, 15 Jan 2027 07:00:00 GMT", Some("3600")),
            None,
            "a cached document"
        );
        let (is_fatal, message) = judged("Fri, 15 Jan 2027 08:00:45 GMT", None).unwrap();
        assert!(!is_fatal, "{message}");
        let (is_fatal, message) = judged("Fri, 15 Jan 2027 07:58:00 GMT", None).unwrap();
        let expected = "has a clock at 2027-01-15T07:58:00Z, and this machine's clock is at 2027-01-15T08:00:00Z, a \
                        difference of 120 s";
        assert_eq!((is_fatal, message.as_str()), (true, expected));
    }
}
