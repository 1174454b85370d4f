//! Signed tokens: JWS compact form (RFC 7515), keys (RFC 7517), algorithms (RFC 7518, RFC 8037), on
//! aws-lc-rs.
//! Invariant: claims are returned only after the signature was verified with a key of the caller's set and an
//! algorithm that both the caller and the key allow. Keys and URLs in a token are ignored.

mod algorithm;
mod compact;
pub mod json;
mod jwk;
mod key_set;
mod signing;

use serde_json::{Map, Value};

pub use algorithm::Algorithm;
pub use compact::{Header, claimed_expiry, claimed_member};
pub use jwk::{Curve, Jwk, PublicKey};
pub use key_set::KeySet;
pub use signing::{SigningKey, sign_hs256};

use crate::jose::compact::Compact;

/// A token whose signature was verified. Issuer, audience and times are checked by the caller.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The header of the token.
    pub header: Header,
    /// The payload, a JSON object.
    pub claims: Map<String, Value>,
}

/// Why a token, a key set or a key is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than 256 KiB.
    #[error("the token is too large")]
    TooLarge,
    /// Not three parts with dots between them.
    #[error("the token is not a signed token in compact form")]
    NotCompact,
    /// Five parts: an encrypted token (RFC 7516 §7.1).
    #[error("the token is encrypted")]
    Encrypted,
    /// A part with padding, other characters or stray bits (RFC 7515 §2).
    #[error("a part of the token is not unpadded base64url")]
    Encoding,
    /// Not one JSON object, a repeated member, or a member of the wrong type.
    #[error("the token's header is malformed")]
    Header,
    /// It has `crit` (RFC 7515 §4.1.11).
    #[error("the token's header has critical extensions")]
    Critical,
    /// `alg` is `none`, an HMAC, unknown, or not allowed by the caller.
    #[error("the token's signature algorithm is not accepted")]
    Algorithm,
    /// The set has no key with this ID, or the token has no `kid` and no key fits. A newer set may have the key.
    #[error("the key set has no key for the token's signature")]
    UnknownKey,
    /// The key is for another algorithm (RFC 7517 §4.4).
    #[error("the token's key is not for its signature algorithm")]
    KeyMismatch,
    /// The key did not make this signature.
    #[error("the token's signature is wrong")]
    Signature,
    /// Correctly signed, but not one JSON object without repeated members.
    #[error("the token's payload is not a JSON object")]
    Payload,
    /// Not a JSON object with an array `keys`.
    #[error("the document is not a JWK Set")]
    KeySet,
    /// A private key that cannot be generated, parsed or used.
    #[error("the signing key is not usable")]
    SigningKey,
}

impl Error {
    /// Whether the token may be valid with a newer key set: its form is correct.
    pub fn may_verify_with_newer_keys(self) -> bool {
        match self {
            Self::UnknownKey | Self::KeyMismatch | Self::Signature => true,
            Self::TooLarge
            | Self::NotCompact
            | Self::Encrypted
            | Self::Encoding
            | Self::Header
            | Self::Critical
            | Self::Algorithm
            | Self::Payload
            | Self::KeySet
            | Self::SigningKey => false,
        }
    }
}

/// Verifies a token in compact form with one of `keys`, by one of the `allowed` algorithms.
pub fn verify(compact: &str, keys: &KeySet, allowed: &[Algorithm]) -> Result<Verified, Error> {
    let (header, payload) = verify_bytes(compact, keys, allowed)?;
    let claims = json::object(&payload).map_err(|_| Error::Payload)?;
    Ok(Verified { header, claims })
}

fn verify_bytes(
    compact: &str,
    keys: &KeySet,
    allowed: &[Algorithm],
) -> Result<(Header, Vec<u8>), Error> {
    let token = Compact::parse(compact)?;
    // SECURITY: the caller has the allow-list, or the token would choose how it is verified (RFC 8725 §3.1).
    if !allowed.contains(&token.header.algorithm) {
        return Err(Error::Algorithm);
    }
    keys.check(&token.header, token.signing_input.as_bytes(), &token.signature)?;
    let payload = token.payload()?;
    Ok((token.header, payload))
}

#[cfg(test)]
mod tests;
