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

/// Files that have just been read, with their marks.
#[derive(Debug)]
pub struct MarkedFiles(Vec<(PathBuf, Option<Mark>)>);

impl MarkedFiles {
    /// These files as they are now.
    pub fn now(files: Vec<PathBuf>) -> Self {
        let marked = files.into_iter().map(|file| {
            let mark = mark(&file);
            (file, mark)
        });
        Self(marked.collect())
    }
}

/// Files that are watched.
#[derive(Debug)]
pub struct FileWatch {
    files: Vec<PathBuf>,
    /// Of the content that was read last; `None`: it is to be read again.
    read: Option<Marks>,
    /// Of the last look.
    seen: Marks,
}

impl FileWatch {
    /// Watches these files, which are read from now on.
    pub fn new(files: Vec<PathBuf>) -> Self {
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

    /// Watches these files in place of the others, after they have been read. Those that were watched before are read
    /// again if they have changed since `note`.
    pub fn follow(&mut self, MarkedFiles(files): MarkedFiles) {
        let noted = self.read.take().unwrap_or_default();
        let before: Vec<_> = self.files.iter().zip(noted).collect();
        let known = |file: &PathBuf| before.iter().find(|(known, _)| *known == file);
        let (files, read) = files
            .into_iter()
            .map(|(file, mark)| {
                let mark = known(&file).map_or(mark, |(_, mark)| *mark);
                (file, mark)
            })
            .unzip();
        (self.files, self.read) = (files, Some(read));
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

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn file_that_changes_while_it_is_put_in_effect_is_read_again() {
        let folder = TempDir::new().unwrap();
        let [own, other] = ["own", "other"].map(|name| folder.path().join(name));
        for file in [&own, &other] {
            std::fs::write(file, "a").unwrap();
        }
        let is_due =
            async |watch: &mut FileWatch| timeout(EVERY * 5, watch.changed()).await.is_ok();
        for changed in [&own, &other] {
            let mut watch = FileWatch::new(vec![own.clone()]);
            // As a start and a reload do.
            watch.note();
            let read = MarkedFiles::now(vec![own.clone(), other.clone()]);
            std::fs::write(changed, format!("{changed:?} is longer now")).unwrap();
            watch.follow(read);
            assert!(is_due(&mut watch).await, "{changed:?}");
            watch.note();
            assert!(!is_due(&mut watch).await);
            watch.retry();
            assert!(is_due(&mut watch).await);
        }
    }
}
