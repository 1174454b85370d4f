//! Reading a snapshot into the table of a process that starts.
//! Invariant: all or nothing. A snapshot that cannot be read to its end leaves the table empty.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::clock::{Clock, UnixTime};
use crate::session::codec::{Decoder, Timeline, Unreadable};
use crate::session::seal::{KeyId, Roots};
use crate::session::snapshot::sealed_stream::{OpeningReader, StreamError, StreamHeader};
use crate::session::table::SessionTable;
use crate::session::{ProviderMark, Session, SessionKey};

/// What decides which sessions of a snapshot continue.
#[derive(Clone, Debug)]
pub struct Continuing {
    /// `session.secret`.
    pub roots: Roots,
    /// `session.lifetime`.
    pub lifetime: Duration,
    /// The configured providers, by their ID.
    pub providers: BTreeMap<Arc<str>, ProviderMark>,
}

/// What was in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Sessions that continue.
    pub sessions: usize,
    /// Sessions that do not: they ended, or their provider is no longer configured.
    pub dropped: usize,
    /// When it was written.
    pub written: UnixTime,
    /// The root that sealed it.
    pub(super) key_id: KeyId,
}

/// Why a snapshot is not loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("session.secret does not list the secret that it was written with")]
    OtherSecret,
    #[error("the file of sessions that ended since, with the same name and .ended, is missing")]
    NoEnded,
    #[error("it is damaged or incomplete")]
    Damaged,
    #[error(transparent)]
    Session(#[from] Unreadable),
}

/// Reads the snapshot into a table without sessions, except for those that ended.
pub(super) fn load(
    mut file: File,
    ended: &HashSet<SessionKey>,
    table: &SessionTable,
    continuing: &Continuing,
    clock: &Clock,
) -> Result<Loaded, LoadError> {
    let header = StreamHeader::read(&mut file)?;
    let root = header.root(&continuing.roots).ok_or(LoadError::OtherSecret)?;
    let mut loaded =
        Loaded { sessions: 0, dropped: 0, written: header.written, key_id: header.key_id };
    let mut decoder = Decoder::new(Timeline::not_before(header.written, clock));
    let mut reader = OpeningReader::new(file, header, root);
    let mut bytes = Zeroizing::new(Vec::new());
    let mut read_all = || -> Result<(), LoadError> {
        while !reader.is_at_end()? {
            read_record(&mut reader, &mut bytes)?;
            let session = decoder.decode(&bytes)?.within(continuing.lifetime);
            if ended.contains(&session.key()) || !continues(&session, table, continuing, clock) {
                loaded.dropped += 1;
            } else {
                loaded.sessions += 1;
                table.restore(session);
            }
        }
        Ok(())
    };
    if let Err(error) = read_all() {
        table.clear();
        return Err(error.or_damaged());
    }
    let evicted = table.apply_limits();
    loaded.sessions = loaded.sessions.saturating_sub(evicted);
    loaded.dropped += evicted;
    Ok(loaded)
}

/// Reads a session's bytes, which follow their length.
fn read_record(reader: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    bytes.clear();
    let length = u64::from(u32::from_be_bytes(length));
    match reader.take(length).read_to_end(bytes)? as u64 == length {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn continues(
    session: &Session,
    table: &SessionTable,
    continuing: &Continuing,
    clock: &Clock,
) -> bool {
    // SECURITY: the ID of a provider can name another one now, where the same subject is another user.
    let provider = continuing.providers.get(&session.data().identity.provider);
    provider == Some(&session.provider()) && !session.is_over(clock.moment(), table.idle_timeout())
}

/// Whether the disk works, and what it has cannot be read.
fn is_of_content(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

impl LoadError {
    /// The same; what is missing or was changed is damaged.
    fn or_damaged(self) -> Self {
        match self {
            Self::Io(error) if is_of_content(&error) => Self::Damaged,
            Self::Io(_)
            | Self::Stream(_)
            | Self::OtherSecret
            | Self::NoEnded
            | Self::Damaged
            | Self::Session(_) => self,
        }
    }
}
