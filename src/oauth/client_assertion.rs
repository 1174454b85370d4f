//! Assertions by which the client authenticates: JWTs that it signs for one request, or that are in a file.
//! Invariant: an assertion is made or read for each request, and is valid for a few minutes. Apple's client secret, which is
//! one in its form, is used again: see [`crate::oauth::apple_secret`].
//! Source: RFC 7523 §2.2 and §3, OpenID Connect Core §9.

use std::io;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use url::Url;

use crate::clock::UnixTime;
use crate::jose::{Algorithm, SigningKey, sign_hs256};
use crate::oauth::error::Error;
use crate::random;
use crate::secret::Secret;

/// `client_assertion_type` (RFC 7523 §2.2).
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How a provider wants assertions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertionProfile {
    /// `aud`.
    pub audience: Audience,
    /// Signature algorithms, the preferred one first.
    pub algorithms: &'static [Algorithm],
}

/// `aud` of an assertion. It must not be a URL that another server chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The issuer identifier.
    Issuer(String),
    /// The URL of the token endpoint, as OpenID Connect Core §9 has it.
    TokenEndpoint,
    /// The URL of the endpoint of the request.
    RequestedEndpoint,
}

/// `x5t#S256` (RFC 7515 §4.1.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbprint(String);

/// What is wrong with a text that should be an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionFault {
    /// It is empty.
    #[error("is empty")]
    Empty,
    /// It is another text.
    #[error("contains no JWT")]
    NotJwt,
    /// It is far longer than a JWT.
    #[error("is larger than 64 KiB")]
    TooLong,
}

/// The content of an assertion for one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Assertion<'a> {
    pub(super) client_id: &'a str,
    pub(super) profile: &'a AssertionProfile,
    pub(super) token_endpoint: &'a Url,
    pub(super) requested_endpoint: &'a Url,
    pub(super) algorithms: Option<&'a [String]>,
    pub(super) now: UnixTime,
}

impl AssertionProfile {
    /// A profile with this audience.
    pub fn of(audience: Audience) -> Self {
        Self { audience, algorithms: &PREFERRED }
    }

    /// A profile with this audience, and PS256 for RSA keys.
    pub fn ps256(audience: Audience) -> Self {
        Self { audience, algorithms: &PS256_FIRST }
    }
}

impl Thumbprint {
    /// The thumbprint of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(digest(&SHA256, certificate)))
    }

    /// The thumbprint in base64url.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Assertion<'_> {
    /// Signed by the client. With a certificate, the header names it in place of the key: a provider knows the key
    /// either by the one or by the other.
    pub(super) fn signed(
        &self,
        key: &SigningKey,
        certificate: Option<&Thumbprint>,
    ) -> Result<Secret, Error> {
        let algorithm = self.algorithm(key).ok_or_else(unsigned)?;
        let header = match certificate {
            Some(Thumbprint(it)) => json!({"alg": algorithm.name(), "typ": "JWT", "x5t#S256": it}),
            None => json!({"alg": algorithm.name(), "typ": "JWT", "kid": key.kid()}),
        };
        sign(key, algorithm, &header, &self.claims())
    }

    /// With the client secret as the key (RFC 7518 §3.2).
    pub(super) fn with_secret(&self, secret: &Secret) -> Secret {
        let header = json!({"alg": "HS256", "typ": "JWT"});
        let payload = self.claims().to_string();
        Secret::new(sign_hs256(secret.expose().as_bytes(), &header, payload.as_bytes()))
    }

    /// Apple's client secret, for this long: it has the team as the issuer, and no `jti`.
    pub(super) fn for_apple(
        &self,
        key: &SigningKey,
        key_id: &str,
        team_id: &str,
        seconds: i64,
    ) -> Result<Secret, Error> {
        let header = json!({"alg": Algorithm::ES256.name(), "kid": key_id});
        let claims = json!({
            "iss": team_id,
            "sub": self.client_id,
            "aud": self.audience(),
            "iat": self.now.0,
            "exp": self.now.0.saturating_add(seconds),
        });
        sign(key, Algorithm::ES256, &header, &claims)
    }

    fn claims(&self) -> Value {
        json!({
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.audience(),
            // SECURITY: the provider accepts it once (RFC 7523 §3).
            "jti": random::text::<16>(),
            "iat": self.now.0,
            "nbf": self.now.0,
            "exp": self.now.0.saturating_add(SECONDS),
        })
    }

    fn audience(&self) -> &str {
        match &self.profile.audience {
            Audience::Issuer(issuer) => issuer,
            Audience::TokenEndpoint => self.token_endpoint.as_str(),
            Audience::RequestedEndpoint => self.requested_endpoint.as_str(),
        }
    }

    /// The first algorithm that key and provider have; the provider's list may be incomplete.
    fn algorithm(&self, key: &SigningKey) -> Option<Algorithm> {
        let of_key = key.algorithms();
        let usable = || self.profile.algorithms.iter().copied().filter(|it| of_key.contains(it));
        let is_offered = |algorithm: &Algorithm| {
            let offers = |name: &String| Algorithm::parse(name) == Some(*algorithm);
            self.algorithms.is_none_or(|list| list.iter().any(offers))
        };
        usable().find(is_offered).or_else(|| usable().next())
    }
}

/// Reads the assertion that is in a file now. Its issuer replaces it before it expires.
pub(super) async fn read(path: &Path) -> Result<Secret, Error> {
    let fault = |why: String| {
        Error::ClientAssertion(format!("client_assertion_file {} {why}", path.display()))
    };
    let text = content(path).await.map_err(|error| fault(format!("cannot be read: {error}")))?;
    parse(&text).map_err(|why| fault(why.to_string()))
}

async fn content(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would block a thread.
    if !tokio::fs::metadata(path).await?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let (mut text, file) = (Vec::new(), File::open(path).await?);
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut text).await?;
    Ok(text)
}

/// The assertion in the content of a file. Only its form is checked: it is for the provider.
pub(super) fn parse(content: &[u8]) -> Result<Secret, AssertionFault> {
    if content.len() > MAX_BYTES {
        return Err(AssertionFault::TooLong);
    }
    let text = content.trim_ascii();
    if text.is_empty() {
        return Err(AssertionFault::Empty);
    }
    let is_part = |part: &[u8]| {
        let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
        !part.is_empty() && part.iter().all(is_base64url)
    };
    let parts: Vec<&[u8]> = text.split(|byte| *byte == b'.').collect();
    match std::str::from_utf8(text) {
        Ok(text) if parts.len() == 3 && parts.into_iter().all(is_part) => Ok(Secret::new(text)),
        Ok(_) | Err(_) => Err(AssertionFault::NotJwt),
    }
}

fn sign(
    key: &SigningKey,
    algorithm: Algorithm,
    header: &Value,
    claims: &Value,
) -> Result<Secret, Error> {
    let signed = key.sign_by(algorithm, header, claims.to_string().as_bytes());
    signed.map(Secret::new).map_err(|_| unsigned())
}

fn unsigned() -> Error {
    Error::ClientAssertion("client_key cannot sign the client assertion".to_owned())
}

/// Algorithms for every provider: OpenID Connect Core §15.1 wants RS256 everywhere.
const PREFERRED: [Algorithm; 10] = [
    Algorithm::RS256,
    Algorithm::PS256,
    Algorithm::RS384,
    Algorithm::PS384,
    Algorithm::RS512,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::EdDSA,
];

const PS256_FIRST: [Algorithm; 5] =
    [Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::ES512, Algorithm::EdDSA];

/// Some providers reject an assertion that is valid for more than five minutes.
const SECONDS: i64 = 120;
const MAX_BYTES: usize = 64 * 1024;
