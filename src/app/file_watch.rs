//! Notices changes of files, by their metadata, every two seconds.
//! Why so: notices of the system miss files that are mounted one by one, and have to be set up again when a symbolic link
//! points elsewhere, as in Kubernetes.
//! Invariant: a file that is still being written is not read: two looks must agree.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

/// What tells one content of a file from another: device, inode, size, and the times of the last changes.
type Mark = (u64, u64, u64, [i64; 4]);

/// Marks of all files; `None` for a file that cannot be read.
type Marks = Vec<Option<Mark>>;

/// Files that are watched.
#[derive(Debug)]
pub(super) struct FileWatch {
    files: Vec<PathBuf>,
    /// Of the content that was read last; `None`: it is to be read again.
    read: Option<Marks>,
    /// Of the last look.
    seen: Marks,
}

impl FileWatch {
    /// Watches these files, which have just been read.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let seen = marks(&files);
        Self { read: Some(seen.clone()), seen, files }
    }

    /// Waits until the files are to be read.
    pub(super) async fn changed(&mut self) {
        loop {
            sleep(EVERY).await;
            let files = self.files.clone();
            // The file system may be slow.
            let Ok(now) = tokio::task::spawn_blocking(move || marks(&files)).await else {
                continue;
            };
            let is_settled = now == self.seen;
            self.seen = now;
            if is_settled && self.read.as_ref() != Some(&self.seen) {
                return;
            }
        }
    }

    /// Notes that the files are read from now on.
    pub(super) fn note(&mut self) {
        self.read = Some(marks(&self.files));
    }

    /// Watches these files in place of the others. The new ones have been read since [`Self::note`].
    pub(super) fn follow(&mut self, files: Vec<PathBuf>) {
        let noted = self.read.take().unwrap_or_default();
        let before: Vec<_> = self.files.iter().zip(noted).collect();
        let known = |file: &PathBuf| before.iter().find(|(known, _)| *known == file);
        let read = files.iter().map(|file| match known(file) {
            Some((_, mark)) => *mark,
            None => mark(file),
        });
        let read = read.collect();
        self.read = Some(read);
        self.files = files;
    }

    /// Has the files read again at the next look: what was missing may be in a file that no one watches.
    pub(super) fn retry(&mut self) {
        self.read = None;
    }
}

fn marks(files: &[PathBuf]) -> Marks {
    files.iter().map(mark).collect()
}

fn mark(file: &PathBuf) -> Option<Mark> {
    let it = std::fs::metadata(file).ok()?;
    let times = [it.mtime(), it.mtime_nsec(), it.ctime(), it.ctime_nsec()];
    Some((it.dev(), it.ino(), it.size(), times))
}

/// The time between two looks.
const EVERY: Duration = Duration::from_secs(2);
