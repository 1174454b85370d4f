//! Errors of requests to an authorization server.
//! Invariant: no variant has a token, a code or a secret. Texts of the provider are short and printable, for the
//! log; pages show them only escaped.
//! Source: RFC 6749 §4.1.2.1 and §5.2, OpenID Connect Core §3.1.2.6, RFC 6750 §3.1, RFC 7009 §2.2.1.

use std::fmt;

use http::StatusCode;

/// Why a request to an authorization server failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The operator's `ca` or `proxy` cannot be used.
    #[error("{0}")]
    Settings(String),
    /// No connection. Nothing was sent, so the request can be sent again.
    #[error("cannot reach {host}: {cause}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// The error of the network or of TLS.
        cause: String,
    },
    /// The request may have arrived, its response did not.
    #[error("no complete response from {host}: {cause}")]
    AnswerLost {
        /// Host and port.
        host: String,
        /// The error of the network.
        cause: String,
    },
    /// The response is too large.
    #[error("the response of {host} is larger than {limit} bytes")]
    Oversized {
        /// Host and port.
        host: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A status that the endpoint does not have.
    #[error("unexpected status {}{}", .0.as_u16(), redirect_note(.0))]
    Status(StatusCode),
    /// A response that is not in the format of the endpoint.
    #[error("unusable response: {0}")]
    Garbage(&'static str),
    /// An error response of the standard.
    #[error("{0}")]
    Rejected(ErrorResponse),
    /// An error response to the client's authentication: status 401 or `invalid_client` (RFC 6749 §5.2).
    #[error("client authentication failed: {0}")]
    Unauthenticated(ErrorResponse),
    /// A 200 with a JSON object that has no `access_token`, such as `{"ok": false}`.
    #[error("unusable response: no `access_token`")]
    NoAccessToken,
    /// The authorization response is malformed (RFC 6749 §4.1.2), by the browser or by the provider.
    #[error("malformed authorization response: {0}")]
    MalformedResponse(&'static str),
    /// The authorization response is from another issuer (RFC 9207 §2.4).
    #[error("authorization response: {0} (RFC 9207 §2.4)")]
    MixUp(OtherIssuer),
    /// The provider supports no client authentication method that the credentials allow.
    #[error(
        "the token endpoint supports no client authentication method that the configured credentials allow"
    )]
    NoCommonAuthMethod,
    /// The client cannot authenticate now, so no request was sent.
    #[error("cannot authenticate this client: {0}")]
    ClientAssertion(String),
    /// The limit of concurrent token requests is reached.
    #[error("too many token requests at the same time")]
    Busy,
    /// This client address has too many failed code exchanges.
    #[error("too many failed sign-ins from this address")]
    TooManyFailures,
    /// After repeated failures no request is sent for a few seconds.
    #[error("no request sent: the circuit breaker is open after repeated failures")]
    CircuitOpen,
}

impl Error {
    /// Whether the same request may succeed later without any change.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::AnswerLost { .. }
            | Self::Oversized { .. }
            | Self::Garbage(_)
            | Self::ClientAssertion(_)
            | Self::Busy
            | Self::TooManyFailures
            | Self::CircuitOpen => true,
            Self::Status(status) => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Rejected(response) => match response.code {
                ErrorCode::ServerError
                | ErrorCode::TemporarilyUnavailable
                | ErrorCode::SlowDown => true,
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
            | Self::Unauthenticated(_)
            | Self::NoAccessToken
            | Self::MalformedResponse(_)
            | Self::MixUp(_)
            | Self::NoCommonAuthMethod => false,
        }
    }
}

/// The `iss` of an authorization response, and the issuer that it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherIssuer {
    found: Option<String>,
    issuer: String,
}

impl OtherIssuer {
    /// `found` is `iss`, or `None` where the provider announces one and sends none.
    pub fn new(found: Option<&str>, issuer: &str) -> Self {
        let found = found.map(|found| printable(found, 200));
        Self { found, issuer: issuer.to_owned() }
    }
}

impl fmt::Display for OtherIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, issuer } = self;
        match found {
            Some(found) => {
                write!(f, "`iss` is not the issuer: it is {found:?}, and `issuer` is {issuer:?}")
            }
            None => {
                write!(f, "no `iss`, although the provider announces it; `issuer` is {issuer:?}")
            }
        }
    }
}

/// An error response of an authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    /// `error`.
    pub code: ErrorCode,
    /// `error_description`, shortened for the log; empty if there is none.
    pub description: String,
}

impl ErrorResponse {
    /// An error response with these members.
    pub fn new(code: &str, description: &str) -> Self {
        Self { code: ErrorCode::parse(code), description: printable(description, 200) }
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the provider answered {}", self.code)?;
        if !self.description.is_empty() {
            write!(f, " ({})", self.description)?;
        }
        Ok(())
    }
}

/// Declares `ErrorCode` once for parsing and printing, so that both agree.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// A registered error code, or another code.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
            /// Another code, shortened for the log.
            Other(String),
        }

        impl ErrorCode {
            /// Parses any code.
            pub fn parse(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    other => Self::Other(printable(other, 64)),
                }
            }

            /// The code in its standard spelling.
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
    /// A parameter is missing or repeated.
    InvalidRequest = "invalid_request",
    /// Client authentication failed: the configuration is wrong.
    InvalidClient = "invalid_client",
    /// The code or refresh token is used, revoked, or belongs to another client.
    InvalidGrant = "invalid_grant",
    /// The client is not allowed to use this grant.
    UnauthorizedClient = "unauthorized_client",
    /// The server does not know this grant.
    UnsupportedGrantType = "unsupported_grant_type",
    /// The server does not support this response type.
    UnsupportedResponseType = "unsupported_response_type",
    /// The server cannot revoke this kind of token (RFC 7009).
    UnsupportedTokenType = "unsupported_token_type",
    /// A scope is unknown or not allowed.
    InvalidScope = "invalid_scope",
    /// The access token is not valid (RFC 6750).
    InvalidToken = "invalid_token",
    /// The user or the server denied the request.
    AccessDenied = "access_denied",
    /// The server failed.
    ServerError = "server_error",
    /// The server is overloaded or in maintenance.
    TemporarilyUnavailable = "temporarily_unavailable",
    /// The client must send fewer requests (RFC 8628 §3.5).
    SlowDown = "slow_down",
    /// OpenID Connect: the user is not signed in, and the request had `prompt=none`.
    LoginRequired = "login_required",
    /// OpenID Connect: the user must interact with the provider.
    InteractionRequired = "interaction_required",
    /// OpenID Connect: the user must consent.
    ConsentRequired = "consent_required",
    /// OpenID Connect: the user must choose an account.
    AccountSelectionRequired = "account_selection_required",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// At most `limit` characters of `text`, without those that could forge a log line.
fn printable(text: &str, limit: usize) -> String {
    // SECURITY: log forging, also with the separators and direction marks of Unicode.
    let harmless = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}')
    };
    text.chars().filter(harmless).take(limit).collect()
}

/// An explanation for a status that is a redirect.
pub(crate) fn redirect_note(status: &StatusCode) -> &'static str {
    if status.is_redirection() { ", and redirects are not followed" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_code_is_parsed_and_printed_alike() {
        assert_eq!(ErrorCode::parse("invalid_grant"), ErrorCode::InvalidGrant);
        assert_eq!(ErrorCode::InvalidGrant.to_string(), "invalid_grant");
        assert_eq!(ErrorCode::parse("x"), ErrorCode::Other("x".into()));
    }

    #[test]
    fn description_cannot_forge_log_line() {
        let response =
            ErrorResponse::new("e\r\nf", &format!("a\n\u{2028}\u{1b}[31m{}", "b".repeat(5000)));
        assert_eq!(response.code.as_str(), "ef");
        assert_eq!(response.description.chars().count(), 200);
        assert!(response.description.starts_with("a[31mb"));
    }

    #[test]
    fn error_that_may_end_by_itself_is_temporary() {
        let rejected = |code| Error::Rejected(ErrorResponse::new(code, ""));
        let status = |code| Error::Status(StatusCode::from_u16(code).unwrap());
        for error in [status(500), status(503), status(429), Error::Busy, rejected("server_error")]
        {
            assert!(error.is_temporary(), "{error}");
        }
        for error in
            [status(302), status(404), rejected("invalid_grant"), rejected("invalid_client")]
        {
            assert!(!error.is_temporary(), "{error}");
        }
    }
}
