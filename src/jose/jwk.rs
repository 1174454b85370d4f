//! One public key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2) and its thumbprint (RFC 7638).
//! Invariant: a `Jwk` verifies at least one algorithm. `use`, `key_ops` and `alg` are checked, and the key
//! material is parsed, when it is made, not per signature.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    EcdsaVerificationAlgorithm, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::jose::Algorithm;

/// A public key of a key set, ready to verify.
#[derive(Debug)]
pub struct Jwk {
    kid: Option<String>,
    key: PublicKey,
    verifiers: Vec<(Algorithm, ParsedPublicKey)>,
}

/// Key material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// Modulus and exponent, big-endian, without leading zeros.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The exponent.
        e: Vec<u8>,
    },
    /// A point of a NIST curve.
    Ec {
        /// The curve.
        curve: Curve,
        /// The first coordinate, as long as the curve's field.
        x: Vec<u8>,
        /// The second coordinate, as long as the curve's field.
        y: Vec<u8>,
    },
    /// An Ed25519 key.
    Ed25519 {
        /// Its 32 bytes.
        x: Vec<u8>,
    },
}

/// A NIST curve (RFC 7518 §6.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1.
    P521,
}

impl Jwk {
    /// Parses one key of a key set; `None` if it verifies no supported algorithm.
    pub fn parse(jwk: &Value) -> Option<Self> {
        let text = |name: &str| match jwk.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(Value::String(text)) => Some(Some(text.as_str())),
            Some(_) => None,
        };
        // SECURITY: a key for encryption must not verify signatures (RFC 7517 §4.2).
        if text("use")?.is_some_and(|purpose| purpose != "sig") || !may_verify(jwk) {
            return None;
        }
        let named = match text("alg")? {
            None => None,
            Some(name) => Some(Algorithm::parse(name)?),
        };
        let key = PublicKey::parse(jwk)?;
        let verifiers: Vec<_> = Algorithm::ALL
            .into_iter()
            .filter(|algorithm| named.is_none_or(|named| named == *algorithm))
            .filter_map(|algorithm| Some((algorithm, key.verifier(algorithm)?)))
            .collect();
        (!verifiers.is_empty()).then_some(Self {
            kid: text("kid")?.map(str::to_owned),
            key,
            verifiers,
        })
    }

    /// `kid`: the ID of the key.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The key material.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The verifier for `algorithm`, if the key supports it.
    pub(super) fn verifier(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        self.verifiers.iter().find(|(fits, _)| *fits == algorithm).map(|(_, key)| key)
    }
}

impl PublicKey {
    /// Parses the key material of a JWK; other members are ignored.
    pub fn parse(jwk: &Value) -> Option<Self> {
        let bytes = |name: &str| OPTIONAL_PADDING.decode(jwk.get(name)?.as_str()?).ok();
        match jwk.get("kty")?.as_str()? {
            "RSA" => Self::rsa(&bytes("n")?, &bytes("e")?),
            "EC" => Self::ec(Curve::parse(jwk.get("crv")?.as_str()?)?, bytes("x")?, bytes("y")?),
            "OKP" if jwk.get("crv")?.as_str()? == "Ed25519" => Self::ed25519(bytes("x")?),
            _ => None,
        }
    }

    /// An RSA key of 2048 to 8192 bits (RFC 7518 §3.3).
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Option<Self> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
        // SECURITY: with an exponent of 1 every message is its own signature.
        let odd = e.last()? % 2 == 1 && e != [1] && e.len() <= 4;
        (odd && (2048..=8192).contains(&bits)).then(|| Self::Rsa { n: n.into(), e: e.into() })
    }

    /// A point whose coordinates are as long as the field, never shorter (RFC 7518 §6.2.1.2).
    pub(super) fn ec(curve: Curve, x: Vec<u8>, y: Vec<u8>) -> Option<Self> {
        let length = curve.coordinate_len();
        (x.len() == length && y.len() == length).then_some(Self::Ec { curve, x, y })
    }

    /// An Ed25519 key.
    pub(super) fn ed25519(x: Vec<u8>) -> Option<Self> {
        (x.len() == 32).then_some(Self::Ed25519 { x })
    }

    /// The key material as a JWK.
    pub fn to_jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa { n, e } => json!({"kty": "RSA", "n": text(n), "e": text(e)}),
            Self::Ec { curve, x, y } => {
                json!({"kty": "EC", "crv": curve.name(), "x": text(x), "y": text(y)})
            }
            Self::Ed25519 { x } => json!({"kty": "OKP", "crv": "Ed25519", "x": text(x)}),
        }
    }

    /// The SHA-256 thumbprint in base64url, of the required members in lexicographic order (RFC 7638 §3).
    pub fn thumbprint(&self) -> String {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let canonical = match self {
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n)),
            Self::Ec { curve, x, y } => format!(
                r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
                curve.name(),
                text(x),
                text(y)
            ),
            Self::Ed25519 { x } => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x))
            }
        };
        text(digest(&SHA256, canonical.as_bytes()).as_ref())
    }

    /// The key parsed for one algorithm; `None` if they do not fit.
    fn verifier(&self, algorithm: Algorithm) -> Option<ParsedPublicKey> {
        match algorithm {
            Algorithm::RS256 => self.rsa_verifier(&RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => self.rsa_verifier(&RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => self.rsa_verifier(&RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => self.rsa_verifier(&RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => self.rsa_verifier(&RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => self.rsa_verifier(&RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 => self.ec_verifier(Curve::P256, &ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => self.ec_verifier(Curve::P384, &ECDSA_P384_SHA384_FIXED),
            Algorithm::ES512 => self.ec_verifier(Curve::P521, &ECDSA_P521_SHA512_FIXED),
            Algorithm::EdDSA => match self {
                Self::Ed25519 { x } => ParsedPublicKey::new(&ED25519, x).ok(),
                Self::Rsa { .. } | Self::Ec { .. } => None,
            },
        }
    }

    fn rsa_verifier(&self, parameters: &'static RsaParameters) -> Option<ParsedPublicKey> {
        match self {
            Self::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).ok()
            }
            Self::Ec { .. } | Self::Ed25519 { .. } => None,
        }
    }

    /// A verifier for an ES algorithm.
    // SECURITY: each has one curve (RFC 7518 §3.4); parsing rejects a point that is not on it.
    fn ec_verifier(
        &self,
        needed: Curve,
        algorithm: &'static EcdsaVerificationAlgorithm,
    ) -> Option<ParsedPublicKey> {
        match self {
            Self::Ec { curve, x, y } if *curve == needed => {
                ParsedPublicKey::new(algorithm, [&[UNCOMPRESSED], x.as_slice(), y].concat()).ok()
            }
            Self::Ec { .. } | Self::Rsa { .. } | Self::Ed25519 { .. } => None,
        }
    }
}

impl Curve {
    /// The curve of a `crv` value.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::P256, Self::P384, Self::P521].into_iter().find(|curve| curve.name() == name)
    }

    /// The `crv` value.
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Bytes of one coordinate.
    pub(super) fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// Whether `key_ops` is absent or has `verify` (RFC 7517 §4.3).
fn may_verify(jwk: &Value) -> bool {
    match jwk.get("key_ops") {
        None | Some(Value::Null) => true,
        Some(operations) => operations
            .as_array()
            .is_some_and(|operations| operations.iter().any(|operation| operation == "verify")),
    }
}

/// Removes leading zeros, which some providers send although RFC 7518 §6.3.1.1 forbids them.
fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// Some providers pad the members of their keys, although RFC 7515 §2 forbids it. The key is the same.
const OPTIONAL_PADDING: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The first byte of an uncompressed point (SEC 1 §2.3.3).
pub(super) const UNCOMPRESSED: u8 = 4;
