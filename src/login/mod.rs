//! The authorization code flow from above: begin, complete, sign out.
//! Builds no HTML and sets no status.

pub mod begin;
pub mod complete;
pub mod pending;
pub mod relying_party;
pub mod return_to;
pub mod sign_in_options;
pub mod sign_out;
pub mod used_states;

use std::sync::Arc;

use http::HeaderValue;
use tokio_util::task::TaskTracker;

use crate::oauth;
use crate::providers::{self, Provider};
use crate::session::Settings;
use crate::session::size_limit::{SizeLimit, TooLarge};
use crate::telemetry::audit;
use crate::telemetry::metrics::{Label as _, SignIn};
use pending::States;
use relying_party::RelyingParty;
use return_to::{AllowedTargets, ReturnTo};

/// Signs visitors in and out.
#[derive(Debug)]
pub struct Login {
    party: Arc<RelyingParty>,
    /// Where a browser may be sent back to.
    targets: AllowedTargets,
    /// Seals and opens sign-ins under way.
    states: Arc<States>,
    /// How long sessions live and when they are refreshed.
    settings: Settings,
    size_limit: Arc<SizeLimit>,
    /// Owns what goes on after a response, such as a revocation.
    tasks: TaskTracker,
}

/// Where the browser goes, and the cookies it takes along.
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

/// Why nobody signs in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No provider has this ID.
    #[error("no provider has this ID")]
    UnknownProvider,
    /// There are several providers, and none was named.
    #[error("one of several providers must be chosen")]
    ChoiceNeeded,
    /// The callback is no authorization response.
    #[error(transparent)]
    Response(#[from] oauth::error::Error),
    /// The `state` is not one that this browser may use now.
    #[error("the state is {0}")]
    State(StateFault),
    /// The callback came at the path of another provider, or at none of its own.
    #[error("the callback came at a redirect_uri that is not this provider's")]
    WrongRedirectUri,
    /// The provider says no, cannot be reached, or gives an answer that is not good.
    #[error(transparent)]
    Provider(#[from] providers::Error),
    /// The account has more claims and tokens than one session may hold.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl Error {
    /// How a sign-in ended that ended so: the word for the log and the metrics.
    fn outcome(&self) -> SignIn {
        match self {
            Self::State(_) => SignIn::State,
            Self::UnknownProvider
            | Self::ChoiceNeeded
            | Self::Response(_)
            | Self::WrongRedirectUri
            | Self::Provider(providers::Error::BadResponse(_)) => SignIn::BadResponse,
            Self::Provider(providers::Error::Refused(_)) => SignIn::Refused,
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
            Self::TooLarge(_) => SignIn::TooLarge,
        }
    }
}

/// What is wrong with a `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateFault {
    /// Not made by us, or changed.
    #[error("forged, or from before a restart without session.secret")]
    Forged,
    /// Used before.
    #[error("used")]
    Used,
    /// Older than ten minutes.
    #[error("too old")]
    Old,
    /// Begun in another browser.
    #[error("another browser's")]
    OtherBrowser,
    /// Of a provider that is no longer here.
    #[error("of an unknown provider")]
    UnknownProvider,
}

/// A sign-in that failed, and how to try again.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Failure {
    /// Why.
    pub error: Error,
    /// Where the browser wanted to go; `/` where that is not known.
    pub target: ReturnTo,
    /// At which provider.
    pub provider: Option<Arc<str>>,
}

impl Login {
    /// Signs in to and out of this relying party. `tasks` owns what goes on after a response, such as a
    /// revocation.
    pub fn new(
        party: Arc<RelyingParty>,
        targets: AllowedTargets,
        states: Arc<States>,
        settings: Settings,
        size_limit: Arc<SizeLimit>,
        tasks: TaskTracker,
    ) -> Self {
        Self { party, targets, states, settings, size_limit, tasks }
    }

    /// Where a browser may be sent back to.
    pub fn targets(&self) -> &AllowedTargets {
        &self.targets
    }

    /// Counts and logs a sign-in that failed.
    fn failed(&self, error: &Error, provider: Option<&Provider>, asked: audit::RequestRef<'_>) {
        let outcome = error.outcome();
        if let Some(provider) = provider {
            provider.meter().signed_in(outcome);
        }
        audit::sign_in_failed(provider.map(|p| &**p.id()), outcome.as_str(), asked);
    }
}
