//! The providers at which users sign in. A provider is data, not a trait: its kind says how it differs from others.
//! Invariants: an identity comes only from a verified ID token, or from the profile that the provider's API returns for
//! an access token that this gateway got for a code.
//! Failures are logged here with the check that failed, except those of a refresh, which its caller logs.

mod access_token;
mod account_probe;
mod claims;
mod client_endpoints;
mod end_session;
mod error;
mod failure_log;
pub mod fetch;
mod fetch_state;
mod groups;
mod hints;
pub mod kinds;
mod posted_name;
mod probe;
mod profile;
mod profile_probe;
mod provider_states;
mod refresh;
mod registry;
mod server;
mod service_account;
mod session_before;
mod sign_in;
mod sign_out_probe;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use tracing::warn;
use url::Url;

pub use crate::oauth::authorization::ResponseMode;
pub use crate::oauth::client_auth::{AuthMethods, ClientAuth, ClientCertificate};
pub use crate::oidc::discovery::ProviderEndpoints;
pub use error::{Error, RefreshError};
pub use probe::{ProbeReport, ProbeResult};
pub use provider_states::ProviderStates;
pub use refresh::{RecheckError, RecheckRequest, Rechecked, RefreshRequest, Refreshed};
pub use registry::{AllowedProviders, Registry};
pub use service_account::ServiceAccount;
pub use session_before::SessionBefore;
pub use sign_in::{Code, ResponseCode, SignInRequest, SignedIn, Turn};

use crate::clock::Clock;
use crate::identity::claims::{ClaimNames, ClaimPath};
use crate::identity::incomplete::MissingClaims;
use crate::oauth::Client;
use crate::oauth::client_auth::Credentials;
use crate::oauth::http::Http;
use crate::oidc::error::Error as OidcError;
pub use crate::oidc::logout::{AnswerKind, Logout, LogoutForm, LogoutRequest, LogoutToken};
use crate::origin::Origin;
use crate::providers::hints::ConfigHints;
use crate::providers::kinds::{KindOptions, ProviderKind, TokenRevocation};
use crate::providers::server::AuthorizationServer;
use crate::providers::service_account::AccountGroups;
use crate::secret::Secret;
use crate::telemetry::metrics::ProviderMeter;

/// An entry of `providers`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The ID: `[a-z0-9-]+`.
    pub id: Arc<str>,
    /// "Sign in with NAME".
    pub name: String,
    /// What is known about providers of its kind.
    pub kind: &'static ProviderKind,
    /// The options of that kind.
    pub options: KindOptions,
    /// The issuer identifier, exactly as in `iss`. Without OpenID Connect, the origin of its endpoints.
    pub issuer: String,
    /// Where the gateway's own requests go in place of the issuer's origin.
    pub internal_origin: Option<Origin>,
    /// Configured endpoints, which replace discovered ones.
    pub endpoints: ProviderEndpoints,
    /// The base URL of the API of the provider, if its kind has one.
    pub api: Option<Url>,
    /// The service account that reads groups, if it is set.
    pub service_account: Option<ServiceAccount>,
    /// The client identifier (RFC 6749 §2.2).
    pub client_id: String,
    /// How the client authenticates, with the credentials for it.
    pub client_auth: AuthMethods,
    /// `scope` of the authorization request.
    pub scopes: Vec<String>,
    /// How the browser brings the authorization response.
    pub response_mode: ResponseMode,
    /// More parameters of the authorization request.
    pub authorization_parameters: Vec<(String, String)>,
    /// The names of the claims.
    pub claims: ClaimNames,
    /// When the userinfo endpoint is requested.
    pub userinfo: Userinfo,
    /// Whether an e-mail without `email_verified: true` is ignored.
    pub require_email_verified: bool,
    /// Whether sign-out also ends the session at the provider.
    pub sign_out: SignOut,
    /// Whether `redirect_uri` ends in `/callback/ID`.
    pub distinct_redirect_uri: bool,
    /// Certificate authorities in PEM, in addition to those of the system.
    pub ca: Option<String>,
    /// The URL of the egress proxy, instead of the one from the environment. It may contain a password.
    pub proxy: Option<Secret>,
    /// The timeout of one request to the provider.
    pub timeout: Duration,
    /// Whether `http://` is accepted for hosts that are not loopback.
    pub danger_allow_http: bool,
}

/// A parameter of the authorization request whose effect is checked in the ID token (OIDC Core §3.1.2.1).
pub const MAX_AGE: &str = "max_age";

/// A hash of a provider's ID, issuer and client ID: while these stay the same, it is the same provider.
pub type Fingerprint = [u8; 8];

impl Settings {
    fn fingerprint(&self) -> Fingerprint {
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in [&*self.id, &self.issuer, &self.client_id] {
            // Each part follows its length, so that no two triples have the same bytes.
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finish().as_ref().first_chunk().copied().unwrap_or_default()
    }

    /// The `max_age` of the authorization request: the largest age of the user's authentication, in seconds.
    fn max_age(&self) -> Option<i64> {
        let max_age = self.authorization_parameters.iter().find(|(name, _)| name == MAX_AGE);
        max_age.and_then(|(_, seconds)| seconds.parse().ok())
    }
}

/// When the userinfo endpoint is requested, and what happens if that fails. If userinfo is about another `sub`, the
/// tokens are rejected in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Userinfo {
    /// When the ID token lacks a claim that the configuration uses. If that fails, these claims are absent.
    Auto,
    /// At each sign-in and refresh. If that fails, so does the sign-in.
    Always,
    /// Not at all.
    Never,
}

/// What a sign-out ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignOut {
    /// The session here, and that at the provider by its `end_session_endpoint`.
    Provider,
    /// The session here only.
    Local,
}

/// The health of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderHealth {
    /// Its metadata is known, and the last request to any of its endpoints was answered.
    Up,
    /// It fails, or has not answered yet.
    Unreachable,
    /// It answers, but its metadata or its settings make sign-ins impossible.
    Unusable(OidcError),
}

/// A provider: its issuer, and this gateway as its client.
#[derive(Debug)]
pub struct Provider {
    settings: Settings,
    fingerprint: Fingerprint,
    http: Arc<Http>,
    client: Client,
    server: AuthorizationServer,
    account_groups: Option<AccountGroups>,
    hints: ConfigHints,
    /// Claims that rules and headers read, apart from those of `claims`.
    used_claims: Vec<ClaimPath>,
    meter: Arc<ProviderMeter>,
    clock: Clock,
}

impl Provider {
    /// A provider with these settings. What `states` knows of it is shared; nothing is requested yet.
    pub fn new(settings: Settings, states: &ProviderStates) -> Result<Self, Error> {
        let (server, limits) = (states.server(&settings)?, states.limits(&settings));
        let http = Arc::clone(server.http());
        let credentials = Credentials {
            id: settings.client_id.clone(),
            methods: settings.client_auth.clone(),
            assertions: settings.assertions(),
        };
        Ok(Self {
            server,
            account_groups: AccountGroups::new(&settings, &http, &states.clock),
            client: Client::new(credentials, Arc::clone(&http), limits, states.clock.clone()),
            http,
            hints: ConfigHints::default(),
            used_claims: Vec::new(),
            meter: states.metrics.provider(&settings.id),
            clock: states.clock.clone(),
            fingerprint: settings.fingerprint(),
            settings,
        })
    }

    /// A provider that also requests userinfo if one of these claims, which rules and headers read, is absent.
    #[must_use]
    pub fn using(self, claims: Vec<ClaimPath>) -> Self {
        Self { used_claims: claims, ..self }
    }

    /// Reports claims that rules name, and of which a denied user of this provider has none or not all.
    pub fn denied_without(&self, missing: &MissingClaims) {
        self.hints.denied_without(missing, &self.settings);
    }

    /// The names of the claims.
    pub fn claim_names(&self) -> &ClaimNames {
        &self.settings.claims
    }

    /// The ID in the configuration.
    pub fn id(&self) -> &Arc<str> {
        &self.settings.id
    }

    /// Counts requests to it.
    pub fn meter(&self) -> &ProviderMeter {
        &self.meter
    }

    /// "Sign in with NAME".
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The icon on its button: see [`ProviderKind::icon`].
    pub fn icon(&self) -> &'static str {
        self.settings.kind.icon
    }

    /// The issuer identifier.
    pub fn issuer(&self) -> &str {
        self.server.identifier()
    }

    /// What a sign-out ends.
    pub fn sign_out(&self) -> SignOut {
        self.settings.sign_out
    }

    /// Equal in two configurations that name the same provider.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// How the browser brings the authorization response.
    pub fn response_mode(&self) -> ResponseMode {
        self.settings.response_mode
    }

    /// Whether the `redirect_uri` belongs to this provider only.
    pub fn has_distinct_redirect_uri(&self) -> bool {
        self.settings.distinct_redirect_uri
    }

    /// The `redirect_uri` of this provider, from the URL of the `callback` endpoint.
    pub fn redirect_uri(&self, callback: String) -> String {
        if self.settings.distinct_redirect_uri {
            format!("{callback}/{}", self.settings.id)
        } else {
            callback
        }
    }

    /// Whether both know the same of their server, so that one task keeps it fresh.
    pub fn has_server_of(&self, other: &Self) -> bool {
        self.server.is_same(&other.server) && self.settings.id == other.settings.id
    }

    /// Keeps metadata and keys fresh, and never ends. The caller spawns it.
    pub fn keep_fresh(&self) -> impl Future<Output = ()> + Send + use<> {
        self.server.clone().keep_fresh(Arc::clone(self.id()))
    }

    /// The health of the provider after the last requests to it.
    pub fn health(&self) -> ProviderHealth {
        if !self.http.is_answering() {
            return ProviderHealth::Unreachable;
        }
        match self.server.fault() {
            _ if self.server.is_known() => ProviderHealth::Up,
            Some(fault) => ProviderHealth::Unusable(fault),
            None => ProviderHealth::Unreachable,
        }
    }

    /// Whether users cannot sign in now, as far as is known: the last request to the provider, or its discovery,
    /// failed.
    pub fn is_down(&self) -> bool {
        let undiscovered = !self.server.is_known() && self.server.fault().is_some();
        undiscovered || !self.http.is_answering()
    }

    /// The logout request, which ends the session at the provider, without a hint. `None` if the provider has no
    /// endpoint for it, if `sign_out` is `local`, or if its metadata is not known: a sign-out does not wait for
    /// discovery.
    pub fn logout_request<'a>(
        &'a self,
        post_logout_redirect_uri: &'a str,
        state: Option<&'a str>,
    ) -> Option<LogoutRequest<'a>> {
        match self.settings.sign_out {
            SignOut::Local => None,
            SignOut::Provider => {
                let (endpoint, parameter) = self.end_session()?;
                Some(LogoutRequest {
                    endpoint,
                    id_token_hint: None,
                    client_id: &self.settings.client_id,
                    post_logout_redirect_uri,
                    parameter,
                    state,
                })
            }
        }
    }

    /// Whether the provider can verify an ID token of a session as a hint: its key is not gone.
    pub async fn can_verify_hint(&self, id_token: &Secret) -> bool {
        self.server.has_key_of(id_token).await
    }

    /// Revokes the tokens of a session, as far as the provider has a way to.
    pub async fn revoke(
        &self,
        access_token: Option<&Secret>,
        refresh_token: Option<&Secret>,
    ) -> Result<(), Error> {
        let revoked = match self.settings.kind.revocation {
            TokenRevocation::Rfc7009 => self.revoke_refresh_token(refresh_token).await,
            TokenRevocation::Delete(path) => self.delete_token(path, access_token).await,
        };
        self.log(revoked.map_err(Error::from), "cannot revoke a token")
    }

    async fn revoke_refresh_token(&self, refresh_token: Option<&Secret>) -> Result<(), OidcError> {
        let Some(refresh_token) = refresh_token else { return Ok(()) };
        let metadata = self.server.metadata().await?;
        let Some(endpoint) = self.revocation_endpoint(&metadata)? else { return Ok(()) };
        Ok(self.client.revoke(endpoint, refresh_token).await?)
    }

    async fn delete_token(
        &self,
        path: &'static str,
        access_token: Option<&Secret>,
    ) -> Result<(), OidcError> {
        let (Some(token), Some(base)) = (access_token, &self.settings.api) else { return Ok(()) };
        let path = path.replace("{}", "{client_id}");
        let url = self.api(base, token).url(&path, &[("client_id", &self.settings.client_id)])?;
        Ok(self.client.delete_token(&url, self.settings.kind.api_headers, token).await?)
    }

    /// Verifies a logout token, which reports that a session has ended at the provider. No endpoint receives one yet.
    pub async fn verify_logout(&self, logout_token: &Secret) -> Result<LogoutToken, Error> {
        let verified = match &self.server {
            AuthorizationServer::OpenId(issuer) => {
                issuer.verify_logout(logout_token, &self.settings.client_id).await
            }
            AuthorizationServer::OAuth(_) => Err(OidcError::NoKeys),
        };
        self.log(verified.map_err(Error::from), "a logout token was rejected")
    }

    fn log<T, E: std::fmt::Display>(&self, result: Result<T, E>, what: &str) -> Result<T, E> {
        result.inspect_err(|error| warn!(provider = %self.settings.id, %error, "{what}"))
    }
}

#[cfg(test)]
mod tests;
