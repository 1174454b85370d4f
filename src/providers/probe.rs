//! What can be seen of a provider and of our registration there without a person: for `check --online`.
//! A question that the provider does not answer is no finding: some show their sign-in page whatever is
//! asked, and a person has to look there.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use super::{Error, Provider};
use crate::client_address::ClientAddress;
use crate::oauth::ExchangePermit;
use crate::oauth::error::{Error as OAuthError, ErrorCode};
use crate::oauth::http::HttpResponse;
use crate::oauth::pkce;
use crate::oidc::discovery::Metadata;
use crate::oidc::error::Error as OidcError;
use crate::oidc::id_token;
use crate::providers::SignInRequest;
use crate::random;
use crate::secret::Secret;
use crate::telemetry::metrics::ProviderEndpoint;

/// Something that a person should know before the first sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResult {
    /// Whether nobody can sign in as it is.
    pub is_fatal: bool,
    /// Which key below `providers.ID` it is about.
    pub key: &'static str,
    /// The rest of a sentence that begins with the key.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// What there was to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeReport {
    /// What is wrong.
    pub findings: Vec<ProbeResult>,
    /// What is right, each in a few words.
    pub good: Vec<&'static str>,
}

impl Provider {
    /// Asks discovery and keys, and tries the registration: a code that is none at the token endpoint, and a
    /// sign-in without anybody to sign in (`prompt=none`, OIDC Core §3.1.2.1). It may be one `among_several`.
    pub async fn probe(&self, redirect_uri: &str, among_several: bool) -> ProbeReport {
        let mut examined = ProbeReport::default();
        let metadata = match self.documents(&mut examined).await {
            Ok(metadata) => metadata,
            Err(error) => {
                examined.fatal("issuer", format!("cannot be used: {error}"), None);
                return examined;
            }
        };
        if among_several && !metadata.response_has_issuer && !self.has_distinct_redirect_uri() {
            examined.warn(
                "distinct_redirect_uri",
                "is needed here: beside other providers, one that does not announce `iss` in its answers can \
                 be mixed up with them (RFC 9700 §4.4.2)"
                    .to_owned(),
                Some(format!("write `true`, and register {redirect_uri}/{}", self.id())),
            );
        }
        self.try_client(&metadata, redirect_uri, &mut examined).await;
        self.try_redirect(redirect_uri, &mut examined).await;
        examined
    }

    async fn documents(&self, examined: &mut ProbeReport) -> Result<Arc<Metadata>, OidcError> {
        if let Some(answer) = self.issuer.document().await? {
            self.look_at_document(&answer.object()?, examined);
            examined.look_at_clock(&answer, self.issuer.since_epoch());
        }
        let metadata = self.issuer.metadata().await?;
        examined.good.push("its metadata");
        match self.issuer.renew_keys(&metadata).await {
            Ok(()) => examined.good.push("its keys"),
            Err(error) => {
                examined.fatal("issuer", format!("has keys that cannot be used: {error}"), None);
            }
        }
        Ok(metadata)
    }

    /// What a document promises that we need, and demands that we do not do. What is left out promises
    /// nothing either way.
    fn look_at_document(&self, document: &Map<String, Value>, examined: &mut ProbeReport) {
        let lacks = |name: &str, has: &dyn Fn(&str) -> bool| {
            let list = document.get(name).and_then(Value::as_array);
            list.is_some_and(|list| !list.iter().filter_map(Value::as_str).any(has))
        };
        if lacks("id_token_signing_alg_values_supported", &id_token::is_accepted) {
            let known = id_token::accepted_algorithms().join(", ");
            examined.fatal(
                "issuer",
                "signs ID tokens with no algorithm that is taken here".to_owned(),
                Some(format!("let it sign with one of {known}")),
            );
        }
        if lacks("response_types_supported", &|name| name == "code") {
            examined.fatal("issuer", "does not offer the authorization code flow".to_owned(), None);
        }
        if document.get("require_pushed_authorization_requests") == Some(&Value::Bool(true)) {
            examined.fatal(
                "issuer",
                "takes pushed authorization requests only (RFC 9126), which are not sent here"
                    .to_owned(),
                None,
            );
        }
        if lacks("code_challenge_methods_supported", &|name| name == "S256") {
            examined.warn("issuer", "does not say that it checks PKCE with S256".to_owned(), None);
        }
        for scope in &self.settings.scopes {
            if lacks("scopes_supported", &|name| name == scope) {
                examined.warn("scopes", format!("{scope:?} is none that the provider names"), None);
            }
        }
    }

    /// Whether the token endpoint knows us, which it tells before it looks at the code (RFC 6749 §5.2).
    async fn try_client(
        &self,
        metadata: &Metadata,
        redirect_uri: &str,
        examined: &mut ProbeReport,
    ) {
        let endpoint = match self.endpoint(&metadata.token, metadata) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                let hint = "see token_endpoint_auth_methods_supported of its metadata".to_owned();
                let (key, message) = ("token_endpoint_auth_method", error.to_string());
                return examined.fatal(key, format!("cannot be chosen: {message}"), Some(hint));
            }
        };
        let permit = self.client.exchange_permit(ClientAddress::Unknown).await;
        let Ok(ExchangePermit { slot, attempt }) = permit else { return };
        let [code, verifier] = [(); 2].map(|()| Secret::new(random::text::<32>()));
        let answer = self
            .client
            .exchange_code(&slot, attempt, endpoint, &code, redirect_uri, &verifier)
            .await;
        let refusal = match answer {
            Err(OAuthError::Rejected(refusal)) => refusal,
            Err(error) if error.is_temporary() => {
                let message = format!("has a token endpoint that fails: {error}");
                return examined.warn("issuer", message, None);
            }
            Err(error @ OAuthError::Status(_)) => {
                let message = format!("has a token endpoint that does not answer as one: {error}");
                let hint = "compare token_endpoint of its metadata, or `endpoints.token` where it is \
                            written, with the provider's manual";
                return examined.warn("issuer", message, Some(hint.to_owned()));
            }
            // Whatever else it says, it is nothing that can be told from here.
            Ok(_) | Err(_) => return,
        };
        if refusal.code == ErrorCode::InvalidGrant {
            examined.good.push("the client's authentication");
        } else if refusal.code == ErrorCode::InvalidClient {
            let has_secret = self.settings.client_secret.is_some();
            let key = if has_secret { "client_secret" } else { "client_id" };
            let message = format!("is not what the provider has of this client: {refusal}");
            let hint = "compare client_id, client_secret and the authentication method with the \
                        registration";
            examined.fatal(key, message, Some(hint.to_owned()));
        } else if refusal.code == ErrorCode::UnauthorizedClient {
            let message =
                format!("is a client that may not use the authorization code flow: {refusal}");
            examined.fatal("client_id", message, Some("allow it in the registration".to_owned()));
        }
    }

    /// Whether a browser would be sent back to us, which happens with an error, too, but never to an
    /// address that is not registered (RFC 6749 §4.1.2.1).
    async fn try_redirect(&self, redirect_uri: &str, examined: &mut ProbeReport) {
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
                None => examined.good.push("the redirect URI"),
                Some(error) => examined.fatal(
                    "client_id",
                    format!("is a client whose sign-ins the provider refuses: {error}"),
                    Some("compare scopes and flow with the registration".to_owned()),
                ),
            },
            None if answer.status.is_client_error() => examined.fatal(
                "client_id",
                format!(
                    "is a client that the provider does not send back to {redirect_uri}: it answers {}",
                    answer.status.as_u16()
                ),
                Some(format!("register {redirect_uri} as a redirect URI")),
            ),
            None => {}
        }
    }
}

/// The error that a provider sends a browser back with, unless it only misses the person.
fn fault_of(back: &Url) -> Option<ErrorCode> {
    let (_, error) = back.query_pairs().find(|(name, _)| name == "error")?;
    // SECURITY: cleaned by this, for it is printed: a terminal obeys what it is sent.
    let code = ErrorCode::parse(&error);
    let needs_a_person = [
        ErrorCode::LoginRequired,
        ErrorCode::InteractionRequired,
        ErrorCode::ConsentRequired,
        ErrorCode::AccountSelectionRequired,
        ErrorCode::AccessDenied,
    ];
    (!needs_a_person.contains(&code)).then_some(code)
}

impl ProbeReport {
    /// Of a provider that cannot even be asked.
    pub fn unusable(error: &Error) -> Self {
        let mut examined = Self::default();
        examined.fatal("issuer", format!("cannot be asked: {error}"), None);
        examined
    }

    fn fatal(&mut self, key: &'static str, message: String, hint: Option<String>) {
        self.findings.push(ProbeResult { is_fatal: true, key, message, hint });
    }

    fn warn(&mut self, key: &'static str, message: String, hint: Option<String>) {
        self.findings.push(ProbeResult { is_fatal: false, key, message, hint });
    }

    fn look_at_clock(&mut self, answer: &HttpResponse, here: Duration) {
        let Some(there) = answer.date() else { return };
        let skew = there.abs_diff(here);
        if skew > TOLERATED {
            let (seconds, way) = (skew.as_secs(), if there > here { "ahead" } else { "behind" });
            self.warn(
                "issuer",
                format!("has a clock that is {seconds} s {way} of this machine's"),
                Some(
                    "set both by NTP: tokens are refused for being of tomorrow or of yesterday"
                        .to_owned(),
                ),
            );
        }
    }
}

/// Less than what ID tokens are allowed.
const TOLERATED: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_shown_without_what_a_terminal_would_obey() {
        let fault = |query: &str| {
            let back = Url::parse(&format!("https://a.example/callback?{query}")).unwrap();
            fault_of(&back).map(|code| code.to_string())
        };
        let told = fault("state=1&error=%1b]0;x%07%1b[2J%0a").unwrap();
        assert!(!told.contains(char::is_control), "{told:?}");
        assert_eq!(fault("error=invalid_scope").as_deref(), Some("invalid_scope"));
        assert_eq!((fault("error=login_required"), fault("code=1")), (None, None));
    }
}
