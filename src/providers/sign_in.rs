//! A sign-in, from the authorization request to an identity.
//! Source: OpenID Connect Core §3.1.

use std::sync::Arc;

use serde_json::{Map, Value};
use url::Url;

use crate::client_address::ClientAddress;
use crate::identity::Identity;
use crate::identity::claims::{ClaimPath, identity};
use crate::identity::refresh_baseline::{IdTokenBinding, OwnClaims, RefreshBaseline};
use crate::oauth::ExchangePermit;
use crate::oauth::authorization::{AuthorizationRequest, AuthorizationResponse};
use crate::oauth::token::TokenSet;
use crate::oidc::discovery::Metadata;
use crate::oidc::error::Error as OidcError;
use crate::oidc::id_token::{Expected, Occasion};
use crate::oidc::userinfo::userinfo;
use crate::providers::error::Error;
use crate::providers::{Provider, Userinfo, claims};
use crate::secret::Secret;

/// The parameters of an authorization request.
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
    /// `prompt`. It replaces a configured one.
    pub prompt: Option<&'a str>,
    /// `login_hint`.
    pub login_hint: Option<&'a str>,
    /// `ui_locales`.
    pub ui_locales: Option<&'a str>,
}

/// The permission to send one code to the provider. Holds a slot at the token endpoint until dropped.
#[derive(Debug)]
pub struct Turn {
    metadata: Arc<Metadata>,
    permit: ExchangePermit,
}

/// The code of a callback, and what is needed to exchange and verify it.
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

/// A successful sign-in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The tokens.
    pub tokens: TokenSet,
    /// The user.
    pub identity: Identity,
    /// The baseline for the first refresh.
    pub baseline: RefreshBaseline,
}

impl Provider {
    /// The URL of the authorization request. Waits for discovery if the metadata is not known yet.
    pub async fn authorization_url(&self, request: &SignInRequest<'_>) -> Result<Url, Error> {
        let metadata = self.issuer.metadata().await?;
        let mut more = vec![("nonce", request.nonce)];
        let SignInRequest { prompt, login_hint, ui_locales, .. } = *request;
        more.extend(prompt.map(|value| ("prompt", metadata.prompt(value))));
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

    /// The code of a response that is from this provider (RFC 9207) and not an error.
    pub async fn code_of<'r>(
        &self,
        response: &'r AuthorizationResponse,
    ) -> Result<&'r Secret, Error> {
        let announced = self.issuer.metadata().await?.response_has_issuer;
        response.check_issuer(self.issuer.identifier(), announced)?;
        response.outcome.as_ref().map_err(|error| error.clone().into())
    }

    /// Waits until a sign-in from this address may send its code.
    pub async fn turn(&self, client: ClientAddress) -> Result<Turn, Error> {
        let turn = async {
            let metadata = self.issuer.metadata().await?;
            // Without a common authentication method, it fails before the code is spent.
            self.token_endpoint(&metadata)?;
            Ok::<_, OidcError>(Turn {
                permit: self.client.exchange_permit(client).await?,
                metadata,
            })
        };
        turn.await.map_err(Error::from)
    }

    /// Exchanges the code, and returns the user that it is for. The code is spent in every case.
    pub async fn complete(&self, turn: Turn, code: &Code) -> Result<SignedIn, Error> {
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

        let (claims, own) = if self.needs_userinfo(&metadata, &own) {
            let claims = self.with_userinfo(&metadata, &tokens, &binding, &own).await;
            (claims.or_else(|error| self.without_userinfo(error, &own))?, Some(own))
        } else {
            (own, None)
        };
        let identity = self.identity(claims)?;
        let id_token_claims = own.map(|own| OwnClaims::new(own, &identity.claims));
        self.hints.look_at(&identity, &self.settings, &self.used_claims);
        Ok(SignedIn { tokens, identity, baseline: RefreshBaseline { binding, id_token_claims } })
    }

    /// Whether userinfo is requested in addition to this ID token.
    pub(super) fn needs_userinfo(&self, metadata: &Metadata, own: &Map<String, Value>) -> bool {
        let (names, strict) = (&self.settings.claims, self.settings.require_email_verified);
        let lacks = |path: &ClaimPath| path.find(own).is_none();
        match self.settings.userinfo {
            Userinfo::Always => true,
            Userinfo::Never => false,
            Userinfo::Auto => {
                metadata.userinfo.is_some()
                    && (claims::lack(own, names, strict) || self.used_claims.iter().any(lacks))
            }
        }
    }

    /// The claims of the ID token and of userinfo.
    pub(super) async fn with_userinfo(
        &self,
        metadata: &Metadata,
        tokens: &TokenSet,
        binding: &IdTokenBinding,
        own: &Map<String, Value>,
    ) -> Result<Map<String, Value>, OidcError> {
        let Some(endpoint) = &metadata.userinfo else {
            let (endpoint, fault) = ("userinfo_endpoint", "is missing");
            return Err(OidcError::Endpoint { endpoint, fault });
        };
        let claims = userinfo(&self.http, endpoint, &tokens.access_token, &binding.subject).await?;
        Ok(claims::join(own, &claims))
    }

    /// The claims of the ID token alone, if the settings allow it after this failure of userinfo.
    pub(super) fn without_userinfo(
        &self,
        error: OidcError,
        own: &Map<String, Value>,
    ) -> Result<Map<String, Value>, OidcError> {
        // SECURITY: another `sub` is token substitution (Core §5.3.2).
        if self.settings.userinfo != Userinfo::Auto || error == OidcError::UserinfoSubject {
            return Err(error);
        }
        self.hints.userinfo_failed(&error, &self.settings);
        Ok(own.clone())
    }

    /// The identity that these claims describe, by the configured names.
    pub fn identity(&self, claims: Map<String, Value>) -> Result<Identity, Error> {
        let Self { settings, .. } = self;
        Ok(identity(&settings.id, &settings.claims, settings.require_email_verified, claims)?)
    }
}
