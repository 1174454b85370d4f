//! `FILE.ended`: the keys of the sessions that ended since the snapshot was begun.
//! Invariants: a key is in the file from [`EndedFile::append`] until a snapshot without its session has replaced the one
//! before. A key too many does no harm, because no session gets the key of another. Unused slots are zeros that are on
//! the disk already, so that a full disk does not keep a session from ending.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::session::SessionKey;

/// The open file.
#[derive(Debug)]
pub(super) struct EndedFile {
    file: File,
    /// How many slots have a key.
    used: u64,
    /// How many slots the file has.
    slots: u64,
    /// How often keys could not be recorded.
    lost: u64,
}

/// The state of the file when a snapshot was begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    used: u64,
    lost: u64,
}

impl EndedFile {
    /// Opens the file, or makes an empty one. Returns the keys in it, too.
    pub(super) fn open(path: &Path) -> io::Result<(Self, HashSet<SessionKey>)> {
        let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).custom_flags(no_follow).open(path)?;
        // A slot that a crash left incomplete is of a sign-out that was not answered.
        let slots = file.metadata()?.len() / SLOT;
        let mut this = Self { file, used: 0, slots, lost: 0 };
        let mut keys = HashSet::new();
        for (number, key) in (1..).zip(this.read(0, slots)?) {
            if key != [0; SLOT as usize] {
                keys.insert(SessionKey::of_bytes(key));
                this.used = number;
            }
        }
        if this.reserve() {
            this.file.sync_all()?;
        }
        Ok((this, keys))
    }

    /// A file that is open already, for tests.
    #[cfg(test)]
    pub(super) fn on(file: File) -> Self {
        Self { file, used: 0, slots: 0, lost: 0 }
    }

    /// Adds keys. After an error, not all of them are in the file.
    pub(super) fn append(&mut self, keys: &[SessionKey]) -> io::Result<()> {
        let bytes: Vec<u8> = keys.iter().flat_map(|key| key.bytes()).collect();
        if let Err(error) = self.file.write_all_at(&bytes, self.used * SLOT) {
            self.lost += 1;
            return Err(error);
        }
        self.used += keys.len() as u64;
        self.slots = self.slots.max(self.used);
        self.reserve();
        Ok(())
    }

    /// Where the file is now.
    pub(super) fn mark(&self) -> Mark {
        Mark { used: self.used, lost: self.lost }
    }

    /// Whether all sessions that ended since this mark are in the file.
    pub(super) fn is_complete_since(&self, mark: Mark) -> bool {
        self.lost == mark.lost
    }

    /// Removes the keys from before this mark: the snapshot that was begun then has replaced the one before, and none of
    /// their sessions is in it.
    pub(super) fn forget_before(&mut self, mark: Mark) -> io::Result<()> {
        let left = self.used.saturating_sub(mark.used);
        // Otherwise a crash could leave a half-moved key. The next snapshot finds fewer keys.
        if left > mark.used {
            return Ok(());
        }
        let keys = self.read(mark.used, self.used)?.concat();
        self.file.write_all_at(&keys, 0)?;
        self.file.sync_data()?;
        let zeros = vec![0; usize::try_from((self.used - left) * SLOT).unwrap_or(0)];
        self.file.write_all_at(&zeros, left * SLOT)?;
        self.used = left;
        if self.slots > LARGE.max(2 * left) {
            self.slots = left + RESERVE;
            self.file.set_len(self.slots * SLOT)?;
        }
        Ok(())
    }

    /// The file, to wait for the disk without keeping it from others.
    pub(super) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// The keys in the slots from `begin` to `end`.
    fn read(&self, begin: u64, end: u64) -> io::Result<Vec<[u8; SLOT as usize]>> {
        let length = usize::try_from(end.saturating_sub(begin) * SLOT).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, begin * SLOT)?;
        Ok(bytes.as_chunks().0.to_vec())
    }

    /// Makes sure that there are unused slots, if the disk has room for them. Returns whether it added some.
    fn reserve(&mut self) -> bool {
        if self.slots.saturating_sub(self.used) > RESERVE / 2 {
            return false;
        }
        let zeros = vec![0; usize::try_from(RESERVE * SLOT).unwrap_or(0)];
        let added = self.file.write_all_at(&zeros, self.slots * SLOT).is_ok();
        if added {
            self.slots += RESERVE;
        }
        added
    }
}

/// Bytes of a slot.
const SLOT: u64 = 32;
/// Unused slots that the file gets at a time.
const RESERVE: u64 = 1024;
/// A file with more slots shrinks again.
const LARGE: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionId;

    fn keys(count: usize) -> Vec<SessionKey> {
        (0..count).map(|_| SessionId::generate().key()).collect()
    }

    fn read(path: &Path) -> HashSet<SessionKey> {
        EndedFile::open(path).unwrap().1
    }

    #[test]
    fn keys_stay_until_a_snapshot_that_began_after_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.ended");
        let (mut file, none) = EndedFile::open(&path).unwrap();
        assert!(none.is_empty());
        for (before, after) in [(0, 0), (3, 0), (0, 2), (3, 2), (2, 3), (5000, 1), (2000, 2000)] {
            let (before, after) = (keys(before), keys(after));
            file.append(&before).unwrap();
            let mark = file.mark();
            file.append(&after).unwrap();
            assert!(read(&path).is_superset(&before.iter().chain(&after).copied().collect()));
            file.forget_before(mark).unwrap();
            let left = read(&path);
            assert!(left.is_superset(&after.iter().copied().collect()));
            let moved = after.len() <= before.len();
            assert_eq!(before.iter().any(|key| left.contains(key)), !moved && !before.is_empty());
            file.forget_before(file.mark()).unwrap();
            assert!(read(&path).is_empty());
        }
    }

    #[test]
    fn file_is_continued_after_a_crash_also_within_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.ended");
        let (first, second) = (keys(2), keys(2));
        EndedFile::open(&path).unwrap().0.append(&first).unwrap();
        let mut bytes = first.iter().flat_map(|key| key.bytes()).collect::<Vec<u8>>();
        bytes.extend([7; 20]);
        std::fs::write(&path, &bytes).unwrap();
        let (mut file, found) = EndedFile::open(&path).unwrap();
        assert_eq!(found, first.iter().copied().collect());
        file.append(&second).unwrap();
        assert_eq!(read(&path), first.into_iter().chain(second).collect());
    }

    #[test]
    fn file_shrinks_after_many_sessions_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.ended");
        let (mut file, _) = EndedFile::open(&path).unwrap();
        let size = || std::fs::metadata(&path).unwrap().len();
        assert_eq!(size(), RESERVE * SLOT);
        file.append(&keys(70_000)).unwrap();
        assert!(size() > LARGE * SLOT);
        file.forget_before(file.mark()).unwrap();
        assert_eq!(size(), RESERVE * SLOT);
        let more = keys(10);
        file.append(&more).unwrap();
        assert_eq!(read(&path), more.into_iter().collect());
    }

    #[test]
    fn link_in_place_of_the_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.ended");
        std::os::unix::fs::symlink(folder.path().join("other"), &path).unwrap();
        assert!(EndedFile::open(&path).is_err());
    }
}
