//! What can go wrong between us and an authorization server.
//! Invariant: no variant carries a token, a code or a secret, and what the provider wrote is short
//! and printable; it is for the log, a page never shows it unescaped.
//! Source: RFC 6749 §4.1.2.1 and §5.2, OpenID Connect Core §3.1.2.6, RFC 6750 §3.1, RFC 7009 §2.2.1.

use std::fmt;

use http::StatusCode;

/// A failed exchange with an authorization server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The operator's `ca` or `proxy` cannot be used.
    #[error("{0}")]
    Settings(String),
    /// No connection: nothing was sent, so a request may be sent again.
    #[error("cannot reach {host}: {cause}")]
    Unreachable {
        /// Whom we tried to reach.
        host: String,
        /// What the network or TLS said.
        cause: String,
    },
    /// The request may have arrived, its answer did not.
    #[error("no complete answer from {host}: {cause}")]
    AnswerLost {
        /// Whom we asked.
        host: String,
        /// What the network said.
        cause: String,
    },
    /// The provider answers with more than anybody needs.
    #[error("{host} answers with more than {limit} bytes")]
    Oversized {
        /// Whom we asked.
        host: String,
        /// The cap, in bytes.
        limit: usize,
    },
    /// The provider answers with a status that its endpoint does not have.
    #[error("unexpected status {}{}", .0.as_u16(), redirect_note(.0))]
    Status(StatusCode),
    /// The provider answers with something that is not what its endpoint answers.
    #[error("unusable answer: {0}")]
    Garbage(&'static str),
    /// The provider says no, in the words of the standard.
    #[error("{0}")]
    Rejected(ErrorResponse),
    /// The authorization response is not one (RFC 6749 §4.1.2): the browser's or the provider's fault.
    #[error("malformed authorization response: {0}")]
    MalformedResponse(&'static str),
    /// Another issuer answered than was asked (RFC 9207 §2.4).
    #[error("authorization response: {0} (RFC 9207 §2.4)")]
    MixUp(&'static str),
    /// The provider takes none of the authentication methods that the client has.
    #[error("the token endpoint takes none of our authentication methods")]
    NoCommonAuthMethod,
    /// As many token requests as allowed are under way.
    #[error("too many token requests under way")]
    Busy,
    /// This client address sends codes that come to nothing, more often than it may.
    #[error("too many failed sign-ins from this address")]
    TooManyFailures,
    /// After repeated failures the provider is not asked for a few seconds.
    #[error("not asked, after repeated failures")]
    CircuitOpen,
}

impl Error {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::AnswerLost { .. }
            | Self::Oversized { .. }
            | Self::Garbage(_)
            | Self::Busy
            | Self::TooManyFailures
            | Self::CircuitOpen => true,
            Self::Status(status) => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Rejected(refusal) => match refusal.code {
                ErrorCode::ServerError | ErrorCode::TemporarilyUnavailable => true,
                ErrorCode::InvalidRequest
                | ErrorCode::InvalidClient
                | ErrorCode::InvalidGrant
                | ErrorCode::UnauthorizedClient
                | ErrorCode::UnsupportedGrantType
                | ErrorCode::UnsupportedResponseType
                | ErrorCode::UnsupportedTokenType
                | ErrorCode::InvalidScope
                | ErrorCode::InvalidToken
                | ErrorCode::AccessDenied
                | ErrorCode::LoginRequired
                | ErrorCode::InteractionRequired
                | ErrorCode::ConsentRequired
                | ErrorCode::AccountSelectionRequired
                | ErrorCode::Other(_) => false,
            },
            Self::Settings(_)
            | Self::MalformedResponse(_)
            | Self::MixUp(_)
            | Self::NoCommonAuthMethod => false,
        }
    }
}

/// An error response of an authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    /// `error`.
    pub code: ErrorCode,
    /// `error_description`, cut to what fits a line of the log; empty when there is none.
    pub description: String,
}

impl ErrorResponse {
    /// A refusal, from the texts as they came.
    pub fn new(code: &str, description: &str) -> Self {
        Self { code: ErrorCode::parse(code), description: printable(description, 200) }
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the provider refuses: {}", self.code)?;
        if !self.description.is_empty() {
            write!(f, " ({})", self.description)?;
        }
        Ok(())
    }
}

/// Declares `ErrorCode` once for parsing and printing, so that the two cannot disagree.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// A registered error code, or another one.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
            /// A code that is none of these, cut to what fits a line of the log.
            Other(String),
        }

        impl ErrorCode {
            /// Reads a code; there is none that cannot be read.
            pub fn parse(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    other => Self::Other(printable(other, 64)),
                }
            }

            /// The code as it is written.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }
        }
    };
}

error_codes! {
    /// The request lacks something or says it twice.
    InvalidRequest = "invalid_request",
    /// Client authentication failed: the operator's to mend.
    InvalidClient = "invalid_client",
    /// The code or refresh token is spent, revoked, or another client's.
    InvalidGrant = "invalid_grant",
    /// The client may not use this grant.
    UnauthorizedClient = "unauthorized_client",
    /// The server does not know this grant.
    UnsupportedGrantType = "unsupported_grant_type",
    /// The server gives no codes this way.
    UnsupportedResponseType = "unsupported_response_type",
    /// The server cannot revoke this kind of token (RFC 7009).
    UnsupportedTokenType = "unsupported_token_type",
    /// A scope is unknown or too much.
    InvalidScope = "invalid_scope",
    /// The access token is not valid (RFC 6750).
    InvalidToken = "invalid_token",
    /// The person or the server said no.
    AccessDenied = "access_denied",
    /// The server failed.
    ServerError = "server_error",
    /// The server is overloaded or in maintenance.
    TemporarilyUnavailable = "temporarily_unavailable",
    /// OpenID Connect: nobody is signed in and `prompt=none` was asked.
    LoginRequired = "login_required",
    /// OpenID Connect: some page must be shown.
    InteractionRequired = "interaction_required",
    /// OpenID Connect: consent must be asked.
    ConsentRequired = "consent_required",
    /// OpenID Connect: an account must be chosen.
    AccountSelectionRequired = "account_selection_required",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// At most `limit` characters of `text`, without those that could forge a line of the log.
fn printable(text: &str, limit: usize) -> String {
    // SECURITY: log forging, also by the separators and direction marks of Unicode.
    let harmless = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}')
    };
    text.chars().filter(harmless).take(limit).collect()
}

/// What keeps a redirect from being an answer.
pub(crate) fn redirect_note(status: &StatusCode) -> &'static str {
    if status.is_redirection() { ", and redirects are not followed" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_are_read_and_written_alike() {
        assert_eq!(ErrorCode::parse("invalid_grant"), ErrorCode::InvalidGrant);
        assert_eq!(ErrorCode::InvalidGrant.to_string(), "invalid_grant");
        assert_eq!(ErrorCode::parse("x"), ErrorCode::Other("x".into()));
    }

    #[test]
    fn a_description_cannot_forge_a_line_of_the_log() {
        let refusal =
            ErrorResponse::new("e\r\nf", &format!("a\n\u{2028}\u{1b}[31m{}", "b".repeat(5000)));
        assert_eq!(refusal.code.as_str(), "ef");
        assert_eq!(refusal.description.chars().count(), 200);
        assert!(refusal.description.starts_with("a[31mb"));
    }

    #[test]
    fn only_what_may_pass_by_itself_is_temporary() {
        let refused = |code| Error::Rejected(ErrorResponse::new(code, ""));
        let status = |code| Error::Status(StatusCode::from_u16(code).unwrap());
        for error in [status(500), status(503), status(429), Error::Busy, refused("server_error")] {
            assert!(error.is_temporary(), "{error}");
        }
        for error in [status(302), status(404), refused("invalid_grant"), refused("invalid_client")]
        {
            assert!(!error.is_temporary(), "{error}");
        }
    }
}
