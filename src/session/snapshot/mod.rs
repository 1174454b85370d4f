//! `session.snapshot`: a sealed file with all sessions, so that a restart or a crash signs no user out.
//! Invariants: a session that ended does not come back, whatever the process or the disk does at any time; a snapshot
//! that is not whole is not read; a disk that fails stops no request. The sessions are written one by one, so that
//! none is in memory twice. `files` replaces the file, `sealed_stream` seals it, `load` reads it, `ended_file` keeps
//! the sessions that ended since it was begun.

mod ended_file;
mod files;
pub mod load;
mod sealed_stream;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::clock::{Clock, Moment};
use crate::lock::lock;
use crate::session::Session;
use crate::session::codec::{Timeline, encode};
use crate::session::ended::EndedQueue;
use crate::session::seal::{KeyId, Roots};
use crate::session::snapshot::ended_file::EndedFile;
use crate::session::snapshot::files::{Files, Lock};
use crate::session::snapshot::load::{Continuing, LoadError, Loaded, load};
use crate::session::snapshot::sealed_stream::{SealingWriter, StreamHeader};
use crate::session::table::SessionTable;
use crate::telemetry::metrics::Metrics;

/// What is written under the configuration in effect.
#[derive(Clone, Debug)]
pub struct SnapshotSource {
    /// The sessions.
    pub table: SessionTable,
    /// `session.secret`: the newest seals.
    pub roots: Roots,
}

/// The snapshot of this process, which no other process writes.
#[derive(Debug)]
pub struct Snapshot {
    files: Files,
    _lock: Lock,
    queue: Arc<EndedQueue>,
    ended: Mutex<EndedFile>,
    /// Sessions that ended were written and may not be on the disk yet.
    unsynced: Notify,
    /// What the file has. Locked while the next one is written.
    written: Mutex<Written>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// The state of the sessions in the file.
#[derive(Clone, Copy, Debug)]
struct Written {
    changes: u64,
    at: Moment,
    /// The root that sealed them.
    key_id: KeyId,
}

/// Why sessions are not stored.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Another process has the files.
    #[error("another process uses the file")]
    InUse,
    /// The files cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a start found.
#[derive(Debug)]
pub enum SnapshotFound {
    /// No file.
    Nothing,
    /// A snapshot, which was read.
    Sessions(Loaded),
    /// A file that was not read.
    Rejected {
        /// Why, and the name that it has now.
        reason: String,
        /// The name that it has now.
        aside: std::path::PathBuf,
    },
}

impl Snapshot {
    /// Reads the snapshot at `path` into a table without sessions, and records from now on which of them end.
    pub fn open(
        path: &Path,
        table: &SessionTable,
        continuing: &Continuing,
        clock: &Clock,
        metrics: &Arc<Metrics>,
    ) -> Result<(Arc<Self>, SnapshotFound), SnapshotError> {
        let files = Files::at(path);
        let held = files.lock()?.ok_or(SnapshotError::InUse)?;
        files.remove_partial()?;
        let queue = Arc::default();
        table.record_ended(&queue);
        let found = find(&files, table, continuing, clock)?;
        let (ended, _) = EndedFile::open(&files.ended)?;
        files.sync_folder()?;
        let key_id = match &found {
            SnapshotFound::Sessions(loaded) => loaded.key_id,
            SnapshotFound::Nothing | SnapshotFound::Rejected { .. } => {
                continuing.roots.newest().id()
            }
        };
        let written = Written { changes: table.changes(), at: clock.moment(), key_id };
        let snapshot = Self {
            files,
            _lock: held,
            queue,
            ended: Mutex::new(ended),
            unsynced: Notify::new(),
            written: Mutex::new(written),
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
        };
        Ok((Arc::new(snapshot), found))
    }

    /// Records sessions that end, and writes a snapshot at intervals, of what is the source then. Never ends by
    /// itself.
    pub async fn keep(self: &Arc<Self>, source: &ArcSwap<SnapshotSource>) {
        let record = async {
            loop {
                self.queue.filled().await;
                self.blocking(Self::record_ended).await;
            }
        };
        let sync = async {
            loop {
                self.unsynced.notified().await;
                self.blocking(Self::sync_ended).await;
            }
        };
        let write = async {
            loop {
                tokio::time::sleep(INTERVAL).await;
                let source = source.load_full();
                self.blocking(move |this| this.write_if_changed(&source)).await;
            }
        };
        tokio::join!(record, sync, write);
    }

    /// Writes the last snapshot of this process.
    pub async fn conclude(self: &Arc<Self>, source: Arc<SnapshotSource>) {
        self.blocking(move |this| {
            this.record_ended();
            this.write_and_count(&source);
            this.record_ended();
        })
        .await;
    }

    async fn blocking(self: &Arc<Self>, work: impl FnOnce(&Self) + Send + 'static) {
        let this = Arc::clone(self);
        // An error is a panic, which the panic hook logs, or the end of the runtime.
        drop(tokio::task::spawn_blocking(move || work(&this)).await);
    }

    /// Writes the sessions that ended to their file.
    fn record_ended(&self) {
        let mut ended = lock(&self.ended);
        let (keys, number) = self.queue.take();
        if !keys.is_empty() {
            if let Err(error) = ended.append(&keys) {
                self.give_up_snapshot(&error);
            }
            self.unsynced.notify_one();
        }
        drop(ended);
        self.queue.handled(number);
    }

    /// Removes the snapshot, because it cannot be recorded which of its sessions ended.
    // SECURITY: a user who signed out must not be signed in again. It is worse than to sign in once more.
    fn give_up_snapshot(&self, error: &io::Error) {
        self.metrics.snapshot_failed();
        let file = self.files.snapshot.display();
        match self.files.remove_snapshot() {
            Ok(()) => tracing::error!(
                %file, %error,
                "session.snapshot: cannot record that a session ended, so the snapshot was removed: until the next one, a restart signs all users out"
            ),
            Err(removal) => tracing::error!(
                %file, %error, %removal,
                "session.snapshot: cannot record that a session ended, and cannot remove the snapshot: remove it before a restart, or the session continues"
            ),
        }
    }

    fn sync_ended(&self) {
        let handle = lock(&self.ended).handle();
        if let Err(error) = handle.and_then(|file| file.sync_data()) {
            tracing::error!(%error, "session.snapshot: sessions that ended may not be on the disk");
            self.metrics.snapshot_failed();
        }
    }

    fn write_if_changed(&self, source: &SnapshotSource) {
        let SnapshotSource { table, roots } = source;
        let written = *lock(&self.written);
        let is_used = table.idle_timeout().is_some() && table.is_used_since(written.at);
        let is_resealed = roots.newest().id() != written.key_id;
        let has_changed = table.changes() != written.changes || is_used || is_resealed;
        if has_changed || self.metrics.is_snapshot_failing() {
            self.write_and_count(source);
        }
    }

    fn write_and_count(&self, source: &SnapshotSource) {
        match self.write(source) {
            Ok(sessions) => {
                tracing::debug!(sessions, "wrote session.snapshot");
                self.metrics.snapshot_written(self.clock.unix());
            }
            Err(error) => {
                let file = self.files.snapshot.display();
                tracing::error!(
                    %file, %error,
                    "session.snapshot was not written: after a restart, the sessions of the last one continue"
                );
                self.metrics.snapshot_failed();
            }
        }
    }

    /// Replaces the file. Returns how many sessions it has.
    fn write(&self, source: &SnapshotSource) -> io::Result<usize> {
        let mut written = lock(&self.written);
        let next = Written {
            changes: source.table.changes(),
            at: self.clock.moment(),
            key_id: source.roots.newest().id(),
        };
        // Before the sessions are collected: each that ends from now on is in the file of ended ones or not among them.
        let mark = lock(&self.ended).mark();
        let sessions = source.table.all();
        let mut count = 0;
        let prepared = self.files.prepare(|file| {
            let (file, all) = self.write_sessions(file, &sessions, source)?;
            count = all;
            Ok(file)
        })?;
        {
            let ended = lock(&self.ended);
            if !ended.is_complete_since(mark) {
                return Err(io::Error::other("cannot record that a session ended"));
            }
            prepared.replace()?;
        }
        self.files.sync_folder()?;
        *written = next;
        lock(&self.ended).forget_before(mark)?;
        Ok(count)
    }

    fn write_sessions(
        &self,
        file: BufWriter<File>,
        sessions: &[Arc<Session>],
        source: &SnapshotSource,
    ) -> io::Result<(BufWriter<File>, usize)> {
        let header = StreamHeader::new(self.clock.unix(), &source.roots);
        let timeline = Timeline::now(&self.clock);
        let mut writer = SealingWriter::new(file, header, &source.roots)?;
        let mut bytes = Zeroizing::new(Vec::new());
        let mut count = 0;
        for session in sessions {
            if session.end_signal().is_given() || source.table.is_over(session) {
                continue;
            }
            bytes.clear();
            encode(session, &session.data(), timeline, &mut bytes)?;
            let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            writer.write_all(&length.to_be_bytes())?;
            writer.write_all(&bytes)?;
            count += 1;
        }
        Ok((writer.finish()?, count))
    }
}

/// Reads the snapshot; if it cannot be read, puts it aside.
fn find(
    files: &Files,
    table: &SessionTable,
    continuing: &Continuing,
    clock: &Clock,
) -> Result<SnapshotFound, SnapshotError> {
    let loaded = match files.open()? {
        None => return Ok(SnapshotFound::Nothing),
        Some(file) => read(file, files, table, continuing, clock),
    };
    match loaded {
        Ok(loaded) => Ok(SnapshotFound::Sessions(loaded)),
        Err(error) => {
            let aside = files.put_aside()?;
            Ok(SnapshotFound::Rejected { reason: error.to_string(), aside })
        }
    }
}

fn read(
    file: File,
    files: &Files,
    table: &SessionTable,
    continuing: &Continuing,
    clock: &Clock,
) -> Result<Loaded, LoadError> {
    // SECURITY: without it, sessions that ended would continue.
    if !std::fs::exists(&files.ended)? {
        return Err(LoadError::NoEnded);
    }
    let (_, ended) = EndedFile::open(&files.ended)?;
    load(file, &ended, table, continuing, clock)
}

/// The time between two snapshots.
const INTERVAL: Duration = Duration::from_secs(60);
