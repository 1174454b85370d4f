//! Client authentication at the token and revocation endpoints: the methods that the credentials allow, the choice
//! among them, and what a request gets.
//! Invariant: a method has everything that it needs. No `Debug` output and no error has a secret, a key or an assertion.
//! Source: RFC 6749 §2.3, OpenID Connect Core §9, RFC 7523 §2.2, RFC 8705 §2.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::byte_serialize;

use crate::clock::UnixTime;
use crate::jose::{SigningKey, claimed_expiry};
use crate::oauth::apple_secret::AppleSecret;
use crate::oauth::client_assertion::{
    self, Assertion, AssertionFault, AssertionProfile, Thumbprint,
};
use crate::oauth::error::Error;
use crate::secret::Secret;

/// A method of client authentication, with its credentials.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// `none`: a public client.
    None,
    /// `client_secret_basic`: the secret in `Authorization: Basic`.
    ClientSecretBasic(Secret),
    /// `client_secret_post`: the secret in the body.
    ClientSecretPost(Secret),
    /// `client_secret_jwt`: an assertion with the secret as the key of its HMAC.
    ClientSecretJwt(Secret),
    /// `private_key_jwt`: an assertion that the client signs.
    PrivateKeyJwt {
        /// The key.
        key: Arc<SigningKey>,
        /// The certificate by which the provider finds the key, in place of the key's ID.
        certificate: Option<Thumbprint>,
    },
    /// An assertion that another system issues, in a file.
    ClientAssertionFile(PathBuf),
    /// `tls_client_auth`: a client certificate of an authority.
    TlsClientAuth(ClientCertificate),
    /// `self_signed_tls_client_auth`: a client certificate that is registered itself.
    SelfSignedTlsClientAuth(ClientCertificate),
    /// Apple's client secret, in the body: a JWT that the client signs.
    AppleJwt(Arc<AppleSecret>),
}

/// A certificate of this client, with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain, in PEM.
    pub chain: String,
    /// The private key of the first certificate, in PEM.
    pub key: Secret,
}

/// The methods that the configuration allows.
#[derive(Clone, Debug)]
pub enum AuthMethods {
    /// The only one, whatever the provider offers.
    Only(ClientAuth),
    /// The first of these that the provider offers.
    Preferred(Vec<ClientAuth>),
}

/// The credentials of the client.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// `client_id`.
    pub id: String,
    /// How the client can authenticate.
    pub methods: AuthMethods,
    /// How its assertions are made.
    pub assertions: AssertionProfile,
}

/// An endpoint that requires client authentication, and how the client authenticates there.
#[derive(Clone, Copy, Debug)]
pub struct AuthenticatedEndpoint<'a> {
    /// Its URL.
    pub url: &'a Url,
    /// The token endpoint, a possible audience of assertions.
    pub token: &'a Url,
    /// The authentication method.
    pub method: &'a ClientAuth,
    /// The algorithms of assertions that the endpoint supports; `None` if it does not say.
    pub algorithms: Option<&'a [String]>,
}

/// What authenticates one request.
#[derive(Debug, Default)]
pub(super) struct RequestAuth {
    pub(super) headers: HeaderMap,
    pub(super) parameters: Vec<(&'static str, Secret)>,
}

impl ClientAuth {
    /// `private_key_jwt` with a private key in PEM, and its certificate in DER; `None` if the key cannot sign.
    pub fn private_key_jwt(key: &str, certificate: Option<&[u8]>) -> Option<Self> {
        let key = Arc::new(SigningKey::of_any_type(key).ok()?);
        Some(Self::PrivateKeyJwt { key, certificate: certificate.map(Thumbprint::of) })
    }

    /// Apple's client secret, for a private key in PEM with its ID, and the ID of the team; `None` if it is no key for it.
    pub fn apple_jwt(key: &str, key_id: &str, team_id: &str) -> Option<Self> {
        Some(Self::AppleJwt(Arc::new(AppleSecret::new(key, key_id, team_id)?)))
    }

    /// When the assertion in the present content of a file expires, in seconds since 1970, if it says so.
    pub fn expiry_of_file(content: &[u8]) -> Result<Option<i64>, AssertionFault> {
        client_assertion::parse(content).map(|assertion| claimed_expiry(assertion.expose()))
    }

    /// Its registered name, or that of its key in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic(_) => "client_secret_basic",
            Self::ClientSecretPost(_) | Self::AppleJwt(_) => "client_secret_post",
            Self::ClientSecretJwt(_) => "client_secret_jwt",
            Self::PrivateKeyJwt { .. } => "private_key_jwt",
            Self::ClientAssertionFile(_) => "client_assertion_file",
            Self::TlsClientAuth(_) => "tls_client_auth",
            Self::SelfSignedTlsClientAuth(_) => "self_signed_tls_client_auth",
        }
    }

    /// The configuration key with its credentials.
    pub fn key(&self) -> &'static str {
        match self {
            Self::None => "client_id",
            Self::ClientSecretBasic(_) | Self::ClientSecretPost(_) | Self::ClientSecretJwt(_) => {
                "client_secret"
            }
            Self::PrivateKeyJwt { .. } | Self::AppleJwt(_) => "client_key",
            Self::ClientAssertionFile(_) => "client_assertion_file",
            Self::TlsClientAuth(_) | Self::SelfSignedTlsClientAuth(_) => "client_certificate",
        }
    }

    /// What the registration at the provider must have, for messages.
    pub fn registered(&self) -> String {
        if let Self::AppleJwt(_) = self {
            return "client_id (the Services ID), client_key, key_id and team_id".to_owned();
        }
        let (key, name) = (self.key(), self.name());
        format!("client_id, {key} and the authentication method, which is {name},")
    }

    /// The public key to register at the provider, as a JWK. With a self-signed certificate, it contains that one.
    pub fn jwk_to_register(&self) -> Option<Value> {
        match self {
            Self::PrivateKeyJwt { key, .. } => Some(key.jwk_of_any_algorithm()),
            Self::SelfSignedTlsClientAuth(ClientCertificate { chain, key }) => {
                let mut jwk = SigningKey::of_any_type(key.expose()).ok()?.jwk_of_any_algorithm();
                let leaf = CertificateDer::from_pem_slice(chain.as_bytes()).ok()?;
                let members = jwk.as_object_mut()?;
                members.insert("x5c".into(), json!([STANDARD.encode(&leaf)]));
                members.insert("x5t#S256".into(), json!(Thumbprint::of(&leaf).as_str()));
                Some(jwk)
            }
            Self::None
            | Self::ClientSecretBasic(_)
            | Self::ClientSecretPost(_)
            | Self::ClientSecretJwt(_)
            | Self::ClientAssertionFile(_)
            | Self::TlsClientAuth(_)
            | Self::AppleJwt(_) => None,
        }
    }

    /// The certificate that TLS connections show.
    pub fn certificate(&self) -> Option<&ClientCertificate> {
        match self {
            Self::TlsClientAuth(certificate) | Self::SelfSignedTlsClientAuth(certificate) => {
                Some(certificate)
            }
            Self::None
            | Self::ClientSecretBasic(_)
            | Self::ClientSecretPost(_)
            | Self::ClientSecretJwt(_)
            | Self::PrivateKeyJwt { .. }
            | Self::ClientAssertionFile(_)
            | Self::AppleJwt(_) => None,
        }
    }
}

impl AuthMethods {
    /// All of them, the preferred one first.
    pub fn all(&self) -> &[ClientAuth] {
        match self {
            Self::Only(method) => std::slice::from_ref(method),
            Self::Preferred(methods) => methods,
        }
    }

    /// The method for an endpoint that supports `offered`; no list says nothing (RFC 8414 §2 then assumes basic).
    pub fn choose<T: AsRef<str>>(&self, offered: Option<&[T]>) -> Result<&ClientAuth, Error> {
        let is_offered = |method: &&ClientAuth| {
            offered.is_none_or(|list| list.iter().any(|name| name.as_ref() == method.name()))
        };
        match self {
            Self::Only(method) => Ok(method),
            Self::Preferred(methods) => {
                methods.iter().find(is_offered).ok_or(Error::NoCommonAuthMethod)
            }
        }
    }

    /// The certificate that TLS connections to the provider show.
    pub fn certificate(&self) -> Option<&ClientCertificate> {
        self.all().iter().find_map(ClientAuth::certificate)
    }

    /// The client secret, whatever the method that uses it.
    pub fn secret(&self) -> Option<&Secret> {
        self.all().iter().find_map(|method| match method {
            ClientAuth::ClientSecretBasic(secret)
            | ClientAuth::ClientSecretPost(secret)
            | ClientAuth::ClientSecretJwt(secret) => Some(secret),
            ClientAuth::None
            | ClientAuth::PrivateKeyJwt { .. }
            | ClientAuth::ClientAssertionFile(_)
            | ClientAuth::TlsClientAuth(_)
            | ClientAuth::SelfSignedTlsClientAuth(_)
            | ClientAuth::AppleJwt(_) => None,
        })
    }
}

impl Credentials {
    /// What authenticates one request that is sent now. It is for this request only: an assertion is used once.
    pub(super) async fn authenticate(
        &self,
        endpoint: &AuthenticatedEndpoint<'_>,
        now: UnixTime,
    ) -> Result<RequestAuth, Error> {
        let id = || ("client_id", Secret::new(&*self.id));
        let assertion = Assertion {
            client_id: &self.id,
            profile: &self.assertions,
            token_endpoint: endpoint.token,
            requested_endpoint: endpoint.url,
            algorithms: endpoint.algorithms,
            now,
        };
        let asserted = |assertion| {
            let kind = ("client_assertion_type", Secret::new(client_assertion::TYPE));
            vec![id(), kind, ("client_assertion", assertion)]
        };
        let parameters = match endpoint.method {
            ClientAuth::ClientSecretBasic(secret) => {
                let headers = basic(&self.id, secret).map(|value| (header::AUTHORIZATION, value));
                return Ok(RequestAuth {
                    headers: headers.into_iter().collect(),
                    ..RequestAuth::default()
                });
            }
            ClientAuth::ClientSecretPost(secret) => vec![id(), ("client_secret", secret.clone())],
            ClientAuth::ClientSecretJwt(secret) => asserted(assertion.with_secret(secret)),
            ClientAuth::PrivateKeyJwt { key, certificate } => {
                asserted(assertion.signed(key, certificate.as_ref())?)
            }
            ClientAuth::ClientAssertionFile(path) => asserted(client_assertion::read(path).await?),
            ClientAuth::AppleJwt(secret) => {
                vec![id(), ("client_secret", secret.for_request(&assertion)?)]
            }
            // RFC 8705 §2: the client ID says which certificate the server should expect.
            ClientAuth::None
            | ClientAuth::TlsClientAuth(_)
            | ClientAuth::SelfSignedTlsClientAuth(_) => vec![id()],
        };
        Ok(RequestAuth { parameters, ..RequestAuth::default() })
    }
}

/// Both are form-encoded before they are joined (RFC 6749 §2.3.1), so that a `:` in the ID does not matter.
pub(super) fn basic(id: &str, secret: &Secret) -> Option<HeaderValue> {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = STANDARD.encode(format!("{}:{}", encode(id), encode(secret.expose())));
    let mut value = HeaderValue::try_from(format!("Basic {pair}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests;
