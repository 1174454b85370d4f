//! A refresh: new tokens for a refresh token, and who they stand for now.
//! Invariant: once the provider has given new tokens they are not lost: where it rotates refresh
//! tokens, the old one is spent. If only the claims cannot be had just then, the old ones stay.
//! Source: RFC 6749 §6, OpenID Connect Core §12.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::Provider;
use super::error::{Error, RefreshError};
use crate::identity::Identity;
use crate::identity::refresh_baseline::{OwnClaims, RefreshBaseline};
use crate::oauth::error::Error as OAuthError;
use crate::oauth::token::TokenSet;
use crate::oidc::discovery::Metadata;
use crate::oidc::error::Error as OidcError;
use crate::oidc::id_token::{Expected, Occasion};
use crate::secret::Secret;

/// What a refresh starts from.
#[derive(Clone, Copy, Debug)]
pub struct RefreshRequest<'a> {
    /// The refresh token.
    pub refresh_token: &'a Secret,
    /// What was kept of the sign-in, or of the refresh before.
    pub baseline: &'a RefreshBaseline,
}

/// New tokens.
#[derive(Clone, Debug)]
pub struct Refreshed {
    /// The tokens; without a refresh token the old one goes on, without an ID token likewise.
    pub tokens: TokenSet,
    /// Who it is by the new claims; `None`: nothing new was said.
    pub identity: Option<Identity>,
    /// To be kept in place of the old one.
    pub baseline: RefreshBaseline,
}

impl Provider {
    /// Refreshes, within 15 s; waits where too many token requests are under way. Whoever asks logs a
    /// failure, for they know whose session it is.
    pub async fn refresh(&self, request: &RefreshRequest<'_>) -> Result<Refreshed, RefreshError> {
        let temporary = |error: OidcError| RefreshError::Temporary(error.into());
        let until = Instant::now() + LONGEST;
        let metadata = timeout_at(until, self.issuer.metadata()).await;
        let metadata = metadata.unwrap_or(Err(OidcError::Interrupted)).map_err(temporary)?;
        let endpoint = self.endpoint(&metadata.token, &metadata).map_err(temporary)?;
        let slot = timeout_at(until, self.client.refresh_slot()).await;
        let slot = slot.unwrap_or(Err(OAuthError::Busy)).map_err(RefreshError::of)?;
        let tokens = self.client.refresh(&slot, endpoint, request.refresh_token, until).await;
        let mut tokens = tokens.map_err(RefreshError::of)?;

        let claims = timeout_at(until, self.claims_now(&metadata, &tokens, request.baseline)).await;
        match claims.unwrap_or(Err(OidcError::Interrupted)) {
            Ok(None) => {
                Ok(Refreshed { tokens, identity: None, baseline: request.baseline.clone() })
            }
            Ok(Some((claims, own))) => {
                let identity = self.identity(claims).map_err(RefreshError::Untrusted)?;
                let beside_userinfo = own.map(|own| OwnClaims::new(own, &identity.claims));
                let baseline = RefreshBaseline { beside_userinfo, ..request.baseline.clone() };
                Ok(Refreshed { tokens, identity: Some(identity), baseline })
            }
            Err(error) if error.is_about_tokens() => {
                Err(RefreshError::Untrusted(Error::from(error)))
            }
            Err(error) => {
                let id = self.id();
                warn!(provider = %id, %error, "refreshed, but the claims stay as they were");
                // SECURITY: an ID token is kept only together with the claims in it, both checked.
                tokens.id_token = None;
                Ok(Refreshed { tokens, identity: None, baseline: request.baseline.clone() })
            }
        }
    }

    /// The claims after a refresh, and the ID token's own where userinfo was asked; `None`: nothing new was said.
    async fn claims_now(
        &self,
        metadata: &Metadata,
        tokens: &TokenSet,
        baseline: &RefreshBaseline,
    ) -> Result<Option<(Map<String, Value>, Option<Map<String, Value>>)>, OidcError> {
        let binding = &baseline.binding;
        let renewed = match &tokens.id_token {
            None => None,
            Some(id_token) => {
                let expected = Expected {
                    client_id: &self.settings.client_id,
                    access_token: &tokens.access_token,
                    occasion: Occasion::Refresh { binding },
                };
                Some(self.issuer.verify(id_token, &expected).await?.into_parts().1)
            }
        };
        let before = baseline.beside_userinfo.as_ref();
        let Some(own) = renewed.or_else(|| before.map(OwnClaims::read)) else { return Ok(None) };
        // Where sign-in asked userinfo, so does every refresh: a group taken away must go. And where the
        // new ID token leaves out what the first one said, as many do.
        if baseline.beside_userinfo.is_none() && !self.lack_claims(metadata, &own) {
            return Ok(Some((own, None)));
        }
        let claims = self.with_userinfo(metadata, tokens, binding, &own).await?;
        Ok(Some((claims, Some(own))))
    }
}

/// All of a refresh, its repetition and the claims included: whoever asks with an expired token waits
/// for it, and so does the end of the process.
const LONGEST: Duration = Duration::from_secs(15);
