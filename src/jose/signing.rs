//! Signing keys: of client assertions, and of the demo's identity provider.
//! Invariant: the private key never leaves this file. HMAC only signs and never verifies.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};

use crate::jose::jwk::{Curve, PublicKey};
use crate::jose::{Algorithm, Error};

/// A key pair and its one algorithm.
pub struct SigningKey {
    algorithm: Algorithm,
    kid: String,
    public: PublicKey,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Generates a key; RSA keys have 2048 bits. Its `kid` is its thumbprint.
    pub fn generate(algorithm: Algorithm) -> Result<Self, Error> {
        let pair = match Kind::of(algorithm) {
            Kind::Rsa(_) => RsaKeyPair::generate(KeySize::Rsa2048).map(Box::new).map(Pair::Rsa),
            Kind::Ec(_, signing) => EcdsaKeyPair::generate(signing).map(Pair::Ec),
            Kind::Ed25519 => Ed25519KeyPair::generate().map(Pair::Ed25519),
        };
        Self::new(algorithm, pair.map_err(|_| Error::SigningKey)?)
    }

    /// Parses a private key from PEM (PKCS#8, PKCS#1 or SEC 1) to sign with `algorithm`.
    pub fn from_pem(algorithm: Algorithm, pem: &str) -> Result<Self, Error> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| Error::SigningKey)?;
        let der = key.secret_der();
        let pair = match Kind::of(algorithm) {
            Kind::Rsa(_) => RsaKeyPair::from_pkcs8(der)
                .or_else(|_| RsaKeyPair::from_der(der))
                .map(Box::new)
                .map(Pair::Rsa),
            Kind::Ec(_, signing) => EcdsaKeyPair::from_private_key_der(signing, der).map(Pair::Ec),
            Kind::Ed25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Pair::Ed25519),
        };
        Self::new(algorithm, pair.map_err(|_| Error::SigningKey)?)
    }

    /// Parses a private key of any supported type. It signs with the first of its algorithms.
    pub fn of_any_type(pem: &str) -> Result<Self, Error> {
        let types = [
            Algorithm::RS256,
            Algorithm::ES256,
            Algorithm::ES384,
            Algorithm::ES512,
            Algorithm::EdDSA,
        ];
        let parsed = types.into_iter().find_map(|algorithm| Self::from_pem(algorithm, pem).ok());
        parsed.ok_or(Error::SigningKey)
    }

    fn new(algorithm: Algorithm, pair: Pair) -> Result<Self, Error> {
        let public = pair.public(algorithm).ok_or(Error::SigningKey)?;
        Ok(Self { algorithm, kid: public.thumbprint(), public, pair })
    }

    /// The same key with another `kid`.
    #[must_use]
    pub fn with_kid(self, kid: impl Into<String>) -> Self {
        Self { kid: kid.into(), ..self }
    }

    /// The algorithm it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// All algorithms that this type of key has.
    pub fn algorithms(&self) -> &'static [Algorithm] {
        match &self.public {
            PublicKey::Rsa { .. } => &[
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            PublicKey::Ec { curve: Curve::P256, .. } => &[Algorithm::ES256],
            PublicKey::Ec { curve: Curve::P384, .. } => &[Algorithm::ES384],
            PublicKey::Ec { curve: Curve::P521, .. } => &[Algorithm::ES512],
            PublicKey::Ed25519 { .. } => &[Algorithm::EdDSA],
        }
    }

    /// The ID of the key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key as a member of a key set.
    pub fn public_jwk(&self) -> Value {
        let mut jwk = self.jwk_of_any_algorithm();
        if let Some(members) = jwk.as_object_mut() {
            members.insert("alg".into(), json!(self.algorithm.name()));
        }
        jwk
    }

    /// The public key as a member of a key set, for all its algorithms.
    pub fn jwk_of_any_algorithm(&self) -> Value {
        let mut jwk = self.public.to_jwk();
        if let Some(members) = jwk.as_object_mut() {
            members.insert("kid".into(), json!(self.kid));
            members.insert("use".into(), json!("sig"));
        }
        jwk
    }

    /// Signs claims as a token with the header members `alg`, `kid` and `typ`.
    pub fn sign(&self, typ: &str, claims: &Map<String, Value>) -> Result<String, Error> {
        let header = json!({"alg": self.algorithm.name(), "kid": self.kid, "typ": typ});
        self.sign_with_header(&header, json!(claims).to_string().as_bytes())
    }

    /// Signs any bytes with any header, as a faulty provider would.
    pub fn sign_with_header(&self, header: &Value, payload: &[u8]) -> Result<String, Error> {
        self.sign_by(self.algorithm, header, payload)
    }

    /// Signs with one of its [algorithms](Self::algorithms), which the header should name.
    pub fn sign_by(
        &self,
        algorithm: Algorithm,
        header: &Value,
        payload: &[u8],
    ) -> Result<String, Error> {
        let input = signing_input(header, payload);
        let signature = self.pair.signature(algorithm, input.as_bytes())?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Signs claims with HS256 and a shared secret (RFC 7518 §3.2): as a client, or as an attacker with a public key would.
pub fn sign_hs256(secret: &[u8], header: &Value, payload: &[u8]) -> String {
    let input = signing_input(header, payload);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// `BASE64URL(header) . BASE64URL(payload)` (RFC 7515 §5.1).
fn signing_input(header: &Value, payload: &[u8]) -> String {
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload))
}

/// What an algorithm needs to sign.
enum Kind {
    Rsa(&'static dyn RsaEncoding),
    Ec(Curve, &'static EcdsaSigningAlgorithm),
    Ed25519,
}

impl Kind {
    fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::RS256 => Self::Rsa(&RSA_PKCS1_SHA256),
            Algorithm::RS384 => Self::Rsa(&RSA_PKCS1_SHA384),
            Algorithm::RS512 => Self::Rsa(&RSA_PKCS1_SHA512),
            Algorithm::PS256 => Self::Rsa(&RSA_PSS_SHA256),
            Algorithm::PS384 => Self::Rsa(&RSA_PSS_SHA384),
            Algorithm::PS512 => Self::Rsa(&RSA_PSS_SHA512),
            Algorithm::ES256 => Self::Ec(Curve::P256, &ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => Self::Ec(Curve::P384, &ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::ES512 => Self::Ec(Curve::P521, &ECDSA_P521_SHA512_FIXED_SIGNING),
            Algorithm::EdDSA => Self::Ed25519,
        }
    }
}

impl Pair {
    fn public(&self, algorithm: Algorithm) -> Option<PublicKey> {
        match (self, Kind::of(algorithm)) {
            (Self::Rsa(pair), Kind::Rsa(_)) => {
                let (n, e) = rsa_public_key(pair.public_key().as_ref())?;
                PublicKey::rsa(n, e)
            }
            (Self::Ec(pair), Kind::Ec(curve, _)) => {
                let (_, point) = pair.public_key().as_ref().split_first()?;
                let (x, y) = point.split_at_checked(curve.coordinate_len())?;
                PublicKey::ec(curve, x.into(), y.into())
            }
            (Self::Ed25519(pair), Kind::Ed25519) => {
                PublicKey::ed25519(pair.public_key().as_ref().into())
            }
            (Self::Rsa(_) | Self::Ec(_) | Self::Ed25519(_), _) => None,
        }
    }

    fn signature(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, Error> {
        let random = SystemRandom::new();
        let signature = match (self, Kind::of(algorithm)) {
            (Self::Rsa(pair), Kind::Rsa(encoding)) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).ok().map(|()| signature)
            }
            (Self::Ec(pair), Kind::Ec(..)) => {
                pair.sign(&random, message).ok().map(|signature| signature.as_ref().to_vec())
            }
            (Self::Ed25519(pair), Kind::Ed25519) => Some(pair.sign(message).as_ref().to_vec()),
            (Self::Rsa(_) | Self::Ec(_) | Self::Ed25519(_), _) => None,
        };
        signature.ok_or(Error::SigningKey)
    }
}

/// Modulus and exponent from `SEQUENCE { INTEGER n, INTEGER e }` (RFC 8017 §A.1.1).
fn rsa_public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = der_element(0x30, der)?;
    let (n, rest) = der_element(0x02, sequence)?;
    let (e, _) = der_element(0x02, rest)?;
    Some((n, e))
}

/// The content of a DER element with this tag, and the bytes after it (X.690 §8.1).
fn der_element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = if *length < 0x80 {
        (usize::from(*length), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(*length & 0x7f))?;
        (bytes.iter().fold(0, |sum: usize, byte| sum << 8 | usize::from(*byte)), rest)
    };
    (*first == tag).then(|| rest.split_at_checked(length))?
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {})", self.algorithm, self.kid)
    }
}
