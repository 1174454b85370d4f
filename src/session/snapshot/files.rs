//! The files of a snapshot: names, lock, and the steps by which one replaces the other.
//! Invariant: at any step, a crash leaves the old file or the new one under the name, never a part of one.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The names of all files, from `session.snapshot`.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// The sealed sessions.
    pub(super) snapshot: PathBuf,
    /// The sessions that ended since.
    pub(super) ended: PathBuf,
    /// The next snapshot while it is written.
    partial: PathBuf,
    /// Locked by the process that uses the other files. It stays, so that two processes lock the same one.
    lock: PathBuf,
    folder: PathBuf,
}

/// The lock of a process on its files, for as long as it exists.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "it is locked while it is open")] File);

impl Files {
    /// The files at this path.
    pub(super) fn at(path: &Path) -> Self {
        let folder = match path.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => Path::new("/"),
        };
        Self {
            snapshot: path.to_owned(),
            ended: with(path, ".ended"),
            partial: with(path, ".tmp"),
            lock: with(path, ".lock"),
            folder: folder.to_owned(),
        }
    }

    /// Locks the files; `None` if another process has locked them.
    pub(super) fn lock(&self) -> io::Result<Option<Lock>> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&self.lock)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The snapshot; `None` if there is none.
    pub(super) fn open(&self) -> io::Result<Option<File>> {
        match File::open(&self.snapshot) {
            Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
            Ok(_) => Err(io::Error::other("it is not a file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a new snapshot next to the old one, and waits until it is on the disk.
    pub(super) fn prepare(
        &self,
        write: impl FnOnce(BufWriter<File>) -> io::Result<BufWriter<File>>,
    ) -> io::Result<Prepared<'_>> {
        self.remove_partial()?;
        // SECURITY: `create_new` follows no link that another user of the folder left here.
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&self.partial)?;
        let prepared = Prepared(self);
        let file = write(BufWriter::with_capacity(BUFFER, file))?.into_inner()?;
        file.sync_all()?;
        Ok(prepared)
    }

    /// Removes what a crash left of an unfinished snapshot.
    pub(super) fn remove_partial(&self) -> io::Result<()> {
        remove(&self.partial)
    }

    /// Removes the snapshot.
    pub(super) fn remove_snapshot(&self) -> io::Result<()> {
        remove(&self.snapshot)?;
        self.sync_folder()
    }

    /// Waits until a changed name is on the disk.
    pub(super) fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    /// Renames the snapshot and what belongs to it, so that it is neither read nor overwritten. Returns its name.
    pub(super) fn put_aside(&self) -> io::Result<PathBuf> {
        let mut names = (1..=MOST_ASIDE).map(|number| match number {
            1 => with(&self.snapshot, ".rejected"),
            _ => with(&self.snapshot, &format!(".rejected-{number}")),
        });
        let is_free = |name: &PathBuf| fs::symlink_metadata(name).is_err();
        let aside = names.clone().find(is_free).or(names.next_back()).unwrap_or_default();
        fs::rename(&self.snapshot, &aside)?;
        match fs::rename(&self.ended, with(&aside, ".ended")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => self.sync_folder()?,
        }
        Ok(aside)
    }
}

/// A complete snapshot that does not have its name yet. It is removed if it gets none.
#[derive(Debug)]
pub(super) struct Prepared<'f>(&'f Files);

impl Prepared<'_> {
    /// Replaces the old snapshot. [`Files::sync_folder`] waits for the disk.
    pub(super) fn replace(self) -> io::Result<()> {
        fs::rename(&self.0.partial, &self.0.snapshot)
    }
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        // It is gone after a success. A partial file would only take room on a full disk.
        drop(self.0.remove_partial());
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Snapshots that were put aside. The last one is overwritten.
const MOST_ASIDE: usize = 5;
/// Bytes that are written at once.
const BUFFER: usize = 256 * 1024;
