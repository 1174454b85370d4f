//! The demo provider's keys: the one it signs with, and the others of its JWK Set.
//! Invariant: what is published is what this file says, in one order, the signing key first.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::jose::{Algorithm, Error, KeySet, SigningKey};

/// All keys of the provider.
#[derive(Debug)]
pub struct Keyring {
    /// Signs the ID Tokens.
    main: Arc<SigningKey>,
    /// Published for encryption only.
    encryption: Arc<SigningKey>,
    /// Published beside the main key, made when first needed.
    others: HashMap<Algorithm, Arc<SigningKey>>,
    /// No longer published, still recognised in an `id_token_hint`.
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
        // Cheap to make, and published from the start, as by a provider that serves several clients.
        for cheap in [Algorithm::ES256, Algorithm::EdDSA] {
            keyring.signer(cheap)?;
        }
        Ok(keyring)
    }

    /// The key that signs the ID Tokens.
    pub fn main(&self) -> &Arc<SigningKey> {
        &self.main
    }

    /// The key that is published for encryption only.
    pub fn encryption(&self) -> &Arc<SigningKey> {
        &self.encryption
    }

    /// The published key for an algorithm, made when first needed.
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

    /// Every key that ever signed, for what comes back from clients.
    pub(super) fn recognised(&self) -> Result<KeySet, Error> {
        let keys = [self.published(), self.retired.clone()].concat();
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }
}
