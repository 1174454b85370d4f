//! The names of keys in Redis.
//! Invariant: no name has a cookie's value, a user's name or anything else that is secret. The braces are the hash tag of
//! Redis Cluster: the record and the lock of a session are in one slot.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use crate::session::KeyHalf;

/// The names under one prefix.
#[derive(Clone, Debug)]
pub(super) struct KeyNames {
    prefix: Arc<str>,
}

impl KeyNames {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The record of a session.
    pub(super) fn record(&self, session: &KeyHalf) -> String {
        format!("{}:{{{}}}:s", self.prefix, hex(session))
    }

    /// The lock under which a session is refreshed.
    pub(super) fn lock(&self, session: &KeyHalf) -> String {
        format!("{}:{{{}}}:l", self.prefix, hex(session))
    }

    /// The sessions of a user, or of a session at the provider.
    pub(super) fn index(&self, whose: &[u8]) -> String {
        let mut half = [0; 16];
        half.copy_from_slice(digest(&SHA256, whose).as_ref().split_at(16).0);
        format!("{}:u:{{{}}}", self.prefix, hex(&half))
    }

    /// A `state` that was used.
    pub(super) fn used_state(&self, state: &[u8; 16]) -> String {
        format!("{}:n:{{{}}}", self.prefix, hex(state))
    }

    /// The session whose record has this name.
    pub(super) fn session_of(&self, name: &[u8]) -> Option<KeyHalf> {
        let name = std::str::from_utf8(name).ok()?;
        let hex = name.strip_prefix(&*self.prefix)?.strip_prefix(":{")?.strip_suffix("}:s")?;
        (hex.len() == 32).then(|| u128::from_str_radix(hex, 16).ok())?.map(u128::to_be_bytes)
    }
}

fn hex(half: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_is_known_by_the_name_of_its_record_only() {
        let (names, half) = (KeyNames::new("gateway"), [0x0f; 16]);
        let record = names.record(&half);
        assert_eq!(record, "gateway:{0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f}:s");
        assert_eq!(names.session_of(record.as_bytes()), Some(half));
        for other in
            [names.lock(&half), KeyNames::new("other").record(&half), names.used_state(&half)]
        {
            assert_eq!(names.session_of(other.as_bytes()), None, "{other}");
        }
    }
}
