//! A session as the value of a key in Redis.
//! Invariants: the value is sealed under `session.secret` and bound to the name of its key, so that a value that was
//! changed or moved is not read. A value has a random generation, which names it in plain text: who replaces a value
//! names the one that it has read.

use std::io;

use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::random;
use crate::session::codec::{Decoder, Timeline, Unreadable, encode};
use crate::session::seal::Roots;
use crate::session::{KeyHalf, Session, SessionData};

/// Names one value of a key. Bytes 1 to 16 of the value.
pub(super) type Generation = [u8; 16];

/// Why a value is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnreadableRecord {
    #[error("it has the format {0}, this version reads the format {VERSION}")]
    Version(u8),
    #[error("session.secret does not list the secret that it was written with")]
    OtherSecret,
    #[error("it is damaged, or the value of another key")]
    Damaged,
    #[error(transparent)]
    Session(#[from] Unreadable),
}

/// The value of a session with this data. `name` is that of its key.
pub(super) fn seal(
    session: &Session,
    data: &SessionData,
    name: &str,
    roots: &Roots,
    clock: &Clock,
) -> io::Result<(Generation, Vec<u8>)> {
    let generation: Generation = random::bytes();
    let mut plain = Zeroizing::new(Vec::new());
    encode(session, data, Timeline::now(clock), &mut plain)?;
    let root = roots.newest();
    let mut value = vec![VERSION];
    value.extend(generation);
    value.extend(root.id());
    let sealed = root.seal(PURPOSE, &generation, &aad(name, &value), &plain);
    value.extend(sealed);
    Ok((generation, value))
}

/// The generation of a value.
pub(super) fn generation_of(value: &[u8]) -> Option<Generation> {
    value.get(1..17)?.try_into().ok()
}

/// Reads the value of the key of this session.
pub(super) fn open(
    value: &[u8],
    half: &KeyHalf,
    name: &str,
    roots: &Roots,
    clock: &Clock,
) -> Result<Session, UnreadableRecord> {
    let version = *value.first().ok_or(UnreadableRecord::Damaged)?;
    if version != VERSION {
        return Err(UnreadableRecord::Version(version));
    }
    let (header, sealed) = value.split_at_checked(HEADER).ok_or(UnreadableRecord::Damaged)?;
    let generation = generation_of(header).ok_or(UnreadableRecord::Damaged)?;
    let id = header.last_chunk().ok_or(UnreadableRecord::Damaged)?;
    let root = roots.by_id(*id).ok_or(UnreadableRecord::OtherSecret)?;
    let plain = root.open(PURPOSE, &generation, &aad(name, header), sealed);
    let plain = Zeroizing::new(plain.map_err(|_| UnreadableRecord::Damaged)?);
    let session = Decoder::new(Timeline::now(clock)).decode(&plain)?;
    match session.key().half() == *half {
        true => Ok(session),
        false => Err(UnreadableRecord::Damaged),
    }
}

fn aad(name: &str, header: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"\0", header].concat()
}

/// The version of the value. That of the session in it has a byte of its own.
const VERSION: u8 = 1;
/// The bytes before the sealed text: version, generation, ID of the root.
const HEADER: usize = 1 + 16 + 8;
const PURPOSE: &str = "session record";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::session::seal::Root;
    use crate::session::tests::session;

    fn roots(secrets: &[&str]) -> Roots {
        let secrets: Vec<_> = secrets.iter().copied().map(Secret::new).collect();
        Roots::new(&secrets, &Root::generate())
    }

    // T96
    #[test]
    fn value_is_read_only_under_its_name_and_whole() {
        let (roots, clock) = (roots(&["secret"]), Clock::manual());
        let session = session("alice", 60, Some("refresh-me"), clock.moment());
        let half = session.key().half();
        let (generation, value) = seal(&session, &session.data(), "name", &roots, &clock).unwrap();
        assert_eq!(generation_of(&value), Some(generation));
        let read = open(&value, &half, "name", &roots, &clock).unwrap();
        assert_eq!(read.data().identity, session.data().identity);
        assert_eq!(read.key(), session.key());
        assert!(open(&value, &half, "other", &roots, &clock).is_err());
        assert!(open(&value, &[0; 16], "name", &roots, &clock).is_err());
        for at in 0..value.len() {
            let mut changed = value.clone();
            changed[at] ^= 1;
            assert!(open(&changed, &half, "name", &roots, &clock).is_err(), "{at}");
            assert!(open(&value[..at], &half, "name", &roots, &clock).is_err(), "{at}");
        }
        let text = String::from_utf8_lossy(&value);
        assert!(!text.contains("refresh-me") && !text.contains("alice"));
    }

    #[test]
    fn value_says_why_it_is_not_read() {
        let clock = Clock::manual();
        let session = session("alice", 60, None, clock.moment());
        let half = session.key().half();
        let (_, mut value) =
            seal(&session, &session.data(), "name", &roots(&["old"]), &clock).unwrap();
        let open = |value: &[u8], secrets: &[&str]| {
            open(value, &half, "name", &roots(secrets), &clock).map(drop)
        };
        assert_eq!(open(&value, &["new", "old"]), Ok(()));
        assert_eq!(open(&value, &["new"]), Err(UnreadableRecord::OtherSecret));
        value[0] = 2;
        assert_eq!(open(&value, &["old"]), Err(UnreadableRecord::Version(2)));
        assert_eq!(open(&[], &["old"]), Err(UnreadableRecord::Damaged));
    }
}
