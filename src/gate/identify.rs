//! Request -> `Visitor`: the session of its cookie, refreshed if due.
//! Invariants: while the old access token is valid nobody waits; on a public route nobody ever does.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::timeout;
use tracing::warn;

use crate::gate::Gate;
use crate::identity::Identity;
use crate::providers::{Provider, RefreshError, RefreshRequest, Refreshed};
use crate::session::refresh::{Flight, RefreshEffect, RefreshOutcome, RefreshedTokens};
use crate::session::{Freshness, Session, SessionData, SessionKey};
use crate::telemetry::audit;
use crate::telemetry::metrics::{self, Label as _};

/// Who asks.
#[derive(Clone, Debug)]
pub enum Visitor {
    /// Nobody whom we know.
    Stranger,
    /// Somebody with a live session.
    Member(Member),
}

/// Somebody with a live session.
#[derive(Clone, Debug)]
pub struct Member {
    /// The session.
    pub session: Arc<Session>,
    /// What it held when the request came.
    pub data: Arc<SessionData>,
}

/// What knowing the visitor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Whoever it is passes: a live session is told to the upstream, and that is all.
    Optional,
    /// The decision depends on it.
    Required,
}

impl Visitor {
    /// The session's member, if there is one.
    pub fn member(&self) -> Option<&Member> {
        match self {
            Self::Stranger => None,
            Self::Member(member) => Some(member),
        }
    }

    /// Who the provider says that they are.
    pub fn identity(&self) -> Option<&Identity> {
        self.member().map(|member| &member.data.identity)
    }
}

impl Gate {
    /// Who asks, as far as it is needed.
    pub async fn identify(&self, authentication: Authentication, headers: &HeaderMap) -> Visitor {
        let Some(session) = self.party.session(headers) else { return Visitor::Stranger };
        let now = self.party.clock().moment();
        session.touch(now);
        let data = Arc::clone(&session.data());
        match (data.tokens.freshness(now), authentication) {
            (Freshness::Fresh | Freshness::Spent, _)
            | (Freshness::Due, Authentication::Optional) => {}
            // Detached: the visitor goes on with the token that is valid still.
            (Freshness::Due, Authentication::Required) => drop(self.refresh(&session, &data)),
            (Freshness::Expired, Authentication::Optional) => {
                if data.tokens.is_lapsed(now, self.outage_grace) {
                    return Visitor::Stranger;
                }
            }
            // Boxed: rare, and its size would be that of every request's future.
            (Freshness::Expired, Authentication::Required) => {
                return Box::pin(self.renewed(session, data)).await;
            }
        }
        Visitor::Member(Member { session, data })
    }

    /// Waits for a refresh, but not long where the one before failed; past the grace of an outage, who had a
    /// session is a stranger.
    async fn renewed(&self, session: Arc<Session>, data: Arc<SessionData>) -> Visitor {
        let is_lapsed = || data.tokens.is_lapsed(self.party.clock().moment(), self.outage_grace);
        let patience = if session.is_in_outage() && !is_lapsed() { SOON } else { Duration::MAX };
        let outcome = timeout(patience, self.refresh(&session, &data).effect()).await;
        match outcome.unwrap_or(RefreshEffect::Kept) {
            RefreshEffect::Renewed => {
                let data = Arc::clone(&session.data());
                Visitor::Member(Member { session, data })
            }
            RefreshEffect::Kept => {
                if is_lapsed() {
                    return Visitor::Stranger;
                }
                Visitor::Member(Member { session, data })
            }
            RefreshEffect::Ended => Visitor::Stranger,
        }
    }

    /// Joins or starts the refresh of a session.
    pub fn refresh(&self, session: &Arc<Session>, data: &Arc<SessionData>) -> Flight {
        let provider = self.party.providers().by_id(&data.identity.provider).cloned();
        let key = session.key();
        self.refresher.refresh(session, data, |held| renew(provider, held, key))
    }
}

/// How long a provider that was away is waited for again, by each of a page's requests.
const SOON: Duration = Duration::from_secs(1);

/// Asks the provider for new tokens. `key` tells the log whose session ends.
async fn renew(
    provider: Option<Arc<Provider>>,
    held: Arc<SessionData>,
    key: SessionKey,
) -> RefreshOutcome {
    let ended = |reason| {
        audit::ended_by_refresh(&held.identity.provider, &held.identity.subject, &key, reason);
        RefreshOutcome::Rejected
    };
    let (Some(provider), Some(refresh_token)) = (provider, &held.tokens.refresh_token) else {
        return ended("no_provider");
    };
    let request = RefreshRequest { refresh_token, baseline: &held.baseline };
    let refreshed = provider.refresh(&request).await;
    let outcome = match &refreshed {
        Ok(_) => metrics::Refresh::Success,
        Err(RefreshError::Ended(_)) => metrics::Refresh::Ended,
        Err(RefreshError::Untrusted(_)) => metrics::Refresh::Untrusted,
        Err(RefreshError::Temporary(_)) => metrics::Refresh::Failure,
    };
    provider.meter().refreshed(outcome);
    if let Err(error) = &refreshed {
        warn!(provider = %provider.id(), session = ?key, %error, "a refresh failed");
    }
    match refreshed {
        Ok(Refreshed { tokens, identity, baseline }) => {
            RefreshOutcome::Renewed(Box::new(RefreshedTokens { tokens, identity, baseline }))
        }
        Err(RefreshError::Ended(_) | RefreshError::Untrusted(_)) => ended(outcome.as_str()),
        Err(RefreshError::Temporary(_)) => RefreshOutcome::Unavailable,
    }
}
