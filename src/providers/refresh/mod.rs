//! A refresh: new tokens for a refresh token, and the user's current claims.
//! Invariants: new tokens from the provider are never lost, because the old refresh token may be spent (rotation). If
//! only the claims are unavailable for now, the session keeps its old claims for `session.outage_grace`; after that, and
//! at once if userinfo or profile answers that they are not to be had, it has only what this refresh has verified.
//! Source: RFC 6749 §6, OpenID Connect Core §12.

mod recheck;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

pub use recheck::{RecheckError, RecheckRequest, Rechecked};

use crate::identity::Identity;
use crate::identity::refresh_baseline::RefreshBaseline;
use crate::oauth::error::Error as OAuthError;
use crate::oauth::token::TokenSet;
use crate::oidc::discovery::Metadata;
use crate::oidc::error::Error as OidcError;
use crate::oidc::id_token::{Expected, Occasion};
use crate::providers::Provider;
use crate::providers::error::{Error, RefreshError};
use crate::providers::server::AuthorizationServer;
use crate::providers::session_before::SessionBefore;
use crate::providers::sign_in::UserClaims;
use crate::secret::Secret;

/// The input of a refresh.
#[derive(Clone, Copy, Debug)]
pub struct RefreshRequest<'a> {
    /// The refresh token.
    pub refresh_token: &'a Secret,
    /// The session to refresh.
    pub held: SessionBefore<'a>,
}

/// New tokens.
#[derive(Clone, Debug)]
pub struct Refreshed {
    /// The tokens. If the refresh token or the ID token is missing, the session keeps its old one.
    pub tokens: TokenSet,
    /// The identity by the new claims. `None`: there are no new claims.
    pub identity: Option<Identity>,
    /// The baseline for the next refresh.
    pub baseline: RefreshBaseline,
}

impl Provider {
    /// Refreshes within 15 s, including the wait for a slot at the token endpoint. The caller logs a failure, as it
    /// knows the session.
    pub async fn refresh(&self, request: &RefreshRequest<'_>) -> Result<Refreshed, RefreshError> {
        let temporary = |error: OidcError| RefreshError::Temporary(error.into());
        let until = Instant::now() + TIMEOUT;
        let metadata = timeout_at(until, self.server.metadata()).await;
        let metadata = metadata.unwrap_or(Err(OidcError::Interrupted)).map_err(temporary)?;
        let endpoint = self.token_endpoint(&metadata).map_err(temporary)?;
        let slot = timeout_at(until, self.client.refresh_slot()).await;
        let slot = slot.unwrap_or(Err(OAuthError::Busy)).map_err(RefreshError::of)?;
        let tokens = self.client.refresh(&slot, endpoint, request.refresh_token, until).await;
        let tokens =
            tokens.map_err(|error| RefreshError::of(self.settings.kind.understood(error)))?;
        let mut tokens = self.settings.kind.with_lifetime(tokens);

        let held = request.held;
        let found = timeout_at(until, self.claims_now(&metadata, &tokens, held.baseline)).await;
        match found.unwrap_or(Err(OidcError::Interrupted.into())) {
            Ok(None) => Ok(Refreshed { tokens, identity: None, baseline: held.baseline.clone() }),
            Ok(Some(found)) => {
                self.hints.claims.works();
                let described = self.described(found, &tokens, Some(held)).await;
                let (identity, baseline) = described.map_err(RefreshError::Untrusted)?;
                Ok(Refreshed { tokens, identity: Some(identity), baseline })
            }
            Err(Unavailable { error, .. }) if error.is_about_tokens() => {
                Err(RefreshError::Untrusted(Error::from(error)))
            }
            Err(unavailable) => {
                // SECURITY: an ID token is kept only if it and the claims in it were checked.
                tokens.id_token = None;
                self.without_claims(unavailable, tokens, held).await
            }
        }
    }

    /// A refresh whose claims are unavailable.
    async fn without_claims(
        &self,
        Unavailable { error, own }: Unavailable,
        tokens: TokenSet,
        held: SessionBefore<'_>,
    ) -> Result<Refreshed, RefreshError> {
        let now = self.clock.unix();
        // Anything else, such as keys that are gone, says nothing about the user.
        let is_answer =
            matches!(error, OidcError::UserinfoUnusable { .. } | OidcError::UserinfoError(_));
        let stale_since = (!is_answer).then(|| held.stale_since(now));
        let stays = !is_answer && held.is_within_grace(now);
        let effect = match stays {
            true => "refreshed, but the claims are unavailable and stay as they were",
            false => {
                "refreshed, but the claims are unavailable, so the user has only those that were verified"
            }
        };
        if self.hints.claims.is_news(&error, effect) {
            warn!(provider = %self.id(), %error, "{effect}");
        }
        if stays {
            let baseline = RefreshBaseline { stale_since, ..held.baseline.clone() };
            return Ok(Refreshed { tokens, identity: None, baseline });
        }
        // SECURITY: otherwise a session would keep an address or groups for its whole lifetime that its user has lost.
        let binding = held.baseline.binding.clone();
        let claims = own.unwrap_or_else(|| {
            Map::from_iter([("sub".to_owned(), Value::from(&*binding.subject))])
        });
        let is_openid = matches!(self.server, AuthorizationServer::OpenId(_));
        let own = is_openid.then(|| claims.clone());
        let has_userinfo = held.baseline.has_userinfo;
        let confirmed = BTreeSet::new();
        let found = UserClaims { claims, own, confirmed, has_userinfo, binding };
        let described = self.described(found, &tokens, Some(held)).await;
        let (identity, baseline) = described.map_err(RefreshError::Untrusted)?;
        let has_groups = identity.groups().next().is_some();
        let identity = Identity { groups_missing: !has_groups, ..identity };
        let baseline = RefreshBaseline { stale_since, ..baseline };
        Ok(Refreshed { tokens, identity: Some(identity), baseline })
    }

    /// The claims after a refresh. `None`: there are no new claims.
    async fn claims_now(
        &self,
        metadata: &Metadata,
        tokens: &TokenSet,
        baseline: &RefreshBaseline,
    ) -> Result<Option<UserClaims>, Unavailable> {
        let binding = &baseline.binding;
        let issuer = match &self.server {
            AuthorizationServer::OpenId(issuer) => issuer,
            AuthorizationServer::OAuth(_) => {
                let found = self.profiled(metadata, tokens, &binding.nonce).await?;
                // SECURITY: a session must not change to another user.
                let is_same = found.binding.subject == binding.subject;
                return if is_same {
                    Ok(Some(found))
                } else {
                    Err(OidcError::UserinfoSubject.into())
                };
            }
        };
        let renewed = match &tokens.id_token {
            None => None,
            Some(id_token) => {
                let expected = Expected {
                    client_id: &self.settings.client_id,
                    access_token: &tokens.access_token,
                    occasion: Occasion::Refresh { binding },
                };
                Some(issuer.verify(id_token, &expected).await?.into_parts().1)
            }
        };
        // Without a new ID token, a claim that userinfo has too is read from userinfo alone.
        let (own, only_own) = match (renewed, &baseline.id_token_claims) {
            (Some(own), _) => (own.clone(), own),
            (None, Some(before)) => (before.read(), before.read_unconfirmed()),
            (None, None) => return Ok(None),
        };
        // If the sign-in requested userinfo, every refresh does too, so that a removed group is noticed. It is also
        // requested if the new ID token lacks claims that the first one had, as with many providers.
        let has_userinfo = baseline.has_userinfo || self.needs_userinfo(metadata, &own);
        let (own, (claims, confirmed)) = if has_userinfo {
            match self.with_userinfo(metadata, tokens, binding, &only_own).await {
                Ok(found) => (only_own, found),
                Err(error) if error.is_temporary() => {
                    return Err(Unavailable { error, own: Some(only_own) });
                }
                Err(error) => match self.without_userinfo(error, &own) {
                    Ok((claims, _)) => {
                        let names = own.keys().filter(|name| !only_own.contains_key(*name));
                        (claims.clone(), (claims, names.cloned().collect()))
                    }
                    Err(error) => return Err(Unavailable { error, own: Some(only_own) }),
                },
            }
        } else {
            (own.clone(), (own, BTreeSet::new()))
        };
        let (own, binding) = (Some(own), binding.clone());
        Ok(Some(UserClaims { claims, own, confirmed, has_userinfo, binding }))
    }
}

/// Why there are no claims.
struct Unavailable {
    error: OidcError,
    /// The claims of the ID token, if it is verified.
    own: Option<Map<String, Value>>,
}

impl From<OidcError> for Unavailable {
    fn from(error: OidcError) -> Self {
        Self { error, own: None }
    }
}

/// The timeout of a whole refresh, with its retry and the claims. A request with an expired token waits for it, and
/// so does the end of the process.
const TIMEOUT: Duration = Duration::from_secs(15);
