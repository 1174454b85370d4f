//! Errors of OpenID Connect, each with the rule of the standard that was violated.
//! Invariant: no variant has a token, and texts of the provider are short.

use http::StatusCode;

use crate::oauth::error::redirect_note;
use crate::{jose, oauth};

/// Why a provider could not be used, or a token was rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A request failed, or the provider sent an error response.
    #[error(transparent)]
    OAuth(#[from] oauth::error::Error),
    /// The configured issuer is not an issuer identifier (OIDC Discovery §2).
    #[error("the issuer {0}")]
    Issuer(&'static str),
    /// The document is of another issuer (OIDC Discovery §4.3).
    #[error(
        "discovery: `issuer` is {found:?}, not the configured issuer (Discovery §4.3){}",
        issuer_hint(found)
    )]
    OtherIssuer {
        /// Its `issuer`, shortened; empty if it has none.
        found: String,
    },
    /// The document is not at its URL.
    #[error("unexpected status {}{} at {url}{}", .status.as_u16(), redirect_note(status), well_known_hint(url, *status))]
    NoDocument {
        /// Its URL.
        url: String,
        /// The status of the response.
        status: StatusCode,
    },
    /// An endpoint is missing, or its URL is not safe for secrets.
    #[error("discovery: `{endpoint}` {fault} (Discovery §3)")]
    Endpoint {
        /// Its name in the document.
        endpoint: &'static str,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// There is no key to verify a signature with.
    #[error("the key set has no usable key")]
    NoKeys,
    /// The last request was too recent, and its result is gone.
    #[error("not requested again so soon after the last request")]
    TooSoon,
    /// A fetch was interrupted by a panic.
    #[error("the fetch was interrupted")]
    Interrupted,
    /// The token response has no ID token (OIDC Core §3.1.3.3).
    #[error("the token response has no ID token (Core §3.1.3.3)")]
    NoIdToken,
    /// The form or the signature of a token is wrong (OIDC Core §3.1.3.7, steps 1 and 6 to 8).
    #[error("signature: {0} (Core §3.1.3.7(6))")]
    Signature(jose::Error),
    /// The ID token violates a rule.
    #[error("ID token: {0}")]
    IdToken(Violation),
    /// The logout token violates a rule (OIDC Back-Channel Logout §2.6).
    #[error("logout token: {0}")]
    LogoutToken(Violation),
    /// Userinfo rejected the new access token (OIDC Core §5.3.3).
    #[error("userinfo rejected the access token (Core §5.3.3)")]
    UserinfoRejected,
    /// The `sub` of userinfo is absent or another one (OIDC Core §5.3.2).
    #[error("userinfo: `sub` differs from that of the ID token (Core §5.3.2)")]
    UserinfoSubject,
}

/// A violated rule of ID tokens or logout tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The token is of another kind.
    #[error("`typ` is that of another kind of token (RFC 8725 §3.11)")]
    Type,
    /// A required claim is absent, or a claim has the wrong type.
    #[error("`{0}` is absent or of the wrong type (Core §2)")]
    Claim(&'static str),
    /// `iss`.
    #[error("`iss` is not the issuer (Core §3.1.3.7(2))")]
    Issuer,
    /// `aud`.
    #[error("`aud` does not contain the client_id (Core §3.1.3.7(3))")]
    Audience,
    /// No `azp` although there are several audiences.
    #[error("several audiences and no `azp` (Core §3.1.3.7(4))")]
    NoAuthorizedParty,
    /// `azp`.
    #[error("`azp` is not the client_id (Core §3.1.3.7(5))")]
    AuthorizedParty,
    /// `exp`.
    #[error("`exp` has passed (Core §3.1.3.7(9))")]
    Expired,
    /// `iat`.
    #[error("`iat` is in the future (Core §3.1.3.7(10))")]
    IssuedInFuture,
    /// `nbf`.
    #[error("`nbf` is in the future (RFC 7519 §4.1.5)")]
    NotYet,
    /// `nonce`.
    #[error("`nonce` is not that of the authorization request (Core §3.1.3.7(11))")]
    Nonce,
    /// `auth_time`.
    #[error("`auth_time` is absent or older than the requested `max_age` (Core §3.1.3.7(13))")]
    AuthTime,
    /// `at_hash`.
    #[error("`at_hash` is that of another access token (Core §3.1.3.8)")]
    AccessTokenHash,
    /// A logout token without the logout event.
    #[error("`events` has no logout event (Back-Channel Logout §2.6(6))")]
    NoLogoutEvent,
    /// A logout token without `sub` and `sid`.
    #[error("neither `sub` nor `sid` (Back-Channel Logout §2.6(5))")]
    NoSubject,
    /// A logout token with a `nonce`, like an ID token.
    #[error("`nonce` in a logout token (Back-Channel Logout §2.6(7))")]
    UnwantedNonce,
    /// A refresh returned the ID token of another user.
    #[error("`sub` is not that of the sign-in (Core §12.2)")]
    OtherSubject,
    /// A refresh returned an ID token with other audiences.
    #[error("`aud` is not that of the sign-in (Core §12.2)")]
    OtherAudience,
    /// A refresh returned the ID token of another sign-in.
    #[error("`auth_time` is not that of the sign-in (Core §12.2)")]
    OtherAuthTime,
}

impl Error {
    /// Whether the tokens are wrong, and not only what was needed to verify them.
    pub fn is_about_tokens(&self) -> bool {
        match self {
            Self::NoIdToken
            | Self::Signature(_)
            | Self::IdToken(_)
            | Self::LogoutToken(_)
            | Self::UserinfoRejected
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

    /// Whether the same request may succeed later without any change.
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
            | Self::UserinfoRejected
            | Self::UserinfoSubject => false,
        }
    }
}

/// A hint for a document of another issuer, which usually differs by a slash.
fn issuer_hint(found: &str) -> String {
    match found {
        "" => String::new(),
        found => format!(": to use that provider, set `issuer: {found:?}`"),
    }
}

/// A hint for a missing document.
fn well_known_hint(url: &str, status: StatusCode) -> &'static str {
    if !status.is_server_error() && url.ends_with("/.well-known/openid-configuration") {
        ": `issuer` must be the part before /.well-known"
    } else {
        ""
    }
}
