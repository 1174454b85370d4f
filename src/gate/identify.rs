//! Request -> `Visitor`: finds the session of its cookie, and refreshes it if due.
//! Invariants: no request waits for a refresh while the old access token is valid, and none on a public route.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::timeout;
use tracing::warn;

use crate::gate::Gate;
use crate::gate::recheck::recheck;
use crate::identity::Identity;
use crate::providers::{Provider, RefreshError, RefreshRequest, Refreshed, SessionBefore};
use crate::session::cookie_receipt::CookieReceipt;
use crate::session::refresh::{Flight, RefreshEffect, RefreshOutcome, RefreshedTokens};
use crate::session::{Freshness, Session, SessionData, SessionKey, StoreUnavailable};
use crate::telemetry::audit;
use crate::telemetry::metrics::{self, Label as _};

/// The user behind a request, if known.
#[derive(Clone, Debug)]
pub enum Visitor {
    /// A visitor without a live session.
    Stranger,
    /// A user with a live session.
    Member(Member),
}

/// A user with a live session.
#[derive(Clone, Debug)]
pub struct Member {
    /// The session.
    pub session: Arc<Session>,
    /// Its data when the request arrived.
    pub data: Arc<SessionData>,
}

/// Whether the decision about a request depends on its visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Every visitor is allowed. A live session only adds identity headers.
    Optional,
    /// The decision depends on the visitor.
    Required,
}

impl Visitor {
    /// The member, if the visitor is one.
    pub fn member(&self) -> Option<&Member> {
        match self {
            Self::Stranger => None,
            Self::Member(member) => Some(member),
        }
    }

    /// The member's identity.
    pub fn identity(&self) -> Option<&Identity> {
        self.member().map(|member| &member.data.identity)
    }
}

impl Gate {
    /// Finds the visitor of a request with these header fields. Where no decision depends on it, a visitor whose session
    /// cannot be looked up is a stranger.
    pub async fn identify(
        &self,
        authentication: Authentication,
        headers: &HeaderMap,
    ) -> Result<Visitor, StoreUnavailable> {
        let session = match (self.party.session(headers).await, authentication) {
            (Ok(Some(session)), _) => session,
            (Ok(None), _) | (Err(StoreUnavailable), Authentication::Optional) => {
                return Ok(Visitor::Stranger);
            }
            // SECURITY: not known is neither signed in nor signed out.
            (Err(unavailable), Authentication::Required) => return Err(unavailable),
        };
        let now = self.party.clock().moment();
        session.touch(now);
        let data = Arc::clone(&session.data());
        match (data.tokens.freshness(now), authentication) {
            (Freshness::Fresh | Freshness::Spent, _)
            | (Freshness::Due, Authentication::Optional) => {}
            // Not awaited: the request continues with the old token, which is still valid.
            (Freshness::Due, Authentication::Required) => drop(self.refresh(&session, &data)),
            (Freshness::Expired, Authentication::Optional) => {
                if data.tokens.is_lapsed(now, self.outage_grace) {
                    return Ok(Visitor::Stranger);
                }
            }
            // Boxed because it is rare, and its size would add to every request's future.
            (Freshness::Expired, Authentication::Required) => {
                return Ok(Box::pin(self.renewed(session, data)).await);
            }
        }
        session.receipt().accept();
        Ok(Visitor::Member(Member { session, data }))
    }

    /// Waits for a refresh, but not long if the one before failed. After `outage_grace` the member is a stranger.
    async fn renewed(&self, session: Arc<Session>, data: Arc<SessionData>) -> Visitor {
        let is_lapsed = || data.tokens.is_lapsed(self.party.clock().moment(), self.outage_grace);
        let limit =
            if session.is_in_outage() && !is_lapsed() { OUTAGE_WAIT } else { Duration::MAX };
        let outcome = timeout(limit, self.refresh(&session, &data).effect()).await;
        match outcome.unwrap_or(RefreshEffect::Kept) {
            RefreshEffect::Renewed => {
                let data = Arc::clone(&session.data());
                session.receipt().accept();
                Visitor::Member(Member { session, data })
            }
            RefreshEffect::Kept => {
                if is_lapsed() {
                    session.receipt().reject(LAPSED);
                    return Visitor::Stranger;
                }
                session.receipt().accept();
                Visitor::Member(Member { session, data })
            }
            RefreshEffect::Ended => Visitor::Stranger,
        }
    }

    /// Joins the refresh of a session, or starts one.
    pub fn refresh(&self, session: &Arc<Session>, data: &Arc<SessionData>) -> Flight {
        let provider = self.party.providers().by_id(&data.identity.provider).cloned();
        let of_session = (session.key(), Arc::clone(session.receipt()));
        let grace = self.outage_grace;
        self.refresher.refresh(session, data, move |data| renew(provider, data, grace, of_session))
    }
}

/// How long a request waits for a provider that was unavailable at the last refresh. Short, because each
/// request of a page waits that long.
const OUTAGE_WAIT: Duration = Duration::from_secs(1);

/// Why a session whose tokens have expired is of no use, although it has not ended.
const LAPSED: &str =
    "its access token expired longer ago than session.outage_grace, and the refresh failed";

/// Gets new tokens from the provider, or rechecks a session without a refresh token. Key and receipt of the session are for the log.
async fn renew(
    provider: Option<Arc<Provider>>,
    data: Arc<SessionData>,
    outage_grace: Duration,
    (key, receipt): (SessionKey, Arc<CookieReceipt>),
) -> RefreshOutcome {
    let ended = |reason| {
        audit::ended_by_refresh(&data.identity.provider, &data.identity.subject, &key, reason);
        RefreshOutcome::Rejected
    };
    let Some(provider) = provider else {
        receipt.reject("its provider is not configured");
        return ended("no_provider");
    };
    let held = SessionBefore { identity: &data.identity, baseline: &data.baseline, outage_grace };
    let Some(refresh_token) = &data.tokens.refresh_token else {
        return recheck(&provider, data.tokens.access_token.as_ref(), held, (key, &receipt)).await;
    };
    let request = RefreshRequest { refresh_token, held };
    let refreshed = provider.refresh(&request).await;
    let outcome = match &refreshed {
        Ok(_) => metrics::Refresh::Success,
        Err(RefreshError::Ended(_)) => metrics::Refresh::Ended,
        Err(RefreshError::Untrusted(_)) => metrics::Refresh::Untrusted,
        Err(RefreshError::Temporary(_)) => metrics::Refresh::Failure,
    };
    provider.meter().refreshed(outcome);
    if let Err(error) = &refreshed {
        warn!(provider = %provider.id(), session = ?key, %error, "refresh failed");
    }
    match refreshed {
        Ok(Refreshed { tokens, identity, baseline }) => {
            RefreshOutcome::Renewed(Box::new(RefreshedTokens { tokens, identity, baseline }))
        }
        Err(error @ (RefreshError::Ended(_) | RefreshError::Untrusted(_))) => {
            receipt.reject(&error.to_string());
            ended(outcome.as_str())
        }
        Err(RefreshError::Temporary(_)) => RefreshOutcome::Unavailable,
    }
}
