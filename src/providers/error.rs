//! Why a sign-in or a refresh did not work, by who can mend it.

use crate::identity::claims;
use crate::oauth::error::{Error as OAuthError, ErrorCode, ErrorResponse};
use crate::oidc::error::Error as OidcError;

/// A failed sign-in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// As many token requests as allowed are under way, and waiting brought no turn: try again.
    #[error("too many token requests under way")]
    Busy,
    /// This client address sends codes that come to nothing, more often than it may.
    #[error("too many failed sign-ins from this address")]
    TooManyFailures,
    /// The provider cannot be reached, or fails: try again later.
    #[error("the provider is unavailable: {0}")]
    Unavailable(OidcError),
    /// The provider said no to this person, or to this code: the person's to mend.
    #[error("{0}")]
    Refused(ErrorResponse),
    /// The browser brought what no provider sent, or another one did.
    #[error("{0}")]
    BadResponse(OidcError),
    /// The provider does not accept this client: the operator's to mend.
    #[error(
        "{0}: check `client_id`, `client_secret`, `token_endpoint_auth_method`, and the registration"
    )]
    Misconfigured(OidcError),
    /// The provider broke a rule of the standard.
    #[error("the provider misbehaved: {0}")]
    Misbehaved(OidcError),
    /// The settings cannot be used at all.
    #[error("{0}")]
    Settings(OidcError),
    /// The claims, though verified, tell of nobody.
    #[error("{0}")]
    Claims(#[from] claims::Error),
}

/// An exchange whose task crashed.
impl From<tokio::task::JoinError> for Error {
    fn from(_: tokio::task::JoinError) -> Self {
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
            | OidcError::Signature(_)
            | OidcError::IdToken(_)
            | OidcError::LogoutToken(_)
            | OidcError::UserinfoRejected
            | OidcError::UserinfoSubject => Self::Misbehaved(error),
        }
    }
}

impl From<OAuthError> for Error {
    fn from(error: OAuthError) -> Self {
        match error {
            OAuthError::Busy => Self::Busy,
            OAuthError::TooManyFailures => Self::TooManyFailures,
            OAuthError::Rejected(refusal) => Self::from(refusal),
            OAuthError::Settings(_) => Self::Settings(error.into()),
            OAuthError::NoCommonAuthMethod => Self::Misconfigured(error.into()),
            OAuthError::MalformedResponse(_) | OAuthError::MixUp(_) => {
                Self::BadResponse(error.into())
            }
            OAuthError::Status(_) if !error.is_temporary() => Self::Misbehaved(error.into()),
            OAuthError::Garbage(_) => Self::Misbehaved(error.into()),
            OAuthError::Unreachable { .. }
            | OAuthError::AnswerLost { .. }
            | OAuthError::Oversized { .. }
            | OAuthError::Status(_)
            | OAuthError::CircuitOpen => Self::Unavailable(error.into()),
        }
    }
}

impl From<ErrorResponse> for Error {
    fn from(refusal: ErrorResponse) -> Self {
        let whole = |refusal| OidcError::OAuth(OAuthError::Rejected(refusal));
        match refusal.code {
            ErrorCode::ServerError | ErrorCode::TemporarilyUnavailable => {
                Self::Unavailable(whole(refusal))
            }
            ErrorCode::InvalidClient
            | ErrorCode::UnauthorizedClient
            | ErrorCode::UnsupportedGrantType
            | ErrorCode::UnsupportedResponseType
            | ErrorCode::InvalidScope
            | ErrorCode::InvalidRequest => Self::Misconfigured(whole(refusal)),
            ErrorCode::InvalidGrant
            | ErrorCode::UnsupportedTokenType
            | ErrorCode::InvalidToken
            | ErrorCode::AccessDenied
            | ErrorCode::LoginRequired
            | ErrorCode::InteractionRequired
            | ErrorCode::ConsentRequired
            | ErrorCode::AccountSelectionRequired
            | ErrorCode::Other(_) => Self::Refused(refusal),
        }
    }
}

/// A failed refresh, by what it means for the session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshError {
    /// The provider ended the grant (`invalid_grant`): the session ends.
    #[error("the provider ended the grant: {0}")]
    Ended(ErrorResponse),
    /// The answer is wrongly signed, somebody else's, or refused at userinfo: the session ends.
    #[error("the refreshed tokens cannot be trusted: {0}")]
    Untrusted(Error),
    /// Anything else, the operator's faults too: nobody is signed out by it, and it is tried again.
    #[error("{0}")]
    Temporary(Error),
}

impl RefreshError {
    /// What a failure of the token endpoint means for the session.
    pub(super) fn of(error: OAuthError) -> Self {
        if let OAuthError::Rejected(refusal) = &error
            && refusal.code == ErrorCode::InvalidGrant
        {
            return Self::Ended(refusal.clone());
        }
        Self::Temporary(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_ran_out_signs_nobody_out() {
        let refused = |code| RefreshError::of(OAuthError::Rejected(ErrorResponse::new(code, "")));
        assert!(matches!(refused("invalid_grant"), RefreshError::Ended(_)));
        for code in ["invalid_client", "unauthorized_client", "access_denied", "what"] {
            assert!(matches!(refused(code), RefreshError::Temporary(_)), "{code}");
        }
        let lost = RefreshError::of(OAuthError::Garbage("x"));
        assert!(matches!(lost, RefreshError::Temporary(_)));
    }

    #[test]
    fn the_operators_faults_come_with_a_remedy() {
        let error = Error::from(ErrorResponse::new("invalid_client", "no"));
        assert!(error.to_string().contains("check `client_id`"), "{error}");
    }
}
