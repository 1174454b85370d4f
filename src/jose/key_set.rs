//! A provider's public keys (RFC 7517 §5) and the choice among them.
//! Invariant: a key is only tried for an algorithm it was parsed for; trials per signature are bounded.

use serde_json::Value;

use super::jwk::Jwk;
use super::{Error, Header, json};

/// The usable keys of one JWK Set document.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Jwk>,
}

impl KeySet {
    /// Reads a JWK Set. Keys that we cannot use are skipped (RFC 7517 §5); only a document that is no
    /// JWK Set at all is an error.
    pub fn parse(document: &[u8]) -> Result<Self, Error> {
        let document = json::object(document).map_err(|_| Error::KeySet)?;
        let keys = document.get("keys").and_then(Value::as_array).ok_or(Error::KeySet)?;
        Ok(Self { keys: keys.iter().take(MAX_KEYS).filter_map(Jwk::parse).collect() })
    }

    /// The usable keys, in the order of the document.
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// Whether no key can be used.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Checks a signature with the keys that the header may mean.
    pub(super) fn check(
        &self,
        header: &Header,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        // The keys of that name and those without one; where the token names none, any (OIDC Core §10.1).
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

/// How many keys of a document are looked at; the largest real sets have some twenty.
const MAX_KEYS: usize = 100;

/// How many keys are tried on one signature, when they share a name or have none.
const MAX_TRIALS: usize = 16;
