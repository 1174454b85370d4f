//! A recheck without a refresh token: whether the provider still accepts the access token of a session, and what it says
//! about the user now. For `session.recheck`; with a refresh token, a refresh says the same.
//! Invariant: only an answer ends a session: status 401, or one about another user. Tokens stay as they are.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use crate::identity::Identity;
use crate::identity::refresh_baseline::RefreshBaseline;
use crate::oauth::token::TokenSet;
use crate::oidc::error::Error as OidcError;
use crate::oidc::userinfo::userinfo;
use crate::providers::error::Error;
use crate::providers::server::AuthorizationServer;
use crate::providers::session_before::SessionBefore;
use crate::providers::sign_in::UserClaims;
use crate::providers::{ProbeReport, Provider, Userinfo, claims};
use crate::secret::Secret;

/// The input of a recheck.
#[derive(Clone, Copy, Debug)]
pub struct RecheckRequest<'a> {
    /// The access token, which is valid.
    pub access_token: &'a Secret,
    /// The session to recheck.
    pub held: SessionBefore<'a>,
}

/// An answer by which the session goes on.
#[derive(Clone, Debug)]
pub enum Rechecked {
    /// The provider accepts the access token, and sent no claims that the session uses.
    Confirmed,
    /// The same, with new claims.
    Renewed(Box<(Identity, RefreshBaseline)>),
    /// The provider has no endpoint to ask.
    NotAsked,
}

/// A failed recheck, by what it means for the session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecheckError {
    /// The provider no longer accepts the access token: the session ends.
    #[error("the provider ended the session: {0}")]
    Ended(OidcError),
    /// The answer is about another user: the session ends.
    #[error("the answer to the recheck cannot be trusted: {0}")]
    Untrusted(Error),
    /// Any other failure: the session continues, and the provider is asked again later.
    #[error("{0}")]
    Temporary(OidcError),
}

/// What the provider said.
enum Answer {
    Claims(UserClaims),
    Accepted,
    Nothing,
}

impl Provider {
    /// Asks within 15 s whether a session without a refresh token still stands. The caller logs the end of a
    /// session, as it knows the session.
    pub async fn recheck(&self, request: &RecheckRequest<'_>) -> Result<Rechecked, RecheckError> {
        let tokens = TokenSet {
            access_token: request.access_token.clone(),
            requested_at: self.clock.moment(),
            expires_in: None,
            refresh_token: None,
            id_token: None,
        };
        let held = request.held;
        let asked = timeout(TIMEOUT, self.answer_now(&tokens, held.baseline)).await;
        let asked = asked.unwrap_or(Err(OidcError::Interrupted));
        if asked.is_ok() {
            self.hints.rechecks.works();
        }
        match asked {
            Ok(Answer::Nothing) => {
                self.hints.not_rechecked(&self.settings);
                Ok(Rechecked::NotAsked)
            }
            Ok(Answer::Accepted) => Ok(Rechecked::Confirmed),
            Ok(Answer::Claims(mut found)) => {
                // The token is the same one, and its keys may be gone by now.
                self.keep_access_token_claims(&mut found.claims, held);
                let described = self.described_by(found, &tokens, Some(held)).await;
                let described = described.map_err(RecheckError::Untrusted)?;
                Ok(Rechecked::Renewed(Box::new(described)))
            }
            Err(error @ OidcError::UserinfoRejected(_)) => Err(RecheckError::Ended(error)),
            Err(error @ OidcError::UserinfoSubject) => Err(RecheckError::Untrusted(error.into())),
            Err(error) => {
                // The same for every session.
                let effect = "sessions cannot be rechecked, and stay as they were";
                if self.hints.rechecks.is_news(&error, effect) {
                    warn!(provider = %self.id(), %error, "{effect}");
                }
                Err(RecheckError::Temporary(error))
            }
        }
    }

    async fn answer_now(
        &self,
        tokens: &TokenSet,
        baseline: &RefreshBaseline,
    ) -> Result<Answer, OidcError> {
        let metadata = self.server.metadata().await?;
        let binding = &baseline.binding;
        if let AuthorizationServer::OAuth(_) = &self.server {
            let found = self.profiled(&metadata, tokens, &binding.nonce).await?;
            // SECURITY: a session must not change to another user.
            let is_same = found.binding.subject == binding.subject;
            return if is_same {
                Ok(Answer::Claims(found))
            } else {
                Err(OidcError::UserinfoSubject)
            };
        }
        let may_ask = self.settings.userinfo != Userinfo::Never;
        let Some(endpoint) = metadata.userinfo.as_ref().filter(|_| may_ask) else {
            return Ok(Answer::Nothing);
        };
        let answer = userinfo(&self.http, endpoint, &tokens.access_token, &binding.subject).await;
        let added = match answer.map_err(|error| self.settings.kind.understood_of_resource(error)) {
            // A signed JWT, which is not read here: the access token is accepted all the same.
            Err(OidcError::UserinfoUnusable { status, .. }) if status.is_success() => {
                return Ok(Answer::Accepted);
            }
            answer => answer?,
        };
        let Some(before) = &baseline.id_token_claims else { return Ok(Answer::Accepted) };
        let has_userinfo = baseline.has_userinfo;
        let own = before.read_unconfirmed();
        let (claims, confirmed) = if has_userinfo {
            (claims::join(&own, &added), self.confirmed(&own, &added))
        } else {
            (own.clone(), BTreeSet::new())
        };
        let (own, binding) = (Some(own), binding.clone());
        Ok(Answer::Claims(UserClaims { claims, own, confirmed, has_userinfo, binding }))
    }

    /// Reports that sessions of this provider are rechecked for a part of their lifetime only, because it issued no
    /// refresh token.
    pub fn recheck_ends_early(&self) {
        self.hints.recheck_ends_early(&self.settings);
    }

    /// Checks whether this provider can be asked without a refresh token, for `check --online` with `session.recheck`.
    /// Does so if its metadata is known.
    pub fn probe_recheck(&self, report: &mut ProbeReport) {
        let Some(metadata) = self.server.known() else { return };
        if metadata.userinfo.is_some() && self.settings.userinfo != Userinfo::Never {
            return;
        }
        let message = "is not requested, so `session.recheck` has an effect only if the provider issues refresh tokens";
        let hint = "request them, with many providers by the scope offline_access";
        report.warn("userinfo", message.to_owned(), Some(hint));
    }
}

/// The timeout of a whole recheck. No request waits for it, but the end of the process does.
const TIMEOUT: Duration = Duration::from_secs(15);
