//! Checks a provider and the registration of this client without a user, for `check --online`.
//! Invariant: a check without a clear answer is not a finding. Some providers answer every request with their
//! sign-in page, which only a person can judge.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use crate::client_address::ClientAddress;
use crate::oauth::ExchangePermit;
use crate::oauth::error::{Error as OAuthError, ErrorCode};
use crate::oauth::http::HttpResponse;
use crate::oauth::pkce;
use crate::oidc::discovery::Metadata;
use crate::oidc::error::Error as OidcError;
use crate::oidc::id_token;
use crate::providers::{Error, Provider, SignInRequest};
use crate::random;
use crate::secret::Secret;
use crate::telemetry::metrics::ProviderEndpoint;

/// A finding that the operator should see before the first sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResult {
    /// Whether it makes sign-ins impossible.
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
    /// without a user (`prompt=none`, OIDC Core §3.1.2.1). `among_several`: whether other providers are configured.
    pub async fn probe(&self, redirect_uri: &str, among_several: bool) -> ProbeReport {
        let mut report = ProbeReport::default();
        let metadata = match self.documents(&mut report).await {
            Ok(metadata) => metadata,
            Err(error) => {
                report.fatal("issuer", format!("cannot be used: {error}"), None);
                return report;
            }
        };
        if among_several && !metadata.response_has_issuer && !self.has_distinct_redirect_uri() {
            report.warn(
                "distinct_redirect_uri",
                "is needed here: there are other providers, and this one does not announce `iss` in its responses, \
                 so they can be mixed up (RFC 9700 §4.4.2)"
                    .to_owned(),
                Some(format!("write `true`, and register {redirect_uri}/{}", self.id())),
            );
        }
        for error in &metadata.ignored {
            let message = format!("has an optional endpoint that is not used: {error}");
            report.warn("issuer", message, None);
        }
        self.try_client(&metadata, redirect_uri, &mut report).await;
        // Without it, the answer says nothing.
        if metadata.has_prompt("none") {
            self.try_redirect(redirect_uri, &mut report).await;
        }
        report
    }

    async fn documents(&self, report: &mut ProbeReport) -> Result<Arc<Metadata>, OidcError> {
        if let Some(answer) = self.issuer.document().await? {
            self.check_document(&answer.object()?, report);
            report.check_clock(&answer, self.issuer.since_epoch());
        }
        let metadata = self.issuer.metadata().await?;
        report.passed.push("its metadata");
        match self.issuer.renew_keys(&metadata).await {
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
                Some(format!("configure the provider to sign with one of {known}")),
            );
        }
        if lacks("response_types_supported", &|name| name == "code") {
            report.fatal("issuer", "does not offer the authorization code flow".to_owned(), None);
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
                let hint = "see token_endpoint_auth_methods_supported of the metadata".to_owned();
                let (key, message) = ("token_endpoint_auth_method", error.to_string());
                return report.fatal(key, format!("cannot be chosen: {message}"), Some(hint));
            }
        };
        let permit = self.client.exchange_permit(ClientAddress::Unknown).await;
        let Ok(ExchangePermit { slot, attempt }) = permit else { return };
        let [code, verifier] = [(); 2].map(|()| Secret::new(random::text::<32>()));
        let answer = self
            .client
            .exchange_code(&slot, attempt, endpoint, &code, redirect_uri, &verifier)
            .await;
        let rejection = match answer {
            Err(OAuthError::Rejected(rejection)) => rejection,
            Err(OAuthError::Unauthenticated(rejection)) => {
                let has_secret = self.settings.client_secret.is_some();
                let key = if has_secret { "client_secret" } else { "client_id" };
                let message = format!("is not what is registered at the provider: {rejection}");
                let hint = "compare client_id, client_secret and the authentication method with the \
                            registration";
                return report.fatal(key, message, Some(hint.to_owned()));
            }
            Err(error) if error.is_temporary() => {
                let message = format!("has a token endpoint that fails: {error}");
                return report.warn("issuer", message, None);
            }
            Err(error @ OAuthError::Status(_)) => {
                let message = format!("has a token endpoint that does not answer as one: {error}");
                let hint = "compare token_endpoint of the metadata, or `endpoints.token` if it is set, with the \
                            documentation of the provider";
                return report.warn("issuer", message, Some(hint.to_owned()));
            }
            // Any other answer says nothing about the registration.
            Ok(_) | Err(_) => return,
        };
        if rejection.code == ErrorCode::InvalidGrant {
            report.passed.push("the client's authentication");
        } else if rejection.code == ErrorCode::UnauthorizedClient {
            let message = format!("is a client without the authorization code flow: {rejection}");
            report.fatal("client_id", message, Some("allow it in the registration".to_owned()));
        }
    }

    /// Checks the redirect URI. The provider redirects to a registered URI also with an error, but never to one that
    /// is not registered (RFC 6749 §4.1.2.1).
    async fn try_redirect(&self, redirect_uri: &str, report: &mut ProbeReport) {
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
            Some(back) => match fault_of(&back) {
                None => report.passed.push("the redirect URI"),
                Some(error) => report.fatal(
                    "client_id",
                    format!("is a client whose sign-ins the provider rejects: {error}"),
                    Some("compare scopes and flow with the registration".to_owned()),
                ),
            },
            None if answer.status.is_client_error() => report.fatal(
                "client_id",
                format!(
                    "the provider rejected the redirect URI {redirect_uri} (HTTP {})",
                    answer.status.as_u16()
                ),
                Some(format!("register {redirect_uri} as a redirect URI")),
            ),
            None => {}
        }
    }
}

/// The error in a redirect back from the provider, unless it only says that a user is needed.
fn fault_of(back: &Url) -> Option<ErrorCode> {
    let (_, error) = back.query_pairs().find(|(name, _)| name == "error")?;
    // SECURITY: this removes control characters, which a terminal would execute.
    let code = ErrorCode::parse(&error);
    let needs_a_user = [
        ErrorCode::LoginRequired,
        ErrorCode::InteractionRequired,
        ErrorCode::ConsentRequired,
        ErrorCode::AccountSelectionRequired,
        ErrorCode::AccessDenied,
    ];
    (!needs_a_user.contains(&code)).then_some(code)
}

impl ProbeReport {
    /// The report for a provider whose settings cannot be used.
    pub fn unusable(error: &Error) -> Self {
        let mut report = Self::default();
        report.fatal("issuer", format!("cannot be used: {error}"), None);
        report
    }

    fn fatal(&mut self, key: &'static str, message: String, hint: Option<String>) {
        self.findings.push(ProbeResult { is_fatal: true, key, message, hint });
    }

    fn warn(&mut self, key: &'static str, message: String, hint: Option<String>) {
        self.findings.push(ProbeResult { is_fatal: false, key, message, hint });
    }

    fn check_clock(&mut self, answer: &HttpResponse, here: Duration) {
        let Some(there) = answer.date() else { return };
        let skew = there.abs_diff(here);
        if skew > TOLERATED {
            let (seconds, way) = (skew.as_secs(), if there > here { "ahead" } else { "behind" });
            self.warn(
                "issuer",
                format!("has a clock that is {seconds} s {way} of this machine's"),
                Some(
                    "synchronize both clocks by NTP: tokens that are not yet valid or expired are rejected"
                        .to_owned(),
                ),
            );
        }
    }
}

/// The largest difference without a warning; less than ID tokens are allowed.
const TOLERATED: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_error_has_no_control_characters() {
        let fault = |query: &str| {
            let back = Url::parse(&format!("https://a.example/callback?{query}")).unwrap();
            fault_of(&back).map(|code| code.to_string())
        };
        let printed = fault("state=1&error=%1b]0;x%07%1b[2J%0a").unwrap();
        assert!(!printed.contains(char::is_control), "{printed:?}");
        assert_eq!(fault("error=invalid_scope").as_deref(), Some("invalid_scope"));
        assert_eq!((fault("error=login_required"), fault("code=1")), (None, None));
    }
}
