//! Keys of the demo provider: its signing key, and the other keys of its JWK Set.
//! Invariant: the keys are published in a fixed order, the signing key first.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::jose::{Algorithm, Error, KeySet, SigningKey};

/// All keys of the provider.
#[derive(Debug)]
pub struct Keyring {
    /// Signs ID tokens.
    main: Arc<SigningKey>,
    /// Published for encryption only.
    encryption: Arc<SigningKey>,
    /// Published with the main key, generated when first used.
    others: HashMap<Algorithm, Arc<SigningKey>>,
    /// No longer published, but still accepted in an `id_token_hint`.
    retired: Vec<Value>,
}

impl Keyring {
    pub(super) fn generate(algorithm: Algorithm) -> Result<Self, Error> {
        let key = |algorithm| SigningKey::generate(algorithm).map(Arc::new);
        let mut keyring = Self {
            main: key(algorithm)?,
            encryption: key(Algorithm::ES256)?,
            others: HashMap::new(),
            retired: Vec::new(),
        };
        // Fast to generate, and published from the start, like those of a provider with several clients.
        for cheap in [Algorithm::ES256, Algorithm::EdDSA] {
            keyring.signer(cheap)?;
        }
        Ok(keyring)
    }

    /// The key that signs ID tokens.
    pub fn main(&self) -> &Arc<SigningKey> {
        &self.main
    }

    /// The key that is published for encryption only.
    pub fn encryption(&self) -> &Arc<SigningKey> {
        &self.encryption
    }

    /// The published key for an algorithm, generated when first used.
    pub fn signer(&mut self, algorithm: Algorithm) -> Result<Arc<SigningKey>, Error> {
        if self.main.algorithm() == algorithm {
            return Ok(self.main.clone());
        }
        if let Some(key) = self.others.get(&algorithm) {
            return Ok(key.clone());
        }
        let key = Arc::new(SigningKey::generate(algorithm)?);
        self.others.insert(algorithm, key.clone());
        Ok(key)
    }

    /// Replaces the main key; the old one is no longer published.
    pub fn rotate(&mut self) -> Result<(), Error> {
        let fresh = Arc::new(SigningKey::generate(self.main.algorithm())?);
        let old = std::mem::replace(&mut self.main, fresh);
        self.retired.push(old.public_jwk());
        Ok(())
    }

    /// The keys of the JWK Set.
    pub(super) fn published(&self) -> Vec<Value> {
        let mut encryption = self.encryption.public_jwk();
        if let Some(members) = encryption.as_object_mut() {
            members.insert("use".into(), json!("enc"));
            members.remove("alg");
        }
        let mut others: Vec<_> = self.others.values().map(|key| key.public_jwk()).collect();
        others.sort_by_key(|jwk| jwk.get("alg").map(ToString::to_string));
        [vec![self.main.public_jwk()], others, vec![encryption]].concat()
    }

    /// All keys that have signed tokens, to verify hints of clients.
    pub(super) fn accepted(&self) -> Result<KeySet, Error> {
        let keys = [self.published(), self.retired.clone()].concat();
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }
}
