//! Session ids, and the keys under which the table stores sessions.
//! Invariant: the browser holds the id, the table holds only its hash. Neither a memory dump nor the time of
//! a lookup reveals an id.

use aws_lc_rs::digest::{SHA256, digest};

use crate::random;

/// The value of the session cookie: 256 random bits as 43 characters of base64url. A secret.
pub struct SessionId(String);

/// The key of a session in the table: the SHA-256 of the id's text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey([u8; 32]);

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
        Self(key)
    }

    /// The bytes, for a store.
    pub(super) fn bytes(self) -> [u8; 32] {
        self.0
    }

    /// The reverse of [`Self::bytes`].
    pub(super) fn of_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The first 16 bytes: enough to recognise a session.
    pub fn half(&self) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(self.0.split_at(16).0);
        half
    }
}

impl std::fmt::Debug for SessionKey {
    /// Eight characters: enough to follow a session through a log, not to look it up.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
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
