//! `session.recheck` for a session without a refresh token: the provider is asked whether it still accepts the access
//! token. It runs as the refresh of the session, so there is one at a time, and no request waits for it.

use crate::providers::{Provider, RecheckError, RecheckRequest, Rechecked, SessionBefore};
use crate::secret::Secret;
use crate::session::SessionKey;
use crate::session::cookie_receipt::CookieReceipt;
use crate::session::refresh::{ConfirmedClaims, RefreshOutcome};
use crate::telemetry::audit;
use crate::telemetry::metrics::{self, Label as _};

/// Asks the provider. Key and receipt of the session are for the log.
pub(super) async fn recheck(
    provider: &Provider,
    access_token: Option<&Secret>,
    held: SessionBefore<'_>,
    (key, receipt): (SessionKey, &CookieReceipt),
) -> RefreshOutcome {
    let Some(access_token) = access_token else { return RefreshOutcome::NotAsked };
    let answer = provider.recheck(&RecheckRequest { access_token, held }).await;
    let outcome = match &answer {
        Ok(Rechecked::NotAsked) => return RefreshOutcome::NotAsked,
        Ok(Rechecked::Confirmed | Rechecked::Renewed(_)) => metrics::Refresh::RecheckSuccess,
        Err(RecheckError::Ended(_)) => metrics::Refresh::RecheckEnded,
        Err(RecheckError::Untrusted(_)) => metrics::Refresh::RecheckUntrusted,
        Err(RecheckError::Temporary(_)) => metrics::Refresh::RecheckFailure,
    };
    provider.meter().refreshed(outcome);
    if let Err(error @ (RecheckError::Ended(_) | RecheckError::Untrusted(_))) = &answer {
        tracing::warn!(provider = %provider.id(), session = ?key, %error, "recheck failed");
    }
    match answer {
        Ok(Rechecked::NotAsked) => RefreshOutcome::NotAsked,
        Ok(Rechecked::Confirmed) => RefreshOutcome::Confirmed(None),
        Ok(Rechecked::Renewed(claims)) => {
            let (identity, baseline) = *claims;
            RefreshOutcome::Confirmed(Some(Box::new(ConfirmedClaims { identity, baseline })))
        }
        Err(error @ (RecheckError::Ended(_) | RecheckError::Untrusted(_))) => {
            receipt.reject(&error.to_string());
            let (provider, subject) = (provider.id(), &held.identity.subject);
            audit::ended_by_refresh(provider, subject, &key, outcome.as_str());
            RefreshOutcome::Rejected
        }
        Err(RecheckError::Temporary(_)) => RefreshOutcome::Unavailable,
    }
}
