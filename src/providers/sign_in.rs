//! A sign-in, from the authorization request to an identity.
//! Source: OpenID Connect Core §3.1.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use url::Url;

use crate::client_address::ClientAddress;
use crate::clock::UnixTime;
use crate::identity::Identity;
use crate::identity::claims::{ClaimPath, identity, remove_imitations};
use crate::identity::refresh_baseline::{IdTokenBinding, OwnClaims, RefreshBaseline};
use crate::oauth::ExchangePermit;
use crate::oauth::authorization::{AuthorizationRequest, AuthorizationResponse};
use crate::oauth::token::TokenSet;
use crate::oidc::Issuer;
use crate::oidc::discovery::Metadata;
use crate::oidc::error::Error as OidcError;
use crate::oidc::id_token::{Expected, Occasion};
use crate::oidc::userinfo::userinfo;
use crate::providers::error::Error;
use crate::providers::kinds::{EmailTrust, Nonce, Pkce, RequiredClaim, SignInProtocol};
use crate::providers::server::AuthorizationServer;
use crate::providers::session_before::SessionBefore;
use crate::providers::{Provider, Userinfo, claims, kinds};
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

/// What an authorization response without an error has.
#[derive(Clone, Debug)]
pub struct ResponseCode {
    /// `code`.
    pub code: Secret,
    /// The user's name, for a kind that sends it there.
    pub name: Option<String>,
}

/// The code of a callback, and what is needed to exchange and verify it.
#[derive(Clone, Debug)]
pub struct Code {
    /// What the response has.
    pub response: ResponseCode,
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

/// What a provider said about a user.
pub(super) struct UserClaims {
    /// All claims, without the groups of an API.
    pub(super) claims: Map<String, Value>,
    /// Those of the ID token alone.
    pub(super) own: Option<Map<String, Value>>,
    /// The names of those that userinfo has too.
    pub(super) confirmed: BTreeSet<String>,
    /// Whether userinfo was requested.
    pub(super) has_userinfo: bool,
    /// What later tokens of this sign-in must have.
    pub(super) binding: IdTokenBinding,
}

impl Provider {
    /// The URL of the authorization request. Waits for discovery if the metadata is not known yet.
    pub async fn authorization_url(&self, request: &SignInRequest<'_>) -> Result<Url, Error> {
        let metadata = self.server.metadata().await?;
        let mut more = match self.settings.kind.protocol {
            SignInProtocol::OpenId { .. } => vec![("nonce", request.nonce)],
            SignInProtocol::OAuth(_) => Vec::new(),
        };
        let SignInRequest { prompt, login_hint, ui_locales, .. } = *request;
        more.extend(prompt.map(|value| ("prompt", metadata.prompt(value))));
        more.extend(login_hint.map(|value| ("login_hint", value)));
        more.extend(ui_locales.map(|value| ("ui_locales", value)));
        more.extend(self.settings.response_mode.parameter());
        let configured = &self.settings.authorization_parameters;
        more.extend(configured.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let request = AuthorizationRequest {
            endpoint: &metadata.authorization,
            client_id: &self.settings.client_id,
            redirect_uri: request.redirect_uri,
            scope: &self.settings.scopes.join(" "),
            state: request.state,
            code_challenge: self.has_pkce().then_some(request.code_challenge),
            more,
        };
        Ok(request.url())
    }

    /// The code of a response that is from this provider (RFC 9207) and not an error. Without OpenID Connect there is no
    /// issuer identifier to compare.
    pub async fn code_of(&self, response: &AuthorizationResponse) -> Result<ResponseCode, Error> {
        if let AuthorizationServer::OpenId(issuer) = &self.server {
            let announced = issuer.metadata().await?.response_has_issuer;
            response.check_issuer(issuer.identifier(), announced)?;
        }
        let code = response.outcome.clone()?;
        Ok(ResponseCode { code, name: self.name_in(response) })
    }

    /// Waits until a sign-in from this address may send its code.
    pub async fn turn(&self, client: ClientAddress) -> Result<Turn, Error> {
        let turn = async {
            let metadata = self.server.metadata().await?;
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
        let Code { response: ResponseCode { code, name }, redirect_uri, code_verifier, nonce } =
            code;
        let endpoint = self.token_endpoint(&metadata)?;
        let client = &self.client;
        let verifier = self.has_pkce().then_some(code_verifier);
        let tokens = client.exchange_code(&slot, attempt, endpoint, code, redirect_uri, verifier);
        let tokens = tokens.await.map_err(|error| self.settings.kind.understood(error))?;
        let tokens = self.settings.kind.with_lifetime(tokens);
        let found = match &self.server {
            AuthorizationServer::OpenId(issuer) => {
                self.verified(issuer, &metadata, &tokens, nonce).await?
            }
            AuthorizationServer::OAuth(_) => self.profiled(&metadata, &tokens, nonce).await?,
        };
        let (mut identity, baseline) = self.described(found, &tokens, None).await?;
        if identity.name.is_none() {
            identity.name.clone_from(name);
        }
        Ok(SignedIn { tokens, identity, baseline })
    }

    /// The claims of the ID token, and of userinfo where it is needed.
    async fn verified(
        &self,
        issuer: &Issuer,
        metadata: &Metadata,
        tokens: &TokenSet,
        nonce: &str,
    ) -> Result<UserClaims, OidcError> {
        let id_token = tokens.id_token.as_ref().ok_or(OidcError::NoIdToken)?;
        let expected = Expected {
            client_id: &self.settings.client_id,
            access_token: &tokens.access_token,
            occasion: Occasion::SignIn {
                nonce,
                nonce_may_be_absent: self.nonce() == Nonce::MayBeAbsent,
                max_age: self.settings.max_age(),
            },
        };
        let (binding, own) = issuer.verify(id_token, &expected).await?.into_parts();
        let has_userinfo = self.needs_userinfo(metadata, &own);
        let (claims, confirmed) = if has_userinfo {
            let found = self.with_userinfo(metadata, tokens, &binding, &own).await;
            found.or_else(|error| self.without_userinfo(error, &own))?
        } else {
            (own.clone(), BTreeSet::new())
        };
        Ok(UserClaims { claims, own: Some(own), confirmed, has_userinfo, binding })
    }

    /// The claims of the profile.
    pub(super) async fn profiled(
        &self,
        metadata: &Metadata,
        tokens: &TokenSet,
        nonce: &str,
    ) -> Result<UserClaims, OidcError> {
        let SignInProtocol::OAuth(oauth) = self.settings.kind.protocol else {
            return Err(OidcError::NoIdToken);
        };
        let claims = self.profile(&oauth, metadata, tokens).await?;
        let subject = claims.get("sub").and_then(Value::as_str);
        let subject = subject.ok_or(OidcError::UserinfoSubject)?.into();
        let binding = IdTokenBinding { subject, nonce: nonce.to_owned(), auth_time: None };
        let (own, confirmed) = (None, BTreeSet::new());
        Ok(UserClaims { claims, own, confirmed, has_userinfo: true, binding })
    }

    /// The identity that these claims describe, with the groups of the provider's API. `held` is the session of a
    /// refresh.
    pub(super) async fn described(
        &self,
        mut found: UserClaims,
        tokens: &TokenSet,
        held: Option<SessionBefore<'_>>,
    ) -> Result<(Identity, RefreshBaseline), Error> {
        found.own.iter_mut().for_each(remove_imitations);
        let of_token = self.with_access_token_claims(&mut found.claims, tokens, held).await;
        let (identity, mut baseline) = self.described_by(found, tokens, held).await?;
        if of_token.is_stale() {
            baseline.stale_since = Some(self.stale_since(held));
        }
        Ok((identity, baseline))
    }

    /// Since when claims or groups cannot be fetched, if they cannot be now.
    fn stale_since(&self, held: Option<SessionBefore<'_>>) -> UnixTime {
        let now = self.clock.unix();
        held.map_or(now, |held| held.stale_since(now))
    }

    /// The same, if the claims of the access token are among these.
    pub(super) async fn described_by(
        &self,
        found: UserClaims,
        tokens: &TokenSet,
        held: Option<SessionBefore<'_>>,
    ) -> Result<(Identity, RefreshBaseline), Error> {
        let UserClaims { mut claims, own, confirmed, has_userinfo, binding } = found;
        self.check_required(own.as_ref().unwrap_or(&claims))?;
        if let (EmailTrust::EntraDomain, Some(own)) = (self.settings.kind.verified, &own) {
            let tenants = self.settings.kind.issuer_match(&self.settings.issuer);
            kinds::write_email_verified(&mut claims, own, &tenants);
        }
        let groups = self.with_groups(&mut claims, tokens, held).await;
        let stale_since = groups.is_stale().then(|| self.stale_since(held));
        let identity = self.identity(claims)?;
        let identity = Identity {
            name: identity.name.or_else(|| self.kept_name(held)),
            groups_missing: groups.is_missing(),
            most_groups: self.settings.kind.most_groups,
            ..identity
        };
        self.hints.look_at(&identity, &self.settings, &self.used_claims);
        // Without additions, they are all claims of the identity.
        let has_additions = has_userinfo || self.has_groups_by_api() || self.reads_access_token();
        let own = own.filter(|_| has_additions);
        let id_token_claims = own.map(|own| OwnClaims::new(own, confirmed, &identity.claims));
        Ok((identity, RefreshBaseline { binding, id_token_claims, has_userinfo, stale_since }))
    }

    /// Checks the claims that options of the kind ask for: those of the ID token alone, if there is one.
    // SECURITY: the parameter of the authorization request is only a hint, which a visitor can remove.
    fn check_required(&self, claims: &Map<String, Value>) -> Result<(), Error> {
        for RequiredClaim { claim, option } in self.settings.kind.required_claims {
            let allowed = self.settings.options.all(option);
            let found = claims.get(*claim).and_then(Value::as_str);
            if !allowed.is_empty() && !found.is_some_and(|it| allowed.iter().any(|one| one == it)) {
                return Err(Error::Outsider { claim, option });
            }
        }
        Ok(())
    }

    pub(super) fn has_pkce(&self) -> bool {
        self.settings.kind.pkce == Pkce::S256
    }

    fn nonce(&self) -> Nonce {
        match self.settings.kind.protocol {
            SignInProtocol::OpenId { nonce, .. } => nonce,
            SignInProtocol::OAuth(_) => Nonce::Required,
        }
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

    /// The claims of the ID token and of userinfo, and the names of those that both have.
    pub(super) async fn with_userinfo(
        &self,
        metadata: &Metadata,
        tokens: &TokenSet,
        binding: &IdTokenBinding,
        own: &Map<String, Value>,
    ) -> Result<(Map<String, Value>, BTreeSet<String>), OidcError> {
        let Some(endpoint) = self.userinfo_endpoint(metadata) else {
            let (endpoint, fault) = ("userinfo_endpoint", "is missing");
            return Err(OidcError::Endpoint { endpoint, fault });
        };
        let claims = userinfo(&self.http, endpoint, &tokens.access_token, &binding.subject).await;
        let claims = claims.map_err(|error| self.settings.kind.understood_of_resource(error))?;
        Ok((claims::join(own, &claims), self.confirmed(own, &claims)))
    }

    /// The names of the claims of the ID token that userinfo has too, without those that the kind asks for, which must
    /// stay in the ID token.
    pub(super) fn confirmed(
        &self,
        own: &Map<String, Value>,
        userinfo: &Map<String, Value>,
    ) -> BTreeSet<String> {
        let mut names = claims::confirmed(own, userinfo);
        for RequiredClaim { claim, .. } in self.settings.kind.required_claims {
            names.remove(*claim);
        }
        names
    }

    /// The claims of the ID token alone, if the settings allow it after this failure of userinfo.
    pub(super) fn without_userinfo(
        &self,
        error: OidcError,
        own: &Map<String, Value>,
    ) -> Result<(Map<String, Value>, BTreeSet<String>), OidcError> {
        // SECURITY: another `sub` is token substitution (Core §5.3.2).
        if self.settings.userinfo != Userinfo::Auto || error == OidcError::UserinfoSubject {
            return Err(error);
        }
        self.hints.userinfo_failed(&error, &self.settings);
        Ok((own.clone(), BTreeSet::new()))
    }

    /// The identity that these claims describe, by the configured names.
    pub fn identity(&self, claims: Map<String, Value>) -> Result<Identity, Error> {
        let Self { settings, .. } = self;
        Ok(identity(&settings.id, &settings.claims, settings.require_email_verified, claims)?)
    }
}
