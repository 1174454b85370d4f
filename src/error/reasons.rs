//! Errors of the rooms below -> status, limit and the reason that a page shows; one exhaustive match each.

use http::StatusCode;

use crate::login::redirect_cycle::{Deployment, RedirectCycle};
use crate::login::sign_in_rounds::LostSessions;
use crate::login::{self, StateFault};
use crate::oauth::error::ErrorCode;
use crate::pages::{DenialReason, SignInReason};
use crate::policy::rule::Key;
use crate::providers;
use crate::server::Stalled;
use crate::telemetry::metrics::Limit;
use crate::upstream;

/// Status, limit and reason of a sign-in that failed.
pub(super) fn of_sign_in(error: &login::Error) -> (StatusCode, Option<Limit>, SignInReason) {
    let bad_request = |reason| (StatusCode::BAD_REQUEST, None, reason);
    match error {
        login::Error::UnknownProvider => bad_request(SignInReason::UnknownProvider),
        login::Error::ChoiceNeeded => bad_request(SignInReason::ChoiceNeeded),
        login::Error::Response(_) => bad_request(SignInReason::IncompleteResponse),
        login::Error::State(StateFault::Old) => bad_request(SignInReason::Expired),
        login::Error::State(StateFault::Used) => bad_request(SignInReason::AlreadyUsed),
        login::Error::State(StateFault::OtherBrowser) => bad_request(SignInReason::OtherBrowser),
        login::Error::State(StateFault::Forged | StateFault::UnknownProvider) => {
            bad_request(SignInReason::NotStartedHere)
        }
        login::Error::Cycle(cycle) => bad_request(of_cycle(cycle)),
        login::Error::ChangedHost(_) => bad_request(SignInReason::ChangedHost),
        login::Error::WrongRedirectUri(_) => bad_request(SignInReason::WrongRedirectUri),
        login::Error::WrongMethod(_) => {
            (StatusCode::METHOD_NOT_ALLOWED, None, SignInReason::UnusableResponse)
        }
        login::Error::Provider(error) => of_provider(error),
        login::Error::Sessions(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, None, SignInReason::StoreUnavailable)
        }
        login::Error::TooLarge(_) => {
            (StatusCode::FORBIDDEN, Some(Limit::SessionBytes), SignInReason::AccountTooLarge)
        }
    }
}

/// What a page says of a cycle.
fn of_cycle(cycle: &RedirectCycle) -> SignInReason {
    match (&cycle.sessions, &cycle.deployment) {
        (LostSessions::Unusable(_), _) => SignInReason::CycleOfUnusableSessions,
        (LostSessions::NotReceived, Deployment::ReverseProxy) => SignInReason::Cycle,
        (LostSessions::NotReceived, Deployment::ForwardAuth { .. }) => {
            SignInReason::CycleWithForwardAuth
        }
        (LostSessions::AtSignInOnly, Deployment::ReverseProxy) => SignInReason::CycleAtPages,
        (LostSessions::AtSignInOnly, Deployment::ForwardAuth { .. }) => {
            SignInReason::CycleAtPagesWithForwardAuth
        }
    }
}

/// 503 for what passes by itself, 502 for a fault of the provider or the registration.
fn of_provider(error: &providers::Error) -> (StatusCode, Option<Limit>, SignInReason) {
    use SignInReason::{
        Cancelled, DeniedByProvider, ProviderMisconfigured, ProviderUnavailable, TooManyFailures,
        UnusableResponse,
    };
    let (unavailable, bad_gateway) = (StatusCode::SERVICE_UNAVAILABLE, StatusCode::BAD_GATEWAY);
    match error {
        providers::Error::Busy => (unavailable, Some(Limit::TokenRequests), ProviderUnavailable),
        providers::Error::Unavailable(_) => (unavailable, None, ProviderUnavailable),
        providers::Error::TooManyFailures => {
            (StatusCode::TOO_MANY_REQUESTS, Some(Limit::SignInFailures), TooManyFailures)
        }
        // An old tab sends a code again. Other codes are the provider's rules, or the user's choice.
        providers::Error::Refused(response) if response.code == ErrorCode::InvalidGrant => {
            (StatusCode::BAD_REQUEST, None, DeniedByProvider)
        }
        providers::Error::Refused(response) if response.code == ErrorCode::AccessDenied => {
            (StatusCode::FORBIDDEN, None, Cancelled)
        }
        providers::Error::Refused(_) | providers::Error::Outsider { .. } => {
            (StatusCode::FORBIDDEN, None, DeniedByProvider)
        }
        providers::Error::BadResponse(_) => (StatusCode::BAD_REQUEST, None, UnusableResponse),
        providers::Error::Misconfigured(_) | providers::Error::Settings(_) => {
            (bad_gateway, None, ProviderMisconfigured)
        }
        providers::Error::Misbehaved(_) | providers::Error::Claims(_) => {
            (bad_gateway, None, UnusableResponse)
        }
    }
}

/// Status and limit of an upstream's error.
pub(super) fn of_upstream(error: &upstream::Error) -> (StatusCode, Option<Limit>) {
    let (bad_gateway, unavailable) = (StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE);
    match error {
        upstream::Error::Settings(_)
        | upstream::Error::Unresolved { .. }
        | upstream::Error::Unreachable { .. }
        | upstream::Error::TlsFailed(_)
        | upstream::Error::Misbehaved(_)
        | upstream::Error::BrokeOff(_) => (bad_gateway, None),
        upstream::Error::TooSlow(_) => (StatusCode::GATEWAY_TIMEOUT, None),
        upstream::Error::Full => (unavailable, Some(Limit::UpstreamConnections)),
        upstream::Error::FullForClient => (unavailable, Some(Limit::UpstreamConnectionsPerClient)),
        upstream::Error::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Some(Limit::RequestBody)),
        upstream::Error::Client(error) if has_stalled(error) => (StatusCode::REQUEST_TIMEOUT, None),
        upstream::Error::Client(_) => (StatusCode::BAD_REQUEST, None),
    }
}

/// Whether a body broke off because its client sent nothing for too long.
fn has_stalled(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.into_iter().any(<dyn std::error::Error>::is::<Stalled>)
}

/// The limit of a status with which the server rejects a request.
pub(super) fn limit_of(status: StatusCode) -> Option<Limit> {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Some(Limit::RequestBody),
        StatusCode::URI_TOO_LONG => Some(Limit::RequestTarget),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Some(Limit::RequestHead),
        _ => None,
    }
}

/// What a page says of a key that failed.
pub(super) fn of_key(key: Key) -> DenialReason {
    match key {
        Key::Emails | Key::EmailsFile => DenialReason::Email,
        Key::EmailDomains => DenialReason::EmailDomain,
        Key::EmailUnverified => DenialReason::EmailUnverified,
        Key::Groups => DenialReason::Group,
        Key::Users => DenialReason::User,
        Key::Providers => DenialReason::Provider,
        Key::Claims => DenialReason::Claim,
        Key::Methods => DenialReason::Method,
        Key::Paths | Key::ExactPaths => DenialReason::Path,
        Key::ClientAddresses => DenialReason::ClientAddress,
    }
}
