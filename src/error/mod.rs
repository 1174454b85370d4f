//! Every room's error -> the status, page, log and metric of its answer; the only HTTP mapping.
//! Invariant: a new variant needs one line more, in [`Error::report`].

mod reasons;
mod second_path;
mod subrequest;

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{ALLOW, SET_COOKIE};
use http::{HeaderName, HeaderValue, StatusCode};

pub use second_path::SecondPathFault;
pub use subrequest::SubrequestError;

use crate::identity::Identity;
use crate::login;
use crate::pages::{DenialReason, SignInReason};
use crate::policy::rule::Key;
use crate::routing::path::Malformed;
use crate::session::StoreUnavailable;
use crate::telemetry::access_log::LoggedDecision;
use crate::telemetry::audit::DeniedClaims;
use crate::telemetry::metrics::Limit;
use crate::upstream;

/// Why a request is not answered as it asks.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is malformed.
    #[error("the request is malformed")]
    Malformed,
    /// The path is malformed.
    #[error("the path has {0}")]
    Path(#[from] Malformed),
    /// An upstream could interpret the path in a way that has another route or decision.
    #[error("the path can be read as {interpretation:?} too, which has another answer")]
    Ambiguous {
        /// The path as such an upstream reads it.
        interpretation: String,
    },
    /// No route has this host.
    #[error("no route has this host")]
    WrongHost,
    /// The same at `public_url`: applications have other hosts.
    #[error("no route has the host of public_url")]
    SignInOnly,
    /// `server.redirect_http` got a request that is https already.
    #[error("a trusted proxy sends https requests to server.redirect_http")]
    RedirectLoop,
    /// No route has this path, or the route has no upstream.
    #[error("no route has this path")]
    NoRoute,
    /// A path of the gateway's own, with a method that it does not have.
    #[error("the method is not allowed here")]
    Method {
        /// The value of `Allow`.
        allow: &'static str,
    },
    /// The visitor is not signed in, and signing in may help.
    #[error("{}", NOT_SIGNED_IN)]
    NotSignedIn {
        /// Where to sign in.
        login_url: String,
        /// What the visitor would lose by leaving for it.
        at_stake: AtStake,
        /// `Set-Cookie`, where cookies have to be cleared.
        cookies: Option<Vec<HeaderValue>>,
    },
    /// The visitor is not signed in, and signing in would not help.
    #[error("the rules deny this request to everyone")]
    DeniedForEveryone {
        /// The keys that failed.
        failed: Vec<Key>,
    },
    /// The visitor is signed in, and the rules deny the request.
    #[error("the rules deny this request to this user")]
    Denied(Box<DeniedUser>),
    /// A page of another origin wants to open a WebSocket with the visitor's cookie.
    #[error("a WebSocket from a foreign origin")]
    ForeignOrigin,
    /// The sign-in failed.
    #[error("sign-in failed: {0}")]
    SignIn(#[from] Box<login::FailedSignIn>),
    /// The access token expired and cannot be refreshed at the moment.
    #[error("no access token, for the provider cannot be reached")]
    NoAccessToken,
    /// The application failed, or the way to it.
    #[error(transparent)]
    Upstream(#[from] upstream::Error),
    /// The request acts on a second path, which is not allowed.
    #[error(transparent)]
    SecondPath(#[from] SecondPathFault),
    /// The visitor's session cannot be looked up.
    #[error(transparent)]
    Sessions(#[from] StoreUnavailable),
    /// The form of an auth subrequest is wrong.
    #[error(transparent)]
    Subrequest(#[from] SubrequestError),
    /// Another of these errors, as the answer to an auth subrequest.
    #[error("{0}")]
    InSubrequest(Box<Self>),
    /// The server rejected the request with this status: it is over a limit, or it broke off.
    #[error("rejected with {0}")]
    Rejected(StatusCode),
}

/// What a visitor would lose by leaving the page that asks to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtStake {
    /// The content of a form.
    Form,
    /// Nothing.
    Nothing,
}

impl AtStake {
    fn page(self, login_url: &str) -> ErrorPage<'_> {
        match self {
            Self::Form => ErrorPage::SessionEnded { login_url },
            Self::Nothing => ErrorPage::SignInRequired { login_url },
        }
    }
}

/// A user whom the rules deny a request.
#[derive(Debug)]
pub struct DeniedUser {
    /// The user.
    pub identity: Identity,
    /// The provider's name, as on the sign-in page.
    pub provider: String,
    /// The keys that failed.
    pub failed: Vec<Key>,
    /// The key to name to the user; `None` if there are several ways to be allowed.
    pub decisive: Option<Key>,
    /// The claims because of which the rules may have denied the request.
    pub claims: DeniedClaims,
    /// Whether the user may have more groups than the provider sent.
    pub groups: GroupsReceived,
    /// The denied URL, as `rd` at `public_url`.
    pub return_to: String,
}

/// Which of a user's groups the provider sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupsReceived {
    /// All, as far as is known.
    All,
    /// Not all, or not in a form that can be used.
    InPart,
}

impl DeniedUser {
    /// What the page says.
    pub fn reason(&self) -> DenialReason {
        match (self.decisive, self.groups) {
            (Some(Key::Groups), GroupsReceived::InPart) => DenialReason::GroupsInPart,
            (Some(key), GroupsReceived::All | GroupsReceived::InPart) => reasons::of_key(key),
            (None, _) => DenialReason::Several,
        }
    }
}

/// All that an error says: to the client, in the log, and in the metrics.
#[derive(Debug)]
pub struct Report<'e> {
    /// The status of the answer.
    pub status: StatusCode,
    /// The page of the answer.
    pub page: ErrorPage<'e>,
    /// Header fields of the answer beyond those of its page.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// `decision` in the access log.
    pub decision: LoggedDecision,
    /// `reason` in the access log.
    pub reason: LoggedReason<'e>,
    /// The user, if the error is about one.
    pub subject: Option<&'e Arc<str>>,
    /// The claims because of which the rules may have denied the request.
    pub claims: Option<&'e DeniedClaims>,
    /// The limit to count, if the request is over one.
    pub limit: Option<Limit>,
}

/// Which page an error has, with what the error knows for it.
#[derive(Clone, Copy, Debug)]
pub enum ErrorPage<'e> {
    /// The general page of a status, which may differ from the answer's.
    Status(StatusCode),
    /// A link to sign in.
    SignInRequired {
        /// Where to sign in.
        login_url: &'e str,
    },
    /// The same, and how to send the form again.
    SessionEnded {
        /// Where to sign in.
        login_url: &'e str,
    },
    /// The user, and why the rules deny the request.
    Denied(&'e DeniedUser),
    /// There is no access from the visitor's network.
    DeniedNetwork,
    /// The provider cannot be reached.
    ProviderUnavailable,
    /// A link to `public_url`.
    WrongHost,
    /// The explanation that applications have other hosts.
    SignInOnly,
    /// The explanation that the redirect to https would lead back to it.
    RedirectLoop,
    /// Why a sign-in failed, and a link to try again.
    SignInFailed(&'e login::FailedSignIn, SignInReason),
}

/// `reason` in the access log.
#[derive(Clone, Copy, Debug)]
pub enum LoggedReason<'e> {
    /// The text of an error.
    Error(&'e Error),
    /// The keys that failed, separated by commas.
    Keys(&'e [Key]),
    /// This word.
    Word(&'static str),
}

impl LoggedReason<'_> {
    /// Its text.
    pub fn text(self) -> Cow<'static, str> {
        match self {
            // That of nearly all errors.
            Self::Error(Error::NotSignedIn { .. }) => NOT_SIGNED_IN.into(),
            Self::Error(error) => error.to_string().into(),
            Self::Keys(keys) => {
                keys.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(",").into()
            }
            Self::Word(word) => word.into(),
        }
    }
}

impl Error {
    /// All that this error says.
    pub fn report(&self) -> Report<'_> {
        let with = |status| Report {
            status,
            page: self.page(status),
            fields: Vec::new(),
            decision: LoggedDecision::Error,
            reason: LoggedReason::Error(self),
            subject: None,
            claims: None,
            limit: None,
        };
        let denied = |status| Report { decision: LoggedDecision::Deny, ..with(status) };
        let misdirected = |page| Report { page, ..with(StatusCode::MISDIRECTED_REQUEST) };
        match self {
            Self::Malformed | Self::Path(_) | Self::Ambiguous { .. } => {
                with(StatusCode::BAD_REQUEST)
            }
            Self::WrongHost => misdirected(ErrorPage::WrongHost),
            Self::SignInOnly => misdirected(ErrorPage::SignInOnly),
            // RFC 9110 §7.4: this listener has no answer for the scheme.
            Self::RedirectLoop => misdirected(ErrorPage::RedirectLoop),
            Self::NoRoute => with(StatusCode::NOT_FOUND),
            Self::Method { allow } => Report {
                fields: vec![(ALLOW, HeaderValue::from_static(allow))],
                ..with(StatusCode::METHOD_NOT_ALLOWED)
            },
            Self::NotSignedIn { login_url, at_stake, cookies } => Report {
                page: at_stake.page(login_url),
                fields: set_cookie(cookies.iter().flatten()),
                decision: LoggedDecision::SignIn,
                ..with(StatusCode::UNAUTHORIZED)
            },
            Self::DeniedForEveryone { failed } => {
                Report { reason: LoggedReason::Keys(failed), ..denied(StatusCode::FORBIDDEN) }
            }
            Self::Denied(user) => Report {
                page: ErrorPage::Denied(user),
                reason: LoggedReason::Keys(&user.failed),
                subject: Some(&user.identity.subject),
                claims: Some(&user.claims),
                ..denied(StatusCode::FORBIDDEN)
            },
            Self::ForeignOrigin => denied(StatusCode::FORBIDDEN),
            Self::SignIn(failure) => {
                let (status, limit, reason) = reasons::of_sign_in(&failure.error);
                let fields = fields_of_sign_in(failure);
                let page = ErrorPage::SignInFailed(failure, reason);
                Report { page, fields, limit, ..with(status) }
            }
            Self::NoAccessToken | Self::Sessions(_) => with(StatusCode::SERVICE_UNAVAILABLE),
            Self::Upstream(error) => {
                let (status, limit) = reasons::of_upstream(error);
                Report { limit, reason: self.reason(status), ..with(status) }
            }
            Self::SecondPath(fault) => denied(fault.status()),
            Self::Subrequest(_) => with(StatusCode::FORBIDDEN),
            Self::InSubrequest(error) => error.report().in_subrequest(),
            Self::Rejected(status) => {
                let limit = reasons::limit_of(*status);
                Report { limit, reason: self.reason(*status), ..with(*status) }
            }
        }
    }

    /// The reason in the access log, if only the status decides.
    fn reason(&self, status: StatusCode) -> LoggedReason<'_> {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => LoggedReason::Word("too_large"),
            _ => LoggedReason::Error(self),
        }
    }

    /// The page, if the error has nothing to say of its own to it.
    fn page(&self, status: StatusCode) -> ErrorPage<'_> {
        if matches!(self, Self::NoAccessToken) {
            ErrorPage::ProviderUnavailable
        } else if let Self::DeniedForEveryone { failed } = self
            && matches!(failed.as_slice(), [Key::ClientAddresses])
        {
            ErrorPage::DeniedNetwork
        } else {
            ErrorPage::Status(status)
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.report().status
    }

    /// The same error as the answer to an auth subrequest. Proxies understand 401 and 403, and take any other
    /// error for a fault of the gateway (nginx answers 500).
    #[must_use]
    pub fn in_subrequest(self) -> Self {
        match self.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self,
            _ => Self::InSubrequest(Box::new(self)),
        }
    }
}

impl Report<'_> {
    /// The same with the status of a denial. The page still says if the fault is the gateway's.
    fn in_subrequest(self) -> Self {
        let status = StatusCode::FORBIDDEN;
        let shown = if self.status.is_server_error() { self.status } else { status };
        let is_of_provider = matches!(self.page, ErrorPage::ProviderUnavailable);
        let page = if is_of_provider { self.page } else { ErrorPage::Status(shown) };
        Self { status, page, fields: Vec::new(), ..self }
    }
}

/// Header fields of a sign-in that failed.
fn fields_of_sign_in(failure: &login::FailedSignIn) -> Vec<(HeaderName, HeaderValue)> {
    let mut fields = set_cookie(&failure.cookies);
    if let login::Error::WrongMethod(method) = failure.error {
        fields.push((ALLOW, HeaderValue::from_static(method.expected.method())));
    }
    fields
}

/// Header fields that set these cookies.
fn set_cookie<'c>(
    cookies: impl IntoIterator<Item = &'c HeaderValue>,
) -> Vec<(HeaderName, HeaderValue)> {
    cookies.into_iter().map(|cookie| (SET_COOKIE, cookie.clone())).collect()
}

const NOT_SIGNED_IN: &str = "not signed in";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::FailedSignIn;
    use crate::login::return_to::ReturnTo;
    use crate::providers;

    #[track_caller]
    fn check(error: impl Into<Error>, expected: Option<Limit>) {
        let error = error.into();
        assert_eq!(error.report().limit, expected, "{error}");
        let wrapped = error.in_subrequest();
        assert_eq!(wrapped.report().limit, expected, "{wrapped}");
    }

    fn sign_in(error: impl Into<login::Error>) -> Error {
        let (error, target) = (error.into(), ReturnTo::root());
        Box::new(FailedSignIn { error, target, provider: None, cookies: Vec::new() }).into()
    }

    #[test]
    fn request_over_a_limit_is_counted_at_that_limit() {
        check(Error::Rejected(StatusCode::URI_TOO_LONG), Some(Limit::RequestTarget));
        let head = Error::Rejected(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        check(head, Some(Limit::RequestHead));
        check(upstream::Error::BodyTooLarge, Some(Limit::RequestBody));
        check(upstream::Error::Full, Some(Limit::UpstreamConnections));
        let share = Some(Limit::UpstreamConnectionsPerClient);
        check(upstream::Error::FullForClient, share);
        check(sign_in(providers::Error::TooManyFailures), Some(Limit::SignInFailures));
        check(sign_in(providers::Error::Busy), Some(Limit::TokenRequests));
        check(sign_in(login::Error::UnknownProvider), None);
        check(Error::Rejected(StatusCode::BAD_REQUEST), None);
        check(Error::NoRoute, None);
    }

    #[test]
    fn error_in_a_subrequest_is_a_403_that_keeps_decision_and_reason() {
        let full = Error::from(upstream::Error::Full).in_subrequest();
        let report = full.report();
        assert_eq!(report.status, StatusCode::FORBIDDEN);
        assert_eq!(report.decision, LoggedDecision::Error);
        assert_eq!(report.reason.text(), upstream::Error::Full.to_string());
        let page = report.page;
        assert!(matches!(page, ErrorPage::Status(StatusCode::SERVICE_UNAVAILABLE)), "{page:?}");
        let method = Error::Method { allow: "GET" }.in_subrequest();
        let report = method.report();
        assert!(matches!(report.page, ErrorPage::Status(StatusCode::FORBIDDEN)), "{report:?}");
        assert!(report.fields.is_empty(), "{report:?}");
        let login_url = String::from("https://wiki.example/oauth2/start");
        let not_signed_in =
            Error::NotSignedIn { login_url, at_stake: AtStake::Nothing, cookies: None }
                .in_subrequest();
        assert_eq!(not_signed_in.status(), StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn denial_by_network_and_outage_of_the_provider_have_their_own_pages() {
        let denied = |failed: &[Key]| Error::DeniedForEveryone { failed: failed.to_vec() };
        let network = denied(&[Key::ClientAddresses]);
        assert!(matches!(network.report().page, ErrorPage::DeniedNetwork));
        let method = denied(&[Key::Methods, Key::ClientAddresses]);
        assert!(matches!(method.report().page, ErrorPage::Status(StatusCode::FORBIDDEN)));
        for error in [Error::NoAccessToken, Error::NoAccessToken.in_subrequest()] {
            assert!(matches!(error.report().page, ErrorPage::ProviderUnavailable), "{error}");
        }
    }

    #[test]
    fn request_body_over_the_limit_is_logged_as_too_large() {
        let rejected = Error::Rejected(StatusCode::PAYLOAD_TOO_LARGE);
        for error in [Error::from(upstream::Error::BodyTooLarge), rejected] {
            let report = error.report();
            assert_eq!(report.status, StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(report.reason.text(), "too_large");
            assert_eq!(report.limit, Some(Limit::RequestBody));
        }
    }

    #[test]
    fn denial_is_logged_with_the_keys_that_failed() {
        let denied = Error::DeniedForEveryone { failed: vec![Key::Methods, Key::Paths] };
        let report = denied.report();
        assert_eq!(report.decision, LoggedDecision::Deny);
        assert_eq!(report.reason.text(), "methods,paths");
    }
}
