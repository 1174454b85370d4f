//! Error codes that are not those of RFC 6749 §5.2, or mean something else at a kind.
//! Invariant: a code of the client's authentication never counts as an answer about the user: a changed secret must not sign
//! everyone out. Neither does a code of a resource that the kind does not know.

use crate::oauth::error::{Error, ErrorCode};
use crate::oidc::error::Error as OidcError;
use crate::providers::kinds::ProviderKind;

/// What a code of the token endpoint means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeMeaning {
    /// `invalid_client`: the credentials of the client are wrong.
    InvalidClient,
    /// `invalid_grant`: the code or refresh token is used, revoked, or of another client.
    InvalidGrant,
    /// `temporarily_unavailable`: the same request may succeed later.
    Temporary,
}

/// What a code of the userinfo endpoint or profile means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceCodeMeaning {
    /// `invalid_token` (RFC 6750 §3.1): the access token is revoked or expired, for good.
    Ended,
    /// The same request may succeed later.
    Temporary,
}

impl ProviderKind {
    /// The error of the token endpoint that a provider of this kind means.
    pub fn understood(&self, error: Error) -> Error {
        let Error::Rejected(mut response) = error else { return error };
        match meaning(self.error_codes, &response.code) {
            None => Error::Rejected(response),
            // The description stays, and so does the code, for the log.
            Some(CodeMeaning::InvalidClient) => Error::Unauthenticated(response),
            Some(CodeMeaning::InvalidGrant) => {
                response.code = ErrorCode::InvalidGrant;
                Error::Rejected(response)
            }
            Some(CodeMeaning::Temporary) => {
                response.code = ErrorCode::TemporarilyUnavailable;
                Error::Rejected(response)
            }
        }
    }

    /// The error of the userinfo endpoint or profile that a provider of this kind means.
    pub fn understood_of_resource(&self, error: OidcError) -> OidcError {
        let OidcError::UserinfoError(mut response) = error else { return error };
        match meaning(self.resource_error_codes, &response.code) {
            None if response.code == ErrorCode::TemporarilyUnavailable => {
                OidcError::OAuth(Error::Rejected(response))
            }
            None => OidcError::UserinfoError(response),
            Some(ResourceCodeMeaning::Ended) => OidcError::UserinfoRejected(Some(response)),
            Some(ResourceCodeMeaning::Temporary) => {
                response.code = ErrorCode::TemporarilyUnavailable;
                OidcError::OAuth(Error::Rejected(response))
            }
        }
    }
}

/// The meaning of a code in a list. `CODE/SUBCODE` means what `CODE` does, unless it has an entry of its own.
fn meaning<T: Copy>(list: &[(&str, T)], code: &ErrorCode) -> Option<T> {
    let of = |wanted: &str| list.iter().find(|(known, _)| *known == wanted).map(|found| found.1);
    let code = code.as_str();
    of(code).or_else(|| of(code.split_once('/')?.0))
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

    #[test]
    fn code_of_a_resource_ends_a_session_only_where_the_kind_says_so() {
        let answered = |code: &str| OidcError::UserinfoError(ErrorResponse::new(code, "why"));
        for kind in ALL {
            for (code, meaning) in kind.resource_error_codes {
                let understood = kind.understood_of_resource(answered(code));
                let is_end = matches!(understood, OidcError::UserinfoRejected(Some(_)));
                assert_eq!(is_end, *meaning == ResourceCodeMeaning::Ended, "{code}");
                assert_eq!(understood.is_temporary(), !is_end, "{code}");
                assert_eq!(GENERIC.understood_of_resource(answered(code)), answered(code));
            }
            let unknown = kind.understood_of_resource(answered("what"));
            assert_eq!(unknown, answered("what"), "{}", kind.name);
        }
    }

    #[test]
    fn subcode_means_what_its_code_does() {
        let facebook = ProviderKind::by_name("facebook").unwrap();
        let code = |code| facebook.understood(Error::Rejected(ErrorResponse::new(code, "")));
        let grant = Error::Rejected(ErrorResponse::new("invalid_grant", ""));
        for spent in ["100", "100/36007", "100/36009"] {
            assert_eq!(code(spent), grant, "{spent}");
        }
        assert!(matches!(code("1/33"), Error::Unauthenticated(_)));
        let other = Error::Rejected(ErrorResponse::new("1000/1", ""));
        assert_eq!(code("1000/1"), other);
    }
}
