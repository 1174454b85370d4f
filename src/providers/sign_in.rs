//! A sign-in, from the authorization request to an identity.
//! Source: OpenID Connect Core §3.1, by way of `oauth` and `oidc`.

use std::sync::Arc;

use serde_json::{Map, Value};
use url::Url;

use super::error::Error;
use super::{Provider, claims};
use crate::client_address::ClientAddress;
use crate::identity::Identity;
use crate::identity::claims::identity;
use crate::identity::refresh_baseline::{IdTokenBinding, OwnClaims, RefreshBaseline};
use crate::oauth::authorization::{AuthorizationRequest, AuthorizationResponse};
use crate::oauth::token::TokenSet;
use crate::oauth::{AuthenticatedEndpoint, ExchangePermit};
use crate::oidc::discovery::Metadata;
use crate::oidc::error::Error as OidcError;
use crate::oidc::id_token::{Expected, Occasion};
use crate::oidc::userinfo::userinfo;
use crate::secret::Secret;

/// What one sign-in asks for.
#[derive(Clone, Copy, Debug)]
pub struct SignInRequest<'a> {
    /// `redirect_uri`.
    pub redirect_uri: &'a str,
    /// `state`.
    pub state: &'a str,
    /// `nonce`.
    pub nonce: &'a str,
    /// The S256 `code_challenge`.
    pub code_challenge: &'a str,
    /// `prompt`, over a configured one.
    pub prompt: Option<&'a str>,
    /// `login_hint`.
    pub login_hint: Option<&'a str>,
    /// `ui_locales`.
    pub ui_locales: Option<&'a str>,
}

/// The right to send one code to the provider now. Holds a slot of its token endpoint until dropped.
#[derive(Debug)]
pub struct Turn {
    metadata: Arc<Metadata>,
    permit: ExchangePermit,
}

/// What came back with the browser, and what it must fit.
#[derive(Clone, Debug)]
pub struct Code {
    /// `code`.
    pub code: Secret,
    /// `redirect_uri`, as in the authorization request.
    pub redirect_uri: String,
    /// `code_verifier`.
    pub code_verifier: Secret,
    /// `nonce`, as the ID token must repeat it.
    pub nonce: String,
}

/// Somebody signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The tokens.
    pub tokens: TokenSet,
    /// Who it is.
    pub identity: Identity,
    /// To be kept beside the refresh token.
    pub baseline: RefreshBaseline,
}

impl Provider {
    /// Where to send the browser. Waits for a discovery where the provider is not known yet.
    pub async fn authorization_url(&self, request: &SignInRequest<'_>) -> Result<Url, Error> {
        let metadata = self.issuer.metadata().await;
        let metadata = self.log(metadata.map_err(Error::from), "cannot begin a sign-in")?;
        let mut more = vec![("nonce", request.nonce)];
        let SignInRequest { prompt, login_hint, ui_locales, .. } = *request;
        more.extend(prompt.map(|value| ("prompt", value)));
        more.extend(login_hint.map(|value| ("login_hint", value)));
        more.extend(ui_locales.map(|value| ("ui_locales", value)));
        let configured = &self.settings.authorization_parameters;
        more.extend(configured.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let request = AuthorizationRequest {
            endpoint: &metadata.authorization,
            client_id: &self.settings.client_id,
            redirect_uri: request.redirect_uri,
            scope: &self.settings.scopes.join(" "),
            state: request.state,
            code_challenge: request.code_challenge,
            more,
        };
        Ok(request.url())
    }

    /// Whether it was this provider that answered (RFC 9207). To be asked before the code is used.
    pub async fn check_response(&self, response: &AuthorizationResponse) -> Result<(), Error> {
        let checked = async {
            let announced = self.issuer.metadata().await?.response_has_issuer;
            Ok::<_, OidcError>(response.check_issuer(self.issuer.identifier(), announced)?)
        };
        self.log(checked.await.map_err(Error::from), "an authorization response is refused")
    }

    /// Waits until a sign-in from this address may send its code. Nothing is sent before that.
    pub async fn turn(&self, client: ClientAddress) -> Result<Turn, Error> {
        let turn = async {
            let metadata = self.issuer.metadata().await?;
            // A method that nobody has in common fails before the code is spent.
            self.token_endpoint(&metadata)?;
            Ok::<_, OidcError>(Turn {
                permit: self.client.exchange_permit(client).await?,
                metadata,
            })
        };
        self.log(turn.await.map_err(Error::from), "a sign-in failed")
    }

    /// Exchanges the code and finds out who it stands for. The code is spent, whatever comes of it.
    pub async fn complete(&self, turn: Turn, code: &Code) -> Result<SignedIn, Error> {
        self.log(self.try_complete(turn, code).await, "a sign-in failed")
    }

    async fn try_complete(&self, turn: Turn, code: &Code) -> Result<SignedIn, Error> {
        let Turn { metadata, permit: ExchangePermit { slot, attempt } } = turn;
        let Code { code, redirect_uri, code_verifier, nonce } = code;
        let endpoint = self.token_endpoint(&metadata)?;
        let client = &self.client;
        let tokens =
            client.exchange_code(&slot, attempt, endpoint, code, redirect_uri, code_verifier);
        let tokens = tokens.await?;

        let id_token = tokens.id_token.as_ref().ok_or(OidcError::NoIdToken)?;
        let expected = Expected {
            client_id: &self.settings.client_id,
            access_token: &tokens.access_token,
            occasion: Occasion::SignIn { nonce, max_age: self.settings.max_age() },
        };
        let (binding, own) = self.issuer.verify(id_token, &expected).await?.into_parts();

        let (claims, own) = if self.lack_claims(&metadata, &own) {
            (self.with_userinfo(&metadata, &tokens, &binding, &own).await?, Some(own))
        } else {
            (own, None)
        };
        let identity = self.identity(claims)?;
        let beside_userinfo = own.map(|own| OwnClaims::new(own, &identity.claims));
        self.hints.look_at(&identity, &self.settings);
        Ok(SignedIn { tokens, identity, baseline: RefreshBaseline { binding, beside_userinfo } })
    }

    fn token_endpoint<'m>(
        &self,
        metadata: &'m Metadata,
    ) -> Result<AuthenticatedEndpoint<'m>, OidcError> {
        self.endpoint(&metadata.token, metadata)
    }

    /// Whether an ID token leaves claims to userinfo, and there is one.
    pub(super) fn lack_claims(&self, metadata: &Metadata, own: &Map<String, Value>) -> bool {
        let (names, strict) = (&self.settings.claims, self.settings.require_email_verified);
        metadata.userinfo.is_some() && claims::lack(own, names, strict)
    }

    /// The ID token's own claims and userinfo's.
    pub(super) async fn with_userinfo(
        &self,
        metadata: &Metadata,
        tokens: &TokenSet,
        binding: &IdTokenBinding,
        own: &Map<String, Value>,
    ) -> Result<Map<String, Value>, OidcError> {
        let Some(endpoint) = &metadata.userinfo else { return Ok(own.clone()) };
        let theirs = userinfo(&self.http, endpoint, &tokens.access_token, &binding.subject).await?;
        Ok(claims::join(own, &theirs))
    }

    /// Who these claims are about, by the configured paths.
    pub fn identity(&self, claims: Map<String, Value>) -> Result<Identity, Error> {
        let Self { settings, .. } = self;
        Ok(identity(&settings.id, &settings.claims, settings.require_email_verified, claims)?)
    }
}
