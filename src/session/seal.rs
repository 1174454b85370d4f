//! Authenticated encryption of what leaves the process, with key rotation.
//! Every sealed text has a key of its own, derived from a root by HKDF (RFC 5869) under a random
//! salt; so a nonce can never repeat under a key, however much is sealed.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use zeroize::Zeroizing;

use crate::random;
use crate::secret::Secret;

/// The roots, newest first; never empty.
#[derive(Clone, Debug)]
pub struct Roots {
    newest: Root,
    older: Vec<Root>,
}

/// What keys are derived from: one `session.secret`.
#[derive(Clone, Debug)]
pub struct Root(Prk);

/// A text could not be opened: it was not sealed by us for this, or somebody changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not sealed by this gateway for this purpose")]
pub struct Forged;

impl Roots {
    /// Takes `session.secret`, newest first; without any, one is made.
    pub fn new(secrets: &[Secret]) -> Self {
        let mut roots = secrets.iter().map(|secret| Root::of(secret.expose().as_bytes()));
        match roots.next() {
            Some(newest) => Self { newest, older: roots.collect() },
            None => Self { newest: Root::of(&random::bytes::<32>()), older: Vec::new() },
        }
    }

    /// The root that seals.
    pub fn newest(&self) -> &Root {
        &self.newest
    }

    /// All roots that open, newest first.
    pub fn all(&self) -> impl Iterator<Item = &Root> {
        std::iter::once(&self.newest).chain(&self.older)
    }
}

impl Root {
    fn of(secret: &[u8]) -> Self {
        Self(Salt::new(HKDF_SHA256, b"portcullis").extract(secret))
    }

    /// 32 bytes that depend on this root, what they are for, and a salt.
    #[expect(clippy::expect_used, reason = "32 bytes are within the 8160 that HKDF-SHA256 gives")]
    pub fn derive(&self, purpose: &str, salt: &[u8]) -> Zeroizing<[u8; 32]> {
        let info = [purpose.as_bytes(), b"\0", salt];
        let mut bytes = Zeroizing::new([0; 32]);
        let material = self.0.expand(&info, Bytes32).expect("HKDF gives 32 bytes");
        material.fill(bytes.as_mut_slice()).expect("HKDF gives 32 bytes");
        bytes
    }

    /// Seals under a key of its own. `salt` must be random and used once for each purpose.
    pub fn seal(&self, purpose: &str, salt: &[u8], aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut sealed = plain.to_vec();
        let key = self.key(purpose, salt);
        #[expect(clippy::expect_used, reason = "AES-GCM seals up to 64 GiB")]
        key.seal_in_place_append_tag(only_nonce(), Aad::from(aad), &mut sealed)
            .expect("a short text can be sealed");
        sealed
    }

    /// Opens what [`Self::seal`] made of the same purpose, salt and associated data.
    pub fn open(
        &self,
        purpose: &str,
        salt: &[u8],
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, Forged> {
        let mut plain = sealed.to_vec();
        let key = self.key(purpose, salt);
        let opened =
            key.open_in_place(only_nonce(), Aad::from(aad), &mut plain).map_err(|_| Forged)?;
        let length = opened.len();
        plain.truncate(length);
        Ok(plain)
    }

    #[expect(clippy::expect_used, reason = "the key has the length of the algorithm")]
    fn key(&self, purpose: &str, salt: &[u8]) -> LessSafeKey {
        let bytes = self.derive(purpose, salt);
        LessSafeKey::new(
            UnboundKey::new(&AES_256_GCM, bytes.as_slice()).expect("32 bytes are a key"),
        )
    }
}

/// A key seals one text only, so its nonce may be fixed.
fn only_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(secrets: &[&str]) -> Roots {
        Roots::new(&secrets.iter().copied().map(Secret::new).collect::<Vec<_>>())
    }

    #[test]
    fn what_was_sealed_opens_only_as_it_was_sealed() {
        let roots = roots(&["a"]);
        let root = roots.newest();
        let sealed = root.seal("state", b"salt", b"aad", b"plain");
        assert_eq!(root.open("state", b"salt", b"aad", &sealed).as_deref(), Ok(&b"plain"[..]));
        assert_eq!(root.open("other", b"salt", b"aad", &sealed), Err(Forged));
        assert_eq!(root.open("state", b"SALT", b"aad", &sealed), Err(Forged));
        assert_eq!(root.open("state", b"salt", b"AAD", &sealed), Err(Forged));
        for at in 0..sealed.len() {
            let mut turned = sealed.clone();
            turned[at] ^= 1;
            assert_eq!(root.open("state", b"salt", b"aad", &turned), Err(Forged), "{at}");
        }
        assert_eq!(root.open("state", b"salt", b"aad", b""), Err(Forged));
    }

    #[test]
    fn an_older_secret_still_opens() {
        let sealed = roots(&["old"]).newest().seal("p", b"s", b"", b"x");
        let opens =
            |roots: Roots| roots.all().any(|root| root.open("p", b"s", b"", &sealed).is_ok());
        assert!(opens(roots(&["new", "old"])));
        assert!(!opens(roots(&["new"])));
        assert!(!opens(roots(&[])));
    }
}
