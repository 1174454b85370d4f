//! Why a sign-in or a refresh failed, by who can fix it.

use crate::identity::claims;
use crate::oauth::error::{Error as OAuthError, ErrorCode, ErrorResponse};
use crate::oidc::error::Error as OidcError;

/// A failed sign-in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The limit of concurrent token requests is reached, even after waiting: try again.
    #[error("too many concurrent token requests")]
    Busy,
    /// The rate limit for failed codes from this client address is reached.
    #[error("too many failed sign-ins from this address")]
    TooManyFailures,
    /// The provider cannot be reached, or fails: try again later.
    #[error("the provider is unavailable: {0}")]
    Unavailable(OidcError),
    /// The provider rejected this user or this code. The user can fix it.
    #[error("{0}")]
    Refused(ErrorResponse),
    /// The callback is not a response of this provider.
    #[error("{0}")]
    BadResponse(OidcError),
    /// The provider does not accept this client. The operator can fix it.
    #[error("{error}: {advice}", error = .0, advice = advice_for(.0))]
    Misconfigured(OidcError),
    /// The provider violates the standard.
    #[error("the provider misbehaved: {0}")]
    Misbehaved(OidcError),
    /// The provider's settings are invalid.
    #[error("{0}")]
    Settings(OidcError),
    /// The user does not belong to those that an option of the provider names.
    #[error("the user has another `{claim}` than `{option}` says, or none")]
    Outsider {
        /// The claim.
        claim: &'static str,
        /// The option.
        option: &'static str,
    },
    /// The claims are verified, but identify no user.
    #[error("{0}")]
    Claims(#[from] claims::Error),
}

impl Error {
    /// Whether the provider asks for another try (`temporarily_unavailable`).
    pub fn is_temporarily_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(OidcError::OAuth(OAuthError::Rejected(error)))
                if error.code == ErrorCode::TemporarilyUnavailable
        )
    }
}

/// The task of an exchange panicked.
impl From<tokio::sync::oneshot::error::RecvError> for Error {
    fn from(_: tokio::sync::oneshot::error::RecvError) -> Self {
        Self::Unavailable(OidcError::Interrupted)
    }
}

impl From<OidcError> for Error {
    fn from(error: OidcError) -> Self {
        match error {
            OidcError::OAuth(error) => error.into(),
            OidcError::Issuer(_) => Self::Settings(error),
            OidcError::TooSoon | OidcError::Interrupted => Self::Unavailable(error),
            OidcError::NoDocument { .. } if error.is_temporary() => Self::Unavailable(error),
            OidcError::OtherIssuer { .. }
            | OidcError::NoDocument { .. }
            | OidcError::Endpoint { .. }
            | OidcError::NoKeys
            | OidcError::NoIdToken
            | OidcError::Signature { .. }
            | OidcError::IdToken(_)
            | OidcError::AccessToken(_)
            | OidcError::LogoutToken(_)
            | OidcError::UserinfoRejected(_)
            | OidcError::UserinfoError(_)
            | OidcError::UserinfoUnusable { .. }
            | OidcError::UserinfoSubject => Self::Misbehaved(error),
        }
    }
}

impl From<OAuthError> for Error {
    fn from(error: OAuthError) -> Self {
        match error {
            OAuthError::Busy => Self::Busy,
            OAuthError::TooManyFailures => Self::TooManyFailures,
            OAuthError::Rejected(error) => Self::from(error),
            OAuthError::Settings(_) => Self::Settings(error.into()),
            OAuthError::Unauthenticated(_) | OAuthError::NoCommonAuthMethod => {
                Self::Misconfigured(error.into())
            }
            OAuthError::MalformedResponse(_) | OAuthError::MixUp(_) => {
                Self::BadResponse(error.into())
            }
            OAuthError::Status(_) if !error.is_temporary() => Self::Misbehaved(error.into()),
            OAuthError::Garbage(_) | OAuthError::NoAccessToken => Self::Misbehaved(error.into()),
            OAuthError::Unreachable { .. }
            | OAuthError::AnswerLost { .. }
            | OAuthError::Oversized { .. }
            | OAuthError::Status(_)
            | OAuthError::ClientAssertion(_)
            | OAuthError::CircuitOpen => Self::Unavailable(error.into()),
        }
    }
}

impl From<ErrorResponse> for Error {
    fn from(error: ErrorResponse) -> Self {
        let whole = |error| OidcError::OAuth(OAuthError::Rejected(error));
        match error.code {
            ErrorCode::ServerError | ErrorCode::TemporarilyUnavailable | ErrorCode::SlowDown => {
                Self::Unavailable(whole(error))
            }
            ErrorCode::InvalidClient
            | ErrorCode::UnauthorizedClient
            | ErrorCode::UnsupportedGrantType
            | ErrorCode::UnsupportedResponseType
            | ErrorCode::InvalidScope
            | ErrorCode::InvalidRequest => Self::Misconfigured(whole(error)),
            ErrorCode::InvalidGrant
            | ErrorCode::UnsupportedTokenType
            | ErrorCode::InvalidToken
            | ErrorCode::AccessDenied
            | ErrorCode::LoginRequired
            | ErrorCode::InteractionRequired
            | ErrorCode::ConsentRequired
            | ErrorCode::AccountSelectionRequired
            | ErrorCode::Other(_) => Self::Refused(error),
        }
    }
}

/// What the operator can do about a client that the provider does not accept.
fn advice_for(error: &OidcError) -> &'static str {
    if let OidcError::OAuth(OAuthError::Rejected(response)) = error {
        advice(&response.code)
    } else {
        CREDENTIALS
    }
}

const CREDENTIALS: &str = "check `client_id`, `client_secret` or the other credentials, `token_endpoint_auth_method`, and the registration";

/// What the operator should do about an error response with this code.
pub(super) fn advice(code: &ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidScope => {
            "check `scopes`: the provider does not have one of them, or does not allow it to this client"
        }
        ErrorCode::UnauthorizedClient
        | ErrorCode::UnsupportedGrantType
        | ErrorCode::UnsupportedResponseType => {
            "allow the authorization code flow for this client at the provider"
        }
        ErrorCode::InvalidRequest => {
            "check `authorization_parameters`, and the redirect URI and PKCE in the registration"
        }
        ErrorCode::InvalidClient
        | ErrorCode::InvalidGrant
        | ErrorCode::UnsupportedTokenType
        | ErrorCode::InvalidToken => CREDENTIALS,
        // Also codes of extensions: `invalid_target`, `request_not_supported`, `unmet_authentication_requirements`.
        ErrorCode::AccessDenied
        | ErrorCode::ServerError
        | ErrorCode::TemporarilyUnavailable
        | ErrorCode::SlowDown
        | ErrorCode::LoginRequired
        | ErrorCode::InteractionRequired
        | ErrorCode::ConsentRequired
        | ErrorCode::AccountSelectionRequired
        | ErrorCode::Other(_) => {
            "check `authorization_parameters`, `scopes`, and the registration of this client at the provider"
        }
    }
}

/// A failed refresh, by what it means for the session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// The provider rejects the request for new tokens for this session: the session ends.
    #[error("the provider refused the refresh: {0}")]
    Ended(OAuthError),
    /// The answer is not signed correctly, is for another user, or is rejected by userinfo: the session ends.
    #[error("the refreshed tokens cannot be trusted: {0}")]
    Untrusted(Error),
    /// Any other failure, including a wrong configuration: the session continues, and the refresh is tried again.
    #[error("{0}")]
    Temporary(Error),
}

impl RefreshError {
    /// The meaning of a failure of the token endpoint. Rejected client authentication is no answer about
    /// the session: a changed secret must not sign everyone out.
    pub(super) fn of(error: OAuthError) -> Self {
        let is_answer = matches!(error, OAuthError::Rejected(_) | OAuthError::NoAccessToken);
        if is_answer && !error.is_temporary() {
            Self::Ended(error)
        } else {
            Self::Temporary(error.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_refresh_ends_the_session_and_an_outage_does_not() {
        let of = |error| matches!(RefreshError::of(error), RefreshError::Ended(_));
        let rejected = |code| OAuthError::Rejected(ErrorResponse::new(code, ""));
        for code in [
            "invalid_grant",
            "interaction_required",
            "login_required",
            "consent_required",
            "access_denied",
            "invalid_request",
            "invalid_scope",
            "unauthorized_client",
            "what",
        ] {
            assert!(of(rejected(code)), "{code}");
        }
        assert!(of(OAuthError::NoAccessToken));
        for code in ["server_error", "temporarily_unavailable", "slow_down"] {
            assert!(!of(rejected(code)), "{code}");
        }
        for code in ["invalid_client", "unauthorized_client", "invalid_grant"] {
            assert!(!of(OAuthError::Unauthenticated(ErrorResponse::new(code, ""))), "{code}");
        }
        assert!(!of(OAuthError::Garbage("x")) && !of(OAuthError::NoCommonAuthMethod));
    }

    #[test]
    fn misconfiguration_is_reported_with_a_remedy() {
        for (code, remedy) in [
            ("invalid_client", "check `client_id`, `client_secret`"),
            ("unauthorized_client", "allow the authorization code flow"),
            ("unsupported_response_type", "allow the authorization code flow"),
            ("invalid_scope", "check `scopes`"),
            ("invalid_request", "check `authorization_parameters`"),
        ] {
            let error = Error::from(ErrorResponse::new(code, "why")).to_string();
            let expected = format!("the provider answered {code} (why): {remedy}");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
