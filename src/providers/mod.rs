//! The providers that visitors sign in at: data plus a why, never an interface.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::identity::claims::ClaimNames;
pub use crate::oauth::client_auth::AuthMethod;
pub use crate::oidc::discovery::Endpoints;
use crate::secret::Secret;

/// What `providers.ID` says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The ID: `[a-z0-9-]+`.
    pub id: Arc<str>,
    /// "Sign in with NAME".
    pub name: String,
    /// The issuer identifier, exactly as it must stand in `iss`.
    pub issuer: String,
    /// Endpoints given by hand, over or instead of discovery.
    pub endpoints: Endpoints,
    /// The client identifier (RFC 6749 §2.2).
    pub client_id: String,
    /// The client secret, unless the method is `none`.
    pub client_secret: Option<Secret>,
    /// How the client authenticates; `None` takes what discovery offers, basic first.
    pub token_endpoint_auth_method: Option<AuthMethod>,
    /// `scope` of the authorization request.
    pub scopes: Vec<String>,
    /// Further parameters of the authorization request.
    pub authorization_parameters: Vec<(String, String)>,
    /// Which claim means what.
    pub claims: ClaimNames,
    /// Whether an e-mail without `email_verified: true` has no value.
    pub require_email_verified: bool,
    /// Whether sign-out also ends the session at the provider.
    pub sign_out: SignOut,
    /// Whether `redirect_uri` ends in `/callback/ID`.
    pub distinct_redirect_uri: bool,
    /// PEM text of authorities beside the system's roots.
    pub ca: Option<String>,
    /// Egress proxy, instead of the environment's.
    pub proxy: Option<Url>,
    /// One request to the provider.
    pub timeout: Duration,
    /// Whether `http://` beyond loopback is accepted.
    pub danger_allow_http: bool,
}

/// What a sign-out ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignOut {
    /// Our session and, at its `end_session_endpoint`, the provider's.
    Provider,
    /// Our session only.
    Local,
}
