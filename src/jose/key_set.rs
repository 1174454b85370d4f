//! A provider's public keys (RFC 7517 §5) and the choice of one for a token.
//! Invariant: a key is tried only for the algorithms that it was parsed for, and the number of tries is limited.

use serde_json::Value;

use crate::jose::jwk::Jwk;
use crate::jose::{Error, Header, json};

/// The usable keys of one JWK Set document.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Jwk>,
}

impl KeySet {
    /// Parses a JWK Set. Unusable keys are skipped (RFC 7517 §5). Only a document that is not a JWK Set is an
    /// error.
    pub fn parse(document: &[u8]) -> Result<Self, Error> {
        let document = json::object(document).map_err(|_| Error::KeySet)?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or(Error::KeySet)?;
        Ok(Self { keys: keys.iter().take(MAX_KEYS).filter_map(Jwk::parse).collect() })
    }

    /// The usable keys, in the order of the document.
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// Whether it has no usable key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Verifies a signature with the keys that the header may refer to.
    pub(super) fn check(
        &self,
        header: &Header,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        // Keys with that ID and keys without one; any key if the token has no `kid` (OIDC Core §10.1).
        let kid = header.kid.as_deref();
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| kid.is_none() || key.kid().is_none() || key.kid() == kid)
            .filter_map(|key| key.verifier(header.algorithm))
            .take(MAX_TRIALS)
            .peekable();
        let fits = fitting.peek().is_some();
        if fitting.any(|key| key.verify_sig(message, signature).is_ok()) {
            Ok(())
        } else if kid.is_none() || !self.keys.iter().any(|key| key.kid() == kid) {
            Err(Error::UnknownKey)
        } else if fits {
            Err(Error::Signature)
        } else {
            Err(Error::KeyMismatch)
        }
    }
}

/// Keys of a document that are parsed. The largest known sets have about twenty.
const MAX_KEYS: usize = 100;

/// Keys that are tried for one signature, if several have the same ID or none.
const MAX_TRIALS: usize = 16;
