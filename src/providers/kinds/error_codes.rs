//! Error codes of a token endpoint that are not those of RFC 6749 §5.2.
//! Invariant: a code of the client's authentication never counts as an answer about the user: a changed secret must not sign
//! everyone out.

use crate::oauth::error::{Error, ErrorCode};
use crate::providers::kinds::ProviderKind;

/// What a code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeMeaning {
    /// `invalid_client`: the credentials of the client are wrong.
    InvalidClient,
    /// `invalid_grant`: the code or refresh token is used, revoked, or of another client.
    InvalidGrant,
    /// `temporarily_unavailable`: the same request may succeed later.
    Temporary,
}

impl ProviderKind {
    /// The error that a provider of this kind means.
    pub fn understood(&self, error: Error) -> Error {
        let Error::Rejected(mut response) = error else { return error };
        let known = self.error_codes.iter().find(|(code, _)| *code == response.code.as_str());
        match known {
            None => Error::Rejected(response),
            // The description stays, and so does the code, for the log.
            Some((_, CodeMeaning::InvalidClient)) => Error::Unauthenticated(response),
            Some((_, CodeMeaning::InvalidGrant)) => {
                response.code = ErrorCode::InvalidGrant;
                Error::Rejected(response)
            }
            Some((_, CodeMeaning::Temporary)) => {
                response.code = ErrorCode::TemporarilyUnavailable;
                Error::Rejected(response)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::error::ErrorResponse;
    use crate::providers::kinds::{ALL, GENERIC};

    #[test]
    fn code_of_a_kind_means_what_the_kind_says_and_nothing_at_a_generic_provider() {
        for kind in ALL {
            for (code, meaning) in kind.error_codes {
                let rejected = || Error::Rejected(ErrorResponse::new(code, "why"));
                let understood = kind.understood(rejected());
                match meaning {
                    CodeMeaning::InvalidClient => {
                        assert!(matches!(understood, Error::Unauthenticated(_)), "{code}");
                    }
                    CodeMeaning::InvalidGrant => {
                        let expected = Error::Rejected(ErrorResponse::new("invalid_grant", "why"));
                        assert_eq!(understood, expected, "{code}");
                    }
                    CodeMeaning::Temporary => assert!(understood.is_temporary(), "{code}"),
                }
                assert_eq!(GENERIC.understood(rejected()), rejected());
            }
        }
    }
}
