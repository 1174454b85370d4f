//! Signed tokens: JWS compact form (RFC 7515), keys (RFC 7517), algorithms (RFC 7518, RFC 8037), on
//! aws-lc-rs.
//! Invariant: claims come out only after their signature was verified, by a key of the caller's set, with
//! an algorithm that the caller allowed and the key is for. What a token says about keys is never followed.

mod algorithm;
mod compact;
pub mod json;
mod jwk;
mod key_set;
mod signing;

use serde_json::{Map, Value};

pub use algorithm::Algorithm;
use compact::Compact;
pub use compact::Header;
pub use jwk::{Curve, Jwk, PublicKey};
pub use key_set::KeySet;
pub use signing::{SigningKey, sign_hs256};

/// A token whose signature holds. Who issued it, for whom and for how long is the caller's to check.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What the token said about its signature.
    pub header: Header,
    /// The payload, a JSON object.
    pub claims: Map<String, Value>,
}

/// Why a token, a key set or a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than 256 KiB.
    #[error("the token is too large")]
    TooLarge,
    /// Not three parts with dots between them.
    #[error("the token is not a signed token in compact form")]
    NotCompact,
    /// A part with padding, other characters or stray bits (RFC 7515 §2).
    #[error("a part of the token is not unpadded base64url")]
    Encoding,
    /// Not one JSON object, a member twice, or a member of the wrong type.
    #[error("the token's header is malformed")]
    Header,
    /// `crit` is there (RFC 7515 §4.1.11).
    #[error("the token's header has critical extensions")]
    Critical,
    /// `alg` is `none`, an HMAC, unknown, or not allowed by the caller.
    #[error("the token's signature algorithm is not accepted")]
    Algorithm,
    /// No key of that name in the set, or no name and no key that fits; a newer set may have it.
    #[error("the key set has no key for the token's signature")]
    UnknownKey,
    /// The key is there, but for another algorithm (RFC 7517 §4.4).
    #[error("the token's key is not for its signature algorithm")]
    KeyMismatch,
    /// The key is there, and did not make this signature.
    #[error("the token's signature is wrong")]
    Signature,
    /// Rightly signed, yet not one JSON object without duplicate members.
    #[error("the token's payload is not a JSON object")]
    Payload,
    /// Not a JSON object with an array `keys`.
    #[error("the document is not a JWK Set")]
    KeySet,
    /// A private key that cannot be made, read or used.
    #[error("the signing key is not usable")]
    SigningKey,
}

impl Error {
    /// Whether the token may be good by a newer key set: its own form is not what was refused.
    pub fn may_pass_with_newer_keys(self) -> bool {
        match self {
            Self::UnknownKey | Self::KeyMismatch | Self::Signature => true,
            Self::TooLarge
            | Self::NotCompact
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
    // SECURITY: the allow-list is the caller's, or the token would choose how it is checked (RFC 8725 §3.1).
    if !allowed.contains(&token.header.algorithm) {
        return Err(Error::Algorithm);
    }
    keys.check(&token.header, token.signing_input.as_bytes(), &token.signature)?;
    let payload = token.payload()?;
    Ok((token.header, payload))
}

#[cfg(test)]
mod tests;
