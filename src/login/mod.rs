//! The authorization code flow: begin, complete, sign out.
//! Invariant: no HTML and no status code is made here.

pub mod begin;
pub mod browser_sessions;
pub mod complete;
mod generations;
mod new_tokens;
pub mod pending;
mod recover;
pub mod redirect_cycle;
pub mod relying_party;
pub mod return_to;
pub mod sign_in_options;
pub mod sign_in_rounds;
pub mod sign_out;
pub mod used_states;

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use tokio_util::task::TaskTracker;

use crate::login::browser_sessions::BrowserSessions;
use crate::login::pending::States;
use crate::login::redirect_cycle::{ChangedHost, CycleDetector, RedirectCycle};
use crate::login::relying_party::RelyingParty;
use crate::login::return_to::{AllowedTargets, ReturnTo};
use crate::oauth;
use crate::providers::{self, Provider, ResponseMode};
use crate::session::size_limit::{SizeLimit, TooLarge};
use crate::session::{Settings, StoreUnavailable};
use crate::telemetry::audit;
use crate::telemetry::metrics::{Label as _, SignIn};

/// Signs users in and out.
#[derive(Debug)]
pub struct Login {
    party: Arc<RelyingParty>,
    /// Where a browser may be sent back to.
    targets: AllowedTargets,
    /// Seals and opens sign-ins under way.
    states: Arc<States>,
    /// What the last sign-ins of a browser have led to.
    browsers: Browsers,
    /// How long sessions live and when they are refreshed.
    settings: Settings,
    size_limit: Arc<SizeLimit>,
    /// Owns what continues after a response, such as a revocation.
    tasks: TaskTracker,
}

/// What the last sign-ins of each browser have led to.
#[derive(Debug)]
pub struct Browsers {
    /// Detects browsers whose sign-ins start again without end.
    pub cycles: CycleDetector,
    /// The sessions that a callback by POST does not bring.
    pub sessions: Arc<BrowserSessions>,
}

/// A redirect of the browser, with cookies to set.
#[derive(Clone)]
pub struct Redirect {
    /// `Location`.
    pub location: String,
    /// `Set-Cookie`.
    pub cookies: Vec<HeaderValue>,
}

impl From<String> for Redirect {
    fn from(location: String) -> Self {
        Self { location, cookies: Vec::new() }
    }
}

impl From<ReturnTo> for Redirect {
    fn from(target: ReturnTo) -> Self {
        target.as_str().to_owned().into()
    }
}

/// Why a sign-in failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No provider has this ID.
    #[error("no provider has this ID")]
    UnknownProvider,
    /// There are several providers, and the request names none.
    #[error("one of several providers must be chosen")]
    ChoiceNeeded,
    /// The callback is not an authorization response.
    #[error(transparent)]
    Response(#[from] oauth::error::Error),
    /// This browser cannot use the `state` now.
    #[error("the state is {0}")]
    State(StateFault),
    /// The sign-in would be a further round of a cycle.
    #[error(transparent)]
    Cycle(#[from] RedirectCycle),
    /// The browser was sent to `public_url`, and its request came for another host.
    #[error(transparent)]
    ChangedHost(#[from] ChangedHost),
    /// The browser brought the authorization response by another method than `response_mode` has.
    #[error("{0}")]
    WrongMethod(OtherMethod),
    /// The path of the callback is not the `redirect_uri` of the provider.
    #[error("{0}")]
    WrongRedirectUri(OtherRedirectUri),
    /// The provider rejects the sign-in, cannot be reached, or answers incorrectly.
    #[error(transparent)]
    Provider(#[from] providers::Error),
    /// A session cannot be looked up or stored.
    #[error(transparent)]
    Sessions(#[from] StoreUnavailable),
    /// The claims and tokens of the account are larger than a session may be.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl Error {
    /// The outcome of the sign-in, for the log and the metrics.
    fn outcome(&self) -> SignIn {
        match self {
            Self::State(_) => SignIn::State,
            Self::Cycle(_) | Self::ChangedHost(_) => SignIn::Cycle,
            Self::UnknownProvider
            | Self::ChoiceNeeded
            | Self::Response(_)
            | Self::WrongMethod(_)
            | Self::WrongRedirectUri(_)
            | Self::Provider(providers::Error::BadResponse(_)) => SignIn::BadResponse,
            Self::Provider(providers::Error::Refused(_) | providers::Error::Outsider { .. }) => {
                SignIn::Refused
            }
            Self::Provider(providers::Error::Busy | providers::Error::Unavailable(_)) => {
                SignIn::Unavailable
            }
            Self::Provider(providers::Error::Misconfigured(_) | providers::Error::Settings(_)) => {
                SignIn::Misconfigured
            }
            Self::Provider(providers::Error::Misbehaved(_) | providers::Error::Claims(_)) => {
                SignIn::Misbehaved
            }
            Self::Provider(providers::Error::TooManyFailures) => SignIn::TooManyFailures,
            Self::Sessions(_) => SignIn::StoreUnavailable,
            Self::TooLarge(_) => SignIn::TooLarge,
        }
    }
}

/// The IDs behind `/callback` in the path of an authorization response and in the `redirect_uri` of its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherRedirectUri {
    /// In the response, shortened.
    pub found: Option<String>,
    /// In the `redirect_uri`.
    pub expected: Option<String>,
}

impl fmt::Display for OtherRedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = |id: &Option<String>| match id {
            Some(id) => format!("/callback/{id}"),
            None => "/callback".to_owned(),
        };
        let (found, expected) = (path(&self.found), path(&self.expected));
        write!(
            f,
            "the callback is at {found:?}, and the redirect URI of this provider is at {expected:?}: compare \
             `distinct_redirect_uri` with the registration"
        )
    }
}

/// How an authorization response came, and how the sign-in had requested it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherMethod {
    /// Of the response.
    pub found: ResponseMode,
    /// Of the sign-in.
    pub expected: ResponseMode,
}

impl fmt::Display for OtherMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (found, expected) = (self.found.method(), self.expected.method());
        write!(
            f,
            "the authorization response came by {found}, and this sign-in expects it by {expected}: compare \
             `response_mode` with what the provider supports"
        )
    }
}

/// Why a `state` cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateFault {
    /// Not made by this gateway, or changed.
    #[error(
        "forged, or from before a restart without session.secret, or from another instance with another session.secret"
    )]
    Forged,
    /// Used before.
    #[error("used")]
    Used,
    /// Older than ten minutes.
    #[error("too old")]
    Old,
    /// The sign-in began in another browser.
    #[error("from another browser")]
    OtherBrowser,
    /// The provider is no longer configured.
    #[error("for a provider that is not configured")]
    UnknownProvider,
}

/// A sign-in that failed, with what is needed to try again.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct FailedSignIn {
    /// Why.
    pub error: Error,
    /// Where the browser goes after the sign-in; `/` if that is unknown.
    pub target: ReturnTo,
    /// The ID of the provider, if known.
    pub provider: Option<Arc<str>>,
    /// `Set-Cookie`, where cookies have to be cleared.
    pub cookies: Vec<HeaderValue>,
}

impl Login {
    /// Signs users in to and out of this relying party. `tasks` owns what continues after a response, such as
    /// a revocation.
    pub fn new(
        party: Arc<RelyingParty>,
        targets: AllowedTargets,
        states: Arc<States>,
        browsers: Browsers,
        settings: Settings,
        size_limit: Arc<SizeLimit>,
        tasks: TaskTracker,
    ) -> Self {
        Self { party, targets, states, browsers, settings, size_limit, tasks }
    }

    /// Where a browser may be sent back to.
    pub fn targets(&self) -> &AllowedTargets {
        &self.targets
    }

    /// Counts and logs a sign-in that failed.
    fn failed(&self, error: &Error, provider: Option<&Provider>, request: audit::RequestRef<'_>) {
        let outcome = error.outcome();
        if let Some(provider) = provider {
            provider.meter().signed_in(outcome);
        }
        let (provider, request_id) = (provider.map(|p| &**p.id()), request.request_id);
        match error {
            Error::Provider(error) => {
                log_failure(provider.unwrap_or_default(), error, request_id);
            }
            Error::UnknownProvider
            | Error::ChoiceNeeded
            | Error::Response(_)
            | Error::State(_)
            | Error::Cycle(_)
            | Error::ChangedHost(_)
            | Error::WrongMethod(_)
            | Error::WrongRedirectUri(_)
            | Error::Sessions(_)
            | Error::TooLarge(_) => tracing::info!(provider, %error, request_id, "sign-in failed"),
        }
        audit::sign_in_failed(provider, outcome.as_str(), request);
    }
}

/// Logs why a provider did not sign a user in. The request ID is on the page that the user sees.
fn log_failure(provider: &str, error: &providers::Error, request_id: &str) {
    tracing::warn!(provider, %error, request_id, "sign-in failed");
}
