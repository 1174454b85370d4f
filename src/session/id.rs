//! Session ids, and the keys under which the table stores sessions.
//! Invariant: the browser holds the id, the table holds only its hash. Neither a memory dump nor the time of
//! a lookup reveals an id.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

use aws_lc_rs::digest::{SHA256, digest};

use crate::random;

/// The value of the session cookie: 256 random bits as 43 characters of base64url. A secret.
pub struct SessionId(String);

/// The key of a session in the table: the SHA-256 of the id's text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionKey {
    half: KeyHalf,
    rest: [u8; 16],
}

/// The first half of a key: enough to recognise a session, and not enough to find it by its cookie.
pub type KeyHalf = [u8; 16];

impl SessionId {
    /// Generates an id. An id is never taken from a browser.
    pub fn generate() -> Self {
        Self(random::text::<32>())
    }

    /// The id as a cookie value.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The key under which the table stores the session.
    pub fn key(&self) -> SessionKey {
        SessionKey::of(&self.0)
    }
}

impl SessionKey {
    /// The key for a cookie value; `None` if the value does not have the length of an id.
    pub fn of_cookie(text: &str) -> Option<Self> {
        (text.len() == ID_LENGTH).then(|| Self::of(text))
    }

    // SECURITY: lookups are by hash, so that their time reveals nothing about an id.
    fn of(id: &str) -> Self {
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, id.as_bytes()).as_ref());
        Self::of_bytes(key)
    }

    /// The bytes, for a store.
    pub(super) fn bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let (half, rest) = bytes.split_at_mut(16);
        half.copy_from_slice(&self.half);
        rest.copy_from_slice(&self.rest);
        bytes
    }

    /// The reverse of [`Self::bytes`].
    pub(super) fn of_bytes(bytes: [u8; 32]) -> Self {
        let (mut half, mut rest) = ([0; 16], [0; 16]);
        half.copy_from_slice(bytes.split_at(16).0);
        rest.copy_from_slice(bytes.split_at(16).1);
        Self { half, rest }
    }

    /// The first 16 bytes: enough to recognise a session.
    pub fn half(&self) -> KeyHalf {
        self.half
    }
}

/// No two of 2^64 sessions have the same half, so that the table finds a session by it, too.
impl Borrow<KeyHalf> for SessionKey {
    fn borrow(&self) -> &KeyHalf {
        &self.half
    }
}

impl Hash for SessionKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.half.hash(state);
    }
}

impl std::fmt::Debug for SessionKey {
    /// Eight characters: enough to follow a session through a log, not to look it up.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.half.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// 32 bytes as unpadded base64url.
const ID_LENGTH: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_has_one_key_and_text_of_another_length_has_none() {
        let id = SessionId::generate();
        let text = id.expose();
        assert_eq!(text.len(), 43);
        let key = |text: &str| SessionKey::of_cookie(text);
        assert!(key(text) == Some(id.key()));
        assert!(key(&text.to_ascii_lowercase()) != Some(id.key()));
        let short: String = text.chars().skip(1).collect();
        for wrong in ["", "a", &short, &format!("{text}A"), &format!("{text}=")] {
            assert!(key(wrong).is_none(), "{wrong}");
        }
    }
}
