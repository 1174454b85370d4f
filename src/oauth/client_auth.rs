//! Client authentication at the token and revocation endpoints.
//! Source: RFC 6749 §2.3, OpenID Connect Core §9.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use url::form_urlencoded::byte_serialize;

use crate::oauth::error::Error;
use crate::secret::Secret;

/// Client authentication at the token endpoint (OIDC Core §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// `client_secret_basic`: the secret in `Authorization: Basic`.
    ClientSecretBasic,
    /// `client_secret_post`: the secret in the body.
    ClientSecretPost,
    /// `none`: a public client.
    None,
}

/// The credentials of the client.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// `client_id`.
    pub id: String,
    /// `client_secret`; `None` for a public client.
    pub secret: Option<Secret>,
    /// The configured method; `None` chooses from those of the provider, basic first.
    pub method: Option<AuthMethod>,
}

impl Credentials {
    /// The method for an endpoint that supports `offered`; no list means basic (RFC 8414 §2).
    pub fn method(&self, offered: Option<&[String]>) -> Result<AuthMethod, Error> {
        let offers = |method: &str| offered.is_some_and(|list| list.iter().any(|m| m == method));
        match (self.method, &self.secret) {
            (Some(method), _) => Ok(method),
            (None, None) => Ok(AuthMethod::None),
            (None, Some(_)) if offered.is_none() || offers("client_secret_basic") => {
                Ok(AuthMethod::ClientSecretBasic)
            }
            (None, Some(_)) if offers("client_secret_post") => Ok(AuthMethod::ClientSecretPost),
            (None, Some(_)) => Err(Error::NoCommonAuthMethod),
        }
    }

    /// Adds the credentials to the headers or the form of a request.
    pub(super) fn authenticate<'a>(
        &'a self,
        method: AuthMethod,
        headers: &mut HeaderMap,
        form: &mut Vec<(&'a str, &'a str)>,
    ) {
        let secret = self.secret.as_ref().map_or("", Secret::expose);
        match method {
            AuthMethod::ClientSecretBasic => {
                headers.extend(basic(&self.id, secret).map(|value| (header::AUTHORIZATION, value)));
            }
            AuthMethod::ClientSecretPost => {
                form.extend([("client_id", self.id.as_str()), ("client_secret", secret)]);
            }
            AuthMethod::None => form.push(("client_id", &self.id)),
        }
    }
}

/// Both are form-encoded before they are joined (RFC 6749 §2.3.1), so that a `:` in the ID does not matter.
pub(super) fn basic(id: &str, secret: &str) -> Option<HeaderValue> {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = STANDARD.encode(format!("{}:{}", encode(id), encode(secret)));
    let mut value = HeaderValue::try_from(format!("Basic {pair}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(secret: Option<&str>, method: Option<AuthMethod>) -> Credentials {
        Credentials { id: "us".into(), secret: secret.map(Secret::new), method }
    }

    #[track_caller]
    fn check(offered: Option<&[&str]>, expected: Result<AuthMethod, Error>) {
        let offered: Option<Vec<String>> =
            offered.map(|list| list.iter().map(|&method| method.to_owned()).collect());
        assert_eq!(credentials(Some("s"), None).method(offered.as_deref()), expected);
    }

    #[test]
    fn basic_is_preferred_and_used_without_a_list() {
        check(None, Ok(AuthMethod::ClientSecretBasic));
        check(
            Some(&["client_secret_post", "client_secret_basic"]),
            Ok(AuthMethod::ClientSecretBasic),
        );
        check(Some(&["private_key_jwt", "client_secret_post"]), Ok(AuthMethod::ClientSecretPost));
        check(Some(&["private_key_jwt"]), Err(Error::NoCommonAuthMethod));
        check(Some(&[]), Err(Error::NoCommonAuthMethod));
    }

    #[test]
    fn configured_method_wins_and_client_without_secret_is_public() {
        let post = credentials(Some("s"), Some(AuthMethod::ClientSecretPost));
        assert_eq!(post.method(None), Ok(AuthMethod::ClientSecretPost));
        assert_eq!(credentials(None, None).method(None), Ok(AuthMethod::None));
    }

    #[test]
    fn basic_encodes_id_and_secret_before_joining_them() {
        let value = basic("a:b", "p w%é").unwrap();
        let expected = format!("Basic {}", STANDARD.encode("a%3Ab:p+w%25%C3%A9"));
        assert_eq!(value.to_str().unwrap(), expected);
        assert!(value.is_sensitive());
    }
}
