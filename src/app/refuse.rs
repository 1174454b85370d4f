//! Any error -> the page that says so, and the line that tells the operator why.

use std::borrow::Cow;

use http::header::{ALLOW, SET_COOKIE};
use http::{HeaderValue, Response, StatusCode};

use crate::app::App;
use crate::body::Body;
use crate::error::{Error, Forbidden, denial_reason, sign_in_reason};
use crate::login::sign_in_options::{Prompt, SignInOptions};
use crate::login::{self, Failure};
use crate::pages::{self, Page, ResponseContext};
use crate::providers;
use crate::server::Answered;
use crate::telemetry::access_log::Outcome;
use crate::telemetry::metrics::Limit;
use crate::upstream;

impl App {
    /// Answers a request that does not get what it asked for.
    pub(super) fn refused(&self, error: &Error, asked: &ResponseContext<'_>) -> Answered {
        if let Some(limit) = limit(error) {
            self.metrics.limit_hit(limit, error);
        }
        let mut response = self.page(error, asked);
        let headers = response.headers_mut();
        if let Error::Method { allow } = error {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if let Error::NotSignedIn { cookies: Some(cookies), .. } = error {
            for cookie in cookies {
                headers.append(SET_COOKIE, cookie.clone());
            }
        }
        let forbidden =
            if let Error::Forbidden(forbidden) = error { Some(forbidden) } else { None };
        let outcome = Outcome {
            route: None,
            decision: Some(decision(error)),
            reason: Some(reason(error)),
            subject: forbidden.map(|forbidden| forbidden.identity.subject.clone()),
        };
        Answered::new(response, outcome)
    }

    fn page(&self, error: &Error, asked: &ResponseContext<'_>) -> Response<Body> {
        let public_url = self.party.site().public_url();
        let respond = |page: &Page<'_>| self.pages.respond(asked, error.status(), page);
        match error {
            Error::NotSignedIn { login_url, .. } => respond(&Page::SignInRequired { login_url }),
            Error::Forbidden(forbidden) => self.forbidden(forbidden, asked),
            Error::WrongHost => respond(&Page::WrongHost { public_url }),
            Error::SignInOnly => respond(&Page::SignInOnly { public_url }),
            Error::SignIn(failure) => self.sign_in_failed(failure, error, asked),
            Error::Malformed
            | Error::Path(_)
            | Error::Ambiguous { .. }
            | Error::NoRoute
            | Error::Method { .. }
            | Error::DeniedForEveryone { .. }
            | Error::ForeignOrigin
            | Error::NoAccessToken
            | Error::Upstream(_)
            | Error::SecondPath(_)
            | Error::SubrequestMode(_)
            | Error::Refused(_) => respond(&Page::Plain),
            // A fault of ours or a lack of room is one still, though it has the status of a denial.
            Error::ForAsker(error) if error.status().is_server_error() => {
                respond(&Page::Of(error.status()))
            }
            Error::ForAsker(_) => respond(&Page::Plain),
        }
    }

    fn forbidden(&self, forbidden: &Forbidden, asked: &ResponseContext<'_>) -> Response<Body> {
        let reasons: Vec<String> =
            forbidden.failed.iter().map(|key| denial_reason(*key).to_owned()).collect();
        // Absolute: a proxy that asks us about a host need not send us that host's own paths.
        let another =
            SignInOptions { prompt: Some(Prompt::SelectAccount), ..SignInOptions::default() };
        let other_account = self.party.site().own_url(&another.start(&forbidden.return_to));
        let sign_out = self.party.site().own_url("/sign_out");
        let page = Page::Forbidden(pages::Forbidden {
            identity: &forbidden.identity,
            provider: &forbidden.provider,
            reasons: &reasons,
            other_account: &other_account,
            sign_out: &sign_out,
        });
        self.pages.respond(asked, StatusCode::FORBIDDEN, &page)
    }

    fn sign_in_failed(
        &self,
        failure: &Failure,
        error: &Error,
        asked: &ResponseContext<'_>,
    ) -> Response<Body> {
        let (target, provider) = (failure.target.as_str(), failure.provider.as_deref());
        let known = provider.and_then(|id| self.party.providers().by_id(id));
        let prefixed = |path: String| self.party.site().own_path(&path);
        let try_again = prefixed(match known {
            Some(provider) => SignInOptions::at(Some(provider.id())).start(target),
            None => SignInOptions::default().sign_in(target),
        });
        let choice = (known.is_some() && self.endpoints.providers_for(&failure.target).count() > 1)
            .then(|| prefixed(SignInOptions::default().sign_in(target)));
        let (try_again, choice) = (try_again.as_str(), choice.as_deref());
        let reason = sign_in_reason(&failure.error);
        let failed = Page::SignInFailed { reason, try_again, choice };
        let page = match (known.map(|provider| provider.name()), &failure.error) {
            (Some(provider), login::Error::Provider(error)) => match error {
                providers::Error::Busy | providers::Error::Unavailable(_) => {
                    Page::ProviderTrouble { provider, try_again, choice }
                }
                providers::Error::Misconfigured(_) | providers::Error::Settings(_) => {
                    Page::ProviderMisconfigured { provider, try_again, choice }
                }
                providers::Error::TooManyFailures
                | providers::Error::Refused(_)
                | providers::Error::BadResponse(_)
                | providers::Error::Misbehaved(_)
                | providers::Error::Claims(_) => failed,
            },
            (Some(_) | None, _) => failed,
        };
        self.pages.respond(asked, error.status(), &page)
    }
}

/// The bound that a request met, if that is why it is refused.
fn limit(error: &Error) -> Option<Limit> {
    match error {
        Error::Upstream(upstream::Error::BodyTooLarge) => Some(Limit::RequestBody),
        Error::Upstream(upstream::Error::Full) => Some(Limit::UpstreamConnections),
        Error::Upstream(upstream::Error::FullForClient) => {
            Some(Limit::UpstreamConnectionsPerClient)
        }
        Error::Refused(StatusCode::URI_TOO_LONG) => Some(Limit::RequestTarget),
        Error::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => Some(Limit::RequestHead),
        Error::ForAsker(error) => limit(error),
        Error::SignIn(failure) => match &failure.error {
            login::Error::Provider(providers::Error::TooManyFailures) => {
                Some(Limit::SignInFailures)
            }
            login::Error::TooLarge(_) => Some(Limit::SessionBytes),
            login::Error::Provider(providers::Error::Busy) => Some(Limit::TokenRequests),
            login::Error::UnknownProvider
            | login::Error::ChoiceNeeded
            | login::Error::Response(_)
            | login::Error::State(_)
            | login::Error::WrongRedirectUri
            | login::Error::Provider(_) => None,
        },
        Error::Malformed
        | Error::Path(_)
        | Error::Ambiguous { .. }
        | Error::WrongHost
        | Error::SignInOnly
        | Error::NoRoute
        | Error::Method { .. }
        | Error::NotSignedIn { .. }
        | Error::DeniedForEveryone { .. }
        | Error::Forbidden(_)
        | Error::ForeignOrigin
        | Error::NoAccessToken
        | Error::Upstream(_)
        | Error::SecondPath(_)
        | Error::SubrequestMode(_)
        | Error::Refused(_) => None,
    }
}

/// What was decided, in one word, for the log.
fn decision(error: &Error) -> &'static str {
    match error {
        Error::NotSignedIn { .. } => "challenge",
        Error::DeniedForEveryone { .. }
        | Error::Forbidden(_)
        | Error::ForeignOrigin
        | Error::SecondPath(_) => "deny",
        Error::ForAsker(error) => decision(error),
        Error::SignIn(_) => "sign_in_failed",
        Error::Upstream(_) | Error::NoAccessToken => "unavailable",
        Error::Malformed
        | Error::Path(_)
        | Error::Ambiguous { .. }
        | Error::WrongHost
        | Error::SignInOnly
        | Error::NoRoute
        | Error::Method { .. }
        | Error::SubrequestMode(_)
        | Error::Refused(_) => "refuse",
    }
}

/// Why, for the log.
fn reason(error: &Error) -> Cow<'static, str> {
    let keys = |failed: &[crate::policy::rule::Key]| {
        failed.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(",")
    };
    match error {
        Error::DeniedForEveryone { failed } => keys(failed).into(),
        Error::Forbidden(forbidden) => keys(&forbidden.failed).into(),
        Error::ForAsker(error) => reason(error),
        Error::Malformed
        | Error::Path(_)
        | Error::Ambiguous { .. }
        | Error::WrongHost
        | Error::SignInOnly
        | Error::NoRoute
        | Error::Method { .. }
        | Error::NotSignedIn { .. }
        | Error::ForeignOrigin
        | Error::SignIn(_)
        | Error::NoAccessToken
        | Error::Upstream(_)
        | Error::SecondPath(_)
        | Error::SubrequestMode(_)
        | Error::Refused(_) => error.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::return_to::ReturnTo;

    #[track_caller]
    fn check(error: impl Into<Error>, expected: Option<Limit>) {
        let error = error.into();
        assert_eq!(limit(&error), expected, "{error}");
    }

    fn sign_in(error: impl Into<login::Error>) -> Error {
        let (error, target) = (error.into(), ReturnTo::root());
        Box::new(Failure { error, target, provider: None }).into()
    }

    #[test]
    fn a_refusal_by_a_limit_is_told_from_others() {
        check(Error::Refused(StatusCode::URI_TOO_LONG), Some(Limit::RequestTarget));
        let head = Error::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        check(head, Some(Limit::RequestHead));
        check(upstream::Error::BodyTooLarge, Some(Limit::RequestBody));
        check(upstream::Error::Full, Some(Limit::UpstreamConnections));
        let share = Some(Limit::UpstreamConnectionsPerClient);
        check(upstream::Error::FullForClient, share);
        check(sign_in(providers::Error::TooManyFailures), Some(Limit::SignInFailures));
        check(sign_in(providers::Error::Busy), Some(Limit::TokenRequests));
        check(sign_in(login::Error::UnknownProvider), None);
        check(Error::Refused(StatusCode::BAD_REQUEST), None);
        check(Error::NoRoute, None);
    }
}
