//! Authenticated encryption of what leaves the process, with key rotation.
//! Invariant: every sealed text has its own key, derived from a root by HKDF (RFC 5869), with a purpose and a
//! random value in its `info`. So no nonce repeats under a key, however much is sealed.

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

/// The root that keys are derived from: one `session.secret`.
#[derive(Clone, Debug)]
pub struct Root(Prk);

/// Names the root that sealed a text.
pub type KeyId = [u8; 8];

/// The text was not sealed by this gateway for this purpose, or it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not sealed by this gateway for this purpose")]
pub struct Forged;

impl Roots {
    /// The roots of `session.secret`, newest first; `generated` if none is configured.
    pub fn new(secrets: &[Secret], generated: &Root) -> Self {
        let mut roots = secrets.iter().map(|secret| Root::of(secret.expose().as_bytes()));
        match roots.next() {
            Some(newest) => Self { newest, older: roots.collect() },
            None => Self { newest: generated.clone(), older: Vec::new() },
        }
    }

    /// The root that seals.
    pub fn newest(&self) -> &Root {
        &self.newest
    }

    /// The root with this ID.
    pub fn by_id(&self, id: KeyId) -> Option<&Root> {
        self.all().find(|root| root.id() == id)
    }

    /// All roots that open, newest first.
    pub fn all(&self) -> impl Iterator<Item = &Root> {
        std::iter::once(&self.newest).chain(&self.older)
    }
}

impl Root {
    /// A random root, for a process without `session.secret`.
    pub fn generate() -> Self {
        Self::of(&random::bytes::<32>())
    }

    fn of(secret: &[u8]) -> Self {
        Self(Salt::new(HKDF_SHA256, b"portcullis").extract(secret))
    }

    /// Names this root without revealing anything of it.
    pub fn id(&self) -> KeyId {
        self.derive(KEY_ID, b"").first_chunk().copied().unwrap_or_default()
    }

    /// Derives 32 bytes from this root, a purpose and a random value.
    #[expect(clippy::expect_used, reason = "HKDF-SHA256 derives up to 8160 bytes")]
    pub fn derive(&self, purpose: &str, random: &[u8]) -> Zeroizing<[u8; 32]> {
        let info = [purpose.as_bytes(), b"\0", random];
        let mut bytes = Zeroizing::new([0; 32]);
        let material = self.0.expand(&info, Bytes32).expect("HKDF derives 32 bytes");
        material.fill(bytes.as_mut_slice()).expect("HKDF derives 32 bytes");
        bytes
    }

    /// Seals with a key for this random value alone. `random` must be used once for each purpose.
    pub fn seal(&self, purpose: &str, random: &[u8], aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut sealed = plain.to_vec();
        self.seal_in_place(purpose, random, aad, &mut sealed);
        sealed
    }

    /// The same in place, for a long text. The sealed one is [`TAG`] bytes longer.
    pub fn seal_in_place(&self, purpose: &str, random: &[u8], aad: &[u8], text: &mut Vec<u8>) {
        let key = self.key(purpose, random);
        #[expect(clippy::expect_used, reason = "AES-GCM seals up to 64 GiB")]
        key.seal_in_place_append_tag(only_nonce(), Aad::from(aad), text)
            .expect("a short text can be sealed");
    }

    /// Opens what [`Self::seal`] sealed with the same purpose, random value and associated data.
    pub fn open(
        &self,
        purpose: &str,
        random: &[u8],
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, Forged> {
        let mut plain = sealed.to_vec();
        self.open_in_place(purpose, random, aad, &mut plain)?;
        Ok(plain)
    }

    /// The same in place. After an error, nothing is known of the text.
    pub fn open_in_place(
        &self,
        purpose: &str,
        random: &[u8],
        aad: &[u8],
        text: &mut Vec<u8>,
    ) -> Result<(), Forged> {
        let key = self.key(purpose, random);
        let opened = key.open_in_place(only_nonce(), Aad::from(aad), text).map_err(|_| Forged)?;
        let length = opened.len();
        text.truncate(length);
        Ok(())
    }

    #[expect(clippy::expect_used, reason = "the key has the length of the algorithm")]
    fn key(&self, purpose: &str, random: &[u8]) -> LessSafeKey {
        let bytes = self.derive(purpose, random);
        LessSafeKey::new(
            UnboundKey::new(&AES_256_GCM, bytes.as_slice()).expect("32 bytes are a key"),
        )
    }
}

const KEY_ID: &str = "session snapshot: id of the key";

/// Bytes by which a sealed text is longer.
pub const TAG: usize = 16;

/// A key seals one text only, so its nonce can be fixed.
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
        let secrets: Vec<_> = secrets.iter().copied().map(Secret::new).collect();
        Roots::new(&secrets, &Root::generate())
    }

    #[test]
    fn sealed_text_opens_only_with_the_same_purpose_random_value_and_data() {
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
    fn older_secret_opens_but_removed_secret_does_not() {
        let sealed = roots(&["old"]).newest().seal("p", b"s", b"", b"x");
        let opens =
            |roots: Roots| roots.all().any(|root| root.open("p", b"s", b"", &sealed).is_ok());
        assert!(opens(roots(&["new", "old"])));
        assert!(!opens(roots(&["new"])));
        assert!(!opens(roots(&[])));
    }
}
