//! What a provider got wrong, by the rule that it broke.
//! Invariant: no variant carries a token; texts of the provider in them are short.

use http::StatusCode;

use crate::oauth::error::redirect_note;
use crate::{jose, oauth};

/// A failure on the way to knowing who somebody is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The exchange itself failed, or the provider refused.
    #[error(transparent)]
    OAuth(#[from] oauth::error::Error),
    /// The configured issuer is no issuer identifier (OIDC Discovery §2).
    #[error("the issuer {0}")]
    Issuer(&'static str),
    /// The document is another issuer's (OIDC Discovery §4.3).
    #[error(
        "discovery: `issuer` is {said:?} and not the configured one (Discovery §4.3){}",
        written(said)
    )]
    OtherIssuer {
        /// What it says, cut to a line; empty when it says none.
        said: String,
    },
    /// There is no document at its place.
    #[error("unexpected status {}{} at {url}{}", .status.as_u16(), redirect_note(status), well_known(url, *status))]
    NoDocument {
        /// What was asked for.
        url: String,
        /// What came.
        status: StatusCode,
    },
    /// An endpoint is missing, or not one that secrets may be sent to.
    #[error("discovery: `{endpoint}` {fault} (Discovery §3)")]
    Endpoint {
        /// Its name in the document.
        endpoint: &'static str,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// There is no key to check a signature with.
    #[error("the key set has no key that we can use")]
    NoKeys,
    /// The provider was asked a moment ago, in vain.
    #[error("asked a moment ago, in vain")]
    TooSoon,
    /// A fetch broke off inside the gateway.
    #[error("the fetch broke off")]
    Interrupted,
    /// The token response has no ID token (OIDC Core §3.1.3.3).
    #[error("the token response has no ID token (Core §3.1.3.3)")]
    NoIdToken,
    /// A token's form or signature (OIDC Core §3.1.3.7, steps 1 and 6 to 8).
    #[error("signature: {0} (Core §3.1.3.7(6))")]
    Signature(jose::Error),
    /// What the ID token says.
    #[error("ID token: {0}")]
    IdToken(Violation),
    /// What a logout token says (OIDC Back-Channel Logout §2.6).
    #[error("logout token: {0}")]
    LogoutToken(Violation),
    /// Userinfo refuses the access token that we have just been given (OIDC Core §5.3.3).
    #[error("userinfo refuses the access token (Core §5.3.3)")]
    UserinfoRefused,
    /// Userinfo speaks of somebody else, or of nobody (OIDC Core §5.3.2).
    #[error("userinfo: `sub` is not the ID token's (Core §5.3.2)")]
    UserinfoSubject,
}

/// A rule that an ID token, or a logout token, must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// It is a token of another kind.
    #[error("`typ` is another kind of token's (RFC 8725 §3.11)")]
    Type,
    /// A claim that must be there, or must be of some type, is not.
    #[error("`{0}` is absent or of the wrong type (Core §2)")]
    Claim(&'static str),
    /// `iss`.
    #[error("`iss` is not the issuer (Core §3.1.3.7(2))")]
    Issuer,
    /// `aud`.
    #[error("`aud` does not have our client_id (Core §3.1.3.7(3))")]
    Audience,
    /// No `azp` although there are several audiences.
    #[error("several audiences and no `azp` (Core §3.1.3.7(4))")]
    NoAuthorizedParty,
    /// `azp`.
    #[error("`azp` is not our client_id (Core §3.1.3.7(5))")]
    AuthorizedParty,
    /// `exp`.
    #[error("`exp` has passed (Core §3.1.3.7(9))")]
    Expired,
    /// `iat`.
    #[error("`iat` is in the future (Core §3.1.3.7(10))")]
    IssuedInFuture,
    /// `nbf`.
    #[error("`nbf` has not come (RFC 7519 §4.1.5)")]
    NotYet,
    /// `nonce`.
    #[error("`nonce` is not the one we sent (Core §3.1.3.7(11))")]
    Nonce,
    /// `auth_time`.
    #[error(
        "`auth_time` is absent or further back than the `max_age` asked for (Core §3.1.3.7(13))"
    )]
    AuthTime,
    /// `at_hash`.
    #[error("`at_hash` is another access token's (Core §3.1.3.8)")]
    AccessTokenHash,
    /// A logout token without its event.
    #[error("`events` has no logout (Back-Channel Logout §2.6(6))")]
    NoLogoutEvent,
    /// A logout token that names nobody.
    #[error("neither `sub` nor `sid` (Back-Channel Logout §2.6(5))")]
    Nobody,
    /// A logout token that could be an ID token.
    #[error("`nonce` in a logout token (Back-Channel Logout §2.6(7))")]
    UnwantedNonce,
    /// A refresh answered with another person.
    #[error("`sub` is not who signed in (Core §12.2)")]
    OtherSubject,
    /// A refresh answered with other audiences.
    #[error("`aud` is not that of the sign-in (Core §12.2)")]
    OtherAudience,
    /// A refresh answered with another sign-in.
    #[error("`auth_time` is not that of the sign-in (Core §12.2)")]
    OtherAuthTime,
}

impl Error {
    /// Whether the tokens themselves are wrong, and not only what was needed to check them.
    pub fn condemns_tokens(&self) -> bool {
        match self {
            Self::NoIdToken
            | Self::Signature(_)
            | Self::IdToken(_)
            | Self::LogoutToken(_)
            | Self::UserinfoRefused
            | Self::UserinfoSubject => true,
            Self::OAuth(_)
            | Self::Issuer(_)
            | Self::OtherIssuer { .. }
            | Self::NoDocument { .. }
            | Self::Endpoint { .. }
            | Self::NoKeys
            | Self::TooSoon
            | Self::Interrupted => false,
        }
    }

    /// Whether the same may succeed later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::OAuth(error) => error.is_temporary(),
            Self::NoDocument { status, .. } => oauth::error::Error::Status(*status).is_temporary(),
            Self::TooSoon | Self::Interrupted => true,
            Self::Issuer(_)
            | Self::OtherIssuer { .. }
            | Self::Endpoint { .. }
            | Self::NoKeys
            | Self::NoIdToken
            | Self::Signature(_)
            | Self::IdToken(_)
            | Self::LogoutToken(_)
            | Self::UserinfoRefused
            | Self::UserinfoSubject => false,
        }
    }
}

/// The remedy for a discovery of another issuer: mostly a slash too many or too few.
fn written(said: &str) -> String {
    match said {
        "" => String::new(),
        said => format!(": if that is the provider you mean, write `issuer: {said:?}`"),
    }
}

/// The remedy for a document that is not there.
fn well_known(url: &str, status: StatusCode) -> &'static str {
    if !status.is_server_error() && url.ends_with("/.well-known/openid-configuration") {
        ": `issuer` must be the part before /.well-known"
    } else {
        ""
    }
}
