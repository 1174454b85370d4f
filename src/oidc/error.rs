//! Errors of OpenID Connect, each with the rule of the standard that was violated.
//! Invariant: no variant has a token, and texts of the provider are short.

use std::fmt;

use http::StatusCode;

use crate::clock::UnixTime;
use crate::oauth::error::{ErrorResponse, redirect_note};
use crate::oidc::claimed::ClaimedHeader;
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
        issuer_hint(found, *hint)
    )]
    OtherIssuer {
        /// Its `issuer`, shortened; empty if it has none.
        found: String,
        /// What to do.
        hint: IssuerHint,
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
    #[error("signature: {error} (Core §3.1.3.7(6)){header}{}", signature_hint(*error))]
    Signature {
        /// What is wrong.
        error: jose::Error,
        /// What the token says about its signature.
        header: ClaimedHeader,
    },
    /// The ID token violates a rule.
    #[error("ID token: {0}")]
    IdToken(Violation),
    /// The access token violates a rule of those that claims are read from.
    #[error("access token: {0}")]
    AccessToken(Violation),
    /// The logout token violates a rule (OIDC Back-Channel Logout §2.6).
    #[error("logout token: {0}")]
    LogoutToken(Violation),
    /// Userinfo rejected the new access token (OIDC Core §5.3.3).
    #[error("userinfo rejected the access token (Core §5.3.3){}", answer(.0.as_ref()))]
    UserinfoRejected(Option<ErrorResponse>),
    /// Userinfo answered with an error that says nothing about the access token.
    #[error("userinfo: {0}")]
    UserinfoError(ErrorResponse),
    /// The answer of userinfo is not 200 with plain JSON, such as a signed JWT.
    #[error("userinfo: status {} with {media_type:?} in place of 200 with JSON", .status.as_u16())]
    UserinfoUnusable {
        /// The status.
        status: StatusCode,
        /// The media type, without parameters.
        media_type: String,
    },
    /// The `sub` of userinfo is absent or another one (OIDC Core §5.3.2).
    #[error("userinfo: `sub` is absent or differs from that of the ID token (Core §5.3.2)")]
    UserinfoSubject,
}

/// A violated rule of ID tokens or logout tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The token is of another kind.
    #[error("`typ` is that of another kind of token: {found:?} (RFC 8725 §3.11)")]
    Type {
        /// `typ`, shortened.
        found: String,
    },
    /// A required claim is absent.
    #[error("`{0}` is absent (Core §2)")]
    Absent(&'static str),
    /// A claim has the wrong type.
    #[error("`{claim}` is {found}, but must be {expected} (Core §2)")]
    WrongType {
        /// The claim.
        claim: &'static str,
        /// The type that it has.
        found: &'static str,
        /// The type that it must have.
        expected: &'static str,
    },
    /// `sub` identifies no user.
    #[error("`sub` is empty or longer than 255 bytes: it has {length} (Core §2)")]
    SubjectLength {
        /// Its bytes.
        length: usize,
    },
    /// `iss`.
    #[error(
        "`iss` is not the issuer: it is {found:?}, and `issuer` is {issuer:?} (Core §3.1.3.7(2))"
    )]
    Issuer {
        /// `iss`, shortened.
        found: String,
        /// The configured issuer.
        issuer: String,
    },
    /// `aud`.
    #[error(
        "`aud` does not contain the client_id: it is {found:?}, and `client_id` is {client_id:?} (Core §3.1.3.7(3))"
    )]
    Audience {
        /// `aud`, shortened.
        found: Vec<String>,
        /// The configured `client_id`.
        client_id: String,
    },
    /// No `azp` although there are several audiences.
    #[error("several audiences and no `azp`: `aud` is {audience:?} (Core §3.1.3.7(4))")]
    NoAuthorizedParty {
        /// `aud`, shortened.
        audience: Vec<String>,
    },
    /// `azp`.
    #[error(
        "`azp` is not the client_id: it is {found:?}, and `client_id` is {client_id:?} (Core §3.1.3.7(5))"
    )]
    AuthorizedParty {
        /// `azp`, shortened.
        found: String,
        /// The configured `client_id`.
        client_id: String,
    },
    /// `azp` or `client_id` of an access token.
    #[error("`{claim}` is not the client_id: it is {found:?}, and `client_id` is {client_id:?}")]
    OtherClient {
        /// The claim.
        claim: &'static str,
        /// Its value, shortened.
        found: String,
        /// The configured `client_id`.
        client_id: String,
    },
    /// `exp`.
    #[error("`exp` has passed: {0} (Core §3.1.3.7(9))")]
    Expired(Times),
    /// `iat`.
    #[error("`iat` is in the future: {0} (Core §3.1.3.7(10))")]
    IssuedInFuture(Times),
    /// `nbf`.
    #[error("`nbf` is in the future: {0} (RFC 7519 §4.1.5)")]
    NotYet(Times),
    /// `nonce`.
    #[error("`nonce` is not that of the authorization request (Core §3.1.3.7(11))")]
    Nonce,
    /// `auth_time`.
    #[error(
        "`auth_time` is absent or older than the requested `max_age`: it is {}, `max_age` is {max_age}, and this \
         machine's clock is at {now} (Core §3.1.3.7(13))",
        or_absent(*.found)
    )]
    AuthTime {
        /// `auth_time`.
        found: Option<UnixTime>,
        /// The requested `max_age`, in seconds.
        max_age: i64,
        /// The time of this machine.
        now: UnixTime,
    },
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
    /// A refresh returned the ID token of an earlier sign-in.
    #[error("`auth_time` is before that of the sign-in (Core §12.2)")]
    EarlierAuthTime,
}

impl Error {
    /// Whether the tokens are wrong, and not only what was needed to verify them.
    pub fn is_about_tokens(&self) -> bool {
        match self {
            Self::NoIdToken
            | Self::Signature { .. }
            | Self::IdToken(_)
            | Self::AccessToken(_)
            | Self::LogoutToken(_)
            | Self::UserinfoRejected(_)
            | Self::UserinfoSubject => true,
            Self::OAuth(_)
            | Self::Issuer(_)
            | Self::OtherIssuer { .. }
            | Self::NoDocument { .. }
            | Self::Endpoint { .. }
            | Self::NoKeys
            | Self::UserinfoError(_)
            | Self::UserinfoUnusable { .. }
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
            | Self::Signature { .. }
            | Self::IdToken(_)
            | Self::AccessToken(_)
            | Self::LogoutToken(_)
            | Self::UserinfoRejected(_)
            | Self::UserinfoError(_)
            | Self::UserinfoUnusable { .. }
            | Self::UserinfoSubject => false,
        }
    }
}

/// A time in a token, with the clocks of the provider and of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The time that violates a rule.
    pub claim: UnixTime,
    /// `iat`: the provider's clock when it issued the token.
    pub issued: Option<UnixTime>,
    /// This machine's clock.
    pub now: UnixTime,
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { claim, issued, now } = self;
        write!(f, "it is {claim}, and this machine's clock is at {now}")?;
        let Some(issued) = issued else { return Ok(()) };
        let difference = issued.0.abs_diff(now.0);
        write!(
            f,
            "; the provider's clock was at {issued} when it issued the token (`iat`), a difference of {difference} s"
        )?;
        if difference > LEEWAY.unsigned_abs() {
            f.write_str(": synchronize both clocks by NTP")?;
        }
        Ok(())
    }
}

/// Allowed difference of clocks, in seconds.
pub const LEEWAY: i64 = 60;

fn answer(response: Option<&ErrorResponse>) -> String {
    response.map_or_else(String::new, |response| format!(": {response}"))
}

fn or_absent(time: Option<UnixTime>) -> String {
    time.map_or_else(|| "absent".to_owned(), |time| time.to_string())
}

/// The setting of the provider that a rejected signature is about.
fn signature_hint(error: jose::Error) -> &'static str {
    match error {
        jose::Error::Algorithm => {
            "; at the provider, set this client's algorithm for ID tokens (`id_token_signed_response_alg`) to RS256 \
             or another asymmetric one"
        }
        jose::Error::Encrypted => {
            "; encrypted ID tokens are not supported: at the provider, turn off their encryption for this client \
             (`id_token_encrypted_response_alg`)"
        }
        jose::Error::TooLarge
        | jose::Error::NotCompact
        | jose::Error::Encoding
        | jose::Error::Header
        | jose::Error::Critical
        | jose::Error::UnknownKey
        | jose::Error::KeyMismatch
        | jose::Error::Signature
        | jose::Error::Payload
        | jose::Error::KeySet
        | jose::Error::SigningKey => "",
    }
}

/// What to do about a document of another issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerHint {
    /// Its issuer can be configured. Usually it differs by a slash.
    Found,
    /// Its issuer is at `internal_origin`.
    Internal,
    /// Its issuer is a template, such as that of Entra's `common`.
    Template,
    /// Its issuer cannot be configured.
    None,
}

impl IssuerHint {
    /// The advice about the issuer that was found, if there is one.
    pub fn advice(self, found: &str) -> Option<String> {
        match self {
            Self::None => None,
            Self::Found => Some(format!("to use that provider, set `issuer: {found:?}`")),
            Self::Internal => Some(
                "the provider answers with the address that it was asked at; set its public URL at the provider \
                 (Keycloak: `hostname`)"
                    .to_owned(),
            ),
            Self::Template => Some(
                "it is a template; in `issuer`, replace the placeholder by your value, such as the ID of your tenant"
                    .to_owned(),
            ),
        }
    }
}

fn issuer_hint(found: &str, hint: IssuerHint) -> String {
    hint.advice(found).map_or_else(String::new, |advice| format!(": {advice}"))
}

/// A hint for a missing document.
fn well_known_hint(url: &str, status: StatusCode) -> &'static str {
    if !status.is_server_error() && url.ends_with("/.well-known/openid-configuration") {
        ": `issuer` must be the part before /.well-known"
    } else {
        ""
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::secret::Secret;

    /// Checks that a token is valid, or that the message about it has a text in it.
    #[track_caller]
    pub(crate) fn check_violation<T>(
        result: Result<T, Violation>,
        expected: Result<(), &str>,
        what: impl fmt::Debug,
    ) {
        let found = result.map(drop).map_err(|violation| violation.to_string());
        let is_expected = match (&found, expected) {
            (Ok(()), Ok(())) => true,
            (Err(message), Err(part)) => message.contains(part),
            (Ok(()), Err(_)) | (Err(_), Ok(())) => false,
        };
        assert!(is_expected, "{what:?}: {found:?}, expected {expected:?}");
    }

    #[test]
    fn rejected_signature_is_named_with_the_setting_of_the_provider() {
        let message = |error, token: &str| {
            let header = ClaimedHeader::of(&Secret::new(token));
            Error::Signature { error, header }.to_string()
        };
        // {"alg":"HS256","kid":"k"} and {"alg":"RSA-OAEP","enc":"A128GCM"}
        let hmac = message(jose::Error::Algorithm, "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.e30.x");
        assert!(hmac.contains("`alg` is \"HS256\", `kid` is \"k\"; "), "{hmac}");
        assert!(hmac.contains("(`id_token_signed_response_alg`) to RS256"), "{hmac}");
        let encrypted = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkExMjhHQ00ifQ.a.b.c.d";
        let encrypted = message(jose::Error::Encrypted, encrypted);
        assert!(encrypted.starts_with("signature: the token is encrypted (Core"), "{encrypted}");
        assert!(encrypted.contains("turn off their encryption"), "{encrypted}");
        let other = message(jose::Error::NotCompact, "x");
        assert!(other.ends_with("in compact form (Core §3.1.3.7(6))"), "{other}");
    }
}
