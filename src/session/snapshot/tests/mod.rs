//! A snapshot over restarts and crashes, on disks that fail, and in the hands of two processes.

mod disk;
mod kill;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::identity::tests::person;
use crate::secret::Secret;
use crate::session::seal::Root;
use crate::session::table::SessionMaps;
use crate::session::tests::{baseline, token_set};
use crate::session::{CookieSettings, SessionData, SessionId, SessionKey, Settings, Store, Tokens};

/// A folder with a snapshot, and what the configuration says about it.
struct Disk {
    folder: PathBuf,
    /// Removes the folder.
    _temporary: Option<TempDir>,
    settings: Settings,
    secrets: Vec<&'static str>,
    provider: [u8; 8],
}

/// A process that uses it.
struct Process {
    table: SessionTable,
    clock: Clock,
    metrics: Arc<Metrics>,
    source: SnapshotSource,
    snapshot: Arc<Snapshot>,
    found: SnapshotFound,
}

impl Disk {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().to_owned();
        Self { _temporary: Some(temporary), ..Self::at(folder) }
    }

    fn at(folder: PathBuf) -> Self {
        let settings = Settings {
            lifetime: HOUR,
            idle_timeout: None,
            refresh_before: Duration::from_secs(60),
            recheck: None,
            outage_grace: Duration::from_secs(300),
            cookie: CookieSettings::default(),
            max_sessions: 10_000,
            max_sessions_per_user: 10,
            max_bytes: 1024,
            secrets: Vec::new(),
            store: Store::Memory,
            snapshot: None,
        };
        let secrets = vec!["secret"];
        Self { folder, _temporary: None, settings, secrets, provider: COMPANY }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("sessions")
    }

    fn with(&self, suffix: &str) -> PathBuf {
        self.folder.join(format!("sessions{suffix}"))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn start(&self) -> Process {
        self.start_after(Duration::ZERO)
    }

    /// Starts a process so long after the others.
    fn start_after(&self, later: Duration) -> Process {
        // Later than the sessions of the processes before.
        let clock = Clock::manual();
        clock.advance(10 * HOUR + later);
        // A process that another test has just forked has the lock until it runs its program.
        for _ in 0..MOST_YIELDS {
            match self.try_start(&clock) {
                Err(SnapshotError::InUse) => std::thread::yield_now(),
                started => return started.unwrap(),
            }
        }
        panic!("the lock of the last process stays");
    }

    fn try_start(&self, clock: &Clock) -> Result<Process, SnapshotError> {
        let table = SessionTable::new(
            &Arc::new(SessionMaps::new(clock.clone())),
            &self.settings,
            Arc::new([self.provider, COMPANY]),
        );
        let secrets: Vec<_> = self.secrets.iter().map(|text| Secret::new(*text)).collect();
        let roots = Roots::new(&secrets, &Root::generate());
        let continuing = Continuing {
            roots: roots.clone(),
            lifetime: self.settings.lifetime,
            providers: BTreeMap::from([("company".into(), self.provider)]),
        };
        let metrics = Arc::default();
        let (snapshot, found) = Snapshot::open(&self.path(), &table, &continuing, clock, &metrics)?;
        let source = SnapshotSource { table: table.clone(), roots };
        Ok(Process { table, clock: clock.clone(), metrics, source, snapshot, found })
    }

    /// A file with three sessions, and their keys.
    fn with_sessions() -> (Self, [SessionKey; 3]) {
        let disk = Self::new();
        let process = disk.start();
        let keys = ["alice", "bob", "carol"].map(|subject| process.sign_in(subject));
        process.stop();
        (disk, keys)
    }
}

impl Process {
    fn sign_in(&self, subject: &str) -> SessionKey {
        let (id, now) = (SessionId::generate(), self.clock.moment());
        let set = token_set(&"a".repeat(1000), 60, Some("r"));
        let tokens = Tokens::new(set, Duration::from_secs(60));
        let data = SessionData::new(person(subject), baseline(subject), tokens);
        self.table.insert(Arc::new(Session::new(&id, COMPANY, data, now, HOUR)));
        id.key()
    }

    /// Signs out, as far as the queue.
    fn sign_out(&self, key: SessionKey) {
        assert!(self.table.end(key).is_some());
    }

    fn write(&self) -> io::Result<usize> {
        self.snapshot.write(&self.source)
    }

    /// Ends as after a drain.
    fn stop(self) {
        self.snapshot.record_ended();
        self.write().unwrap();
    }

    /// Ends without a last snapshot.
    fn crash(self) {
        self.snapshot.record_ended();
    }

    fn has(&self, keys: &[SessionKey]) -> Vec<bool> {
        keys.iter().map(|key| self.table.find(*key).is_some()).collect()
    }

    fn reason(&self) -> &str {
        match &self.found {
            SnapshotFound::Rejected { reason, .. } => reason,
            SnapshotFound::Nothing | SnapshotFound::Sessions(_) => panic!("{:?}", self.found),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "these files are no configuration")]
fn content(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(path).unwrap()
}

const MOST_YIELDS: usize = 1_000_000;
const HOUR: Duration = Duration::from_secs(3600);
const COMPANY: [u8; 8] = [1; 8];

#[test]
fn restart_continues_all_sessions_and_leaves_one_file_of_each_kind() {
    let (disk, keys) = Disk::with_sessions();
    let process = disk.start();
    assert_eq!(process.has(&keys), [true; 3]);
    let SnapshotFound::Sessions(loaded) = process.found else { panic!("{:?}", process.found) };
    assert_eq!((loaded.sessions, loaded.dropped), (3, 0));
    assert_eq!(disk.names(), ["sessions", "sessions.ended", "sessions.lock"]);
    for name in disk.names() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(disk.folder.join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let bytes = content(disk.path());
    assert!(!bytes.windows(8).any(|part| part == b"aaaaaaaa"), "a token is in plain text");
}

#[test]
fn crash_brings_back_no_session_that_ended_since_the_snapshot() {
    let (disk, keys) = Disk::with_sessions();
    let process = disk.start();
    process.sign_out(keys[1]);
    process.crash();
    for _ in 0..2 {
        let process = disk.start();
        assert_eq!(process.has(&keys), [true, false, true]);
        process.crash();
    }
    let process = disk.start();
    process.write().unwrap();
    process.sign_out(keys[0]);
    process.crash();
    assert_eq!(disk.start().has(&keys), [false, false, true]);
}

#[test]
fn session_that_ends_while_a_snapshot_is_written_stays_ended() {
    let (disk, keys) = Disk::with_sessions();
    let process = disk.start();
    let collected = process.table.all();
    let mark = lock(&process.snapshot.ended).mark();
    let prepared = process.snapshot.files.prepare(|file| {
        let (file, count) = process.snapshot.write_sessions(file, &collected, &process.source)?;
        assert_eq!(count, 3);
        process.sign_out(keys[2]);
        process.snapshot.record_ended();
        Ok(file)
    });
    prepared.unwrap().replace().unwrap();
    lock(&process.snapshot.ended).forget_before(mark).unwrap();
    process.crash();
    assert_eq!(disk.start().has(&keys), [true, true, false]);
}

#[test]
fn session_that_expired_or_was_evicted_does_not_come_back() {
    let (mut disk, keys) = Disk::with_sessions();
    disk.settings.max_sessions = 3;
    let process = disk.start();
    process.clock.advance(Duration::from_secs(10));
    for key in [keys[0], keys[2]] {
        process.table.find(key).unwrap().touch(process.clock.moment());
    }
    process.sign_in("dave");
    process.crash();
    assert_eq!(disk.start().has(&keys), [true, false, true]);
    let process = disk.start();
    process.clock.advance(HOUR);
    assert_eq!(process.table.sweep(), 2);
    process.crash();
    // The wall clock is back where it was.
    assert_eq!(disk.start().has(&keys), [false; 3]);
}

#[tokio::test]
async fn sign_out_is_on_file_when_it_is_answered() {
    let (disk, keys) = Disk::with_sessions();
    let process = disk.start();
    let (snapshot, source) = (Arc::clone(&process.snapshot), process.source.clone());
    let keeping = tokio::spawn(async move { snapshot.keep(&ArcSwap::from_pointee(source)).await });
    process.table.remove(keys[0]).await.unwrap();
    let (_, ended) = EndedFile::open(&disk.with(".ended")).unwrap();
    assert!(ended.contains(&keys[0]));
    keeping.abort();
}

#[test]
fn idle_timeout_and_lifetime_go_on_while_no_process_runs() {
    let (mut disk, keys) = Disk::with_sessions();
    let process = disk.start();
    process.clock.advance(Duration::from_secs(600));
    process.table.find(keys[0]).unwrap().touch(process.clock.moment());
    process.stop();
    disk.settings.idle_timeout = Some(Duration::from_secs(1000));
    let later = disk.start_after(Duration::from_secs(1100));
    assert_eq!(later.has(&keys), [true, false, false]);
    drop(later);
    assert_eq!(disk.start_after(HOUR).has(&keys), [false; 3]);
}

#[test]
fn shorter_lifetime_counts_from_the_sign_in() {
    let (mut disk, keys) = Disk::with_sessions();
    disk.settings.lifetime = Duration::from_secs(1000);
    let process = disk.start_after(Duration::from_secs(900));
    assert_eq!(process.has(&keys), [true; 3]);
    process.clock.advance(Duration::from_secs(110));
    assert_eq!(process.has(&keys), [false; 3]);
}

#[test]
fn clock_that_jumps_back_or_ahead_extends_no_session() {
    let (disk, keys) = Disk::with_sessions();
    let behind = Clock::manual();
    let process = disk.try_start(&behind).unwrap();
    assert_eq!(process.has(&keys), [true; 3]);
    behind.advance(HOUR + Duration::from_secs(1));
    assert_eq!(process.has(&keys), [false; 3]);
    drop(process);
    let ahead = disk.start_after(100_000 * HOUR);
    assert_eq!(ahead.has(&keys), [false; 3]);
}

#[test]
fn session_of_a_provider_that_changed_does_not_continue() {
    let (mut disk, keys) = Disk::with_sessions();
    disk.provider = [2; 8];
    let process = disk.start();
    assert_eq!(process.has(&keys), [false; 3]);
    let SnapshotFound::Sessions(loaded) = process.found else { panic!("{:?}", process.found) };
    assert_eq!((loaded.sessions, loaded.dropped), (0, 3));
}

#[test]
fn limits_hold_after_a_restart() {
    let (mut disk, keys) = Disk::with_sessions();
    let process = disk.start();
    process.clock.advance(Duration::from_secs(5));
    process.table.find(keys[1]).unwrap().touch(process.clock.moment());
    process.clock.advance(Duration::from_secs(5));
    let of_bob: Vec<_> = (0..3).map(|_| process.sign_in("bob")).collect();
    process.stop();
    disk.settings.max_sessions_per_user = 2;
    let process = disk.start();
    assert_eq!(process.table.len(), 4);
    assert_eq!(process.has(&of_bob).iter().filter(|found| **found).count(), 2);
    drop(process);
    disk.settings.max_sessions = 1;
    assert_eq!(disk.start().table.len(), 1);
}

#[test]
fn snapshot_is_of_the_sessions_and_the_secret_in_effect() {
    let (mut disk, keys) = Disk::with_sessions();
    disk.settings.idle_timeout = Some(Duration::from_secs(100));
    let mut process = disk.start();
    process.clock.advance(Duration::from_secs(200));
    // A reload with a longer timeout and another secret.
    disk.settings.idle_timeout = None;
    disk.secrets = vec!["new"];
    let maps = process.table.maps();
    process.source = SnapshotSource {
        table: SessionTable::new(maps, &disk.settings, Arc::new([COMPANY])),
        roots: Roots::new(&[Secret::new("new")], &Root::generate()),
    };
    process.snapshot.write_if_changed(&process.source);
    drop(process);
    assert_eq!(disk.start_after(Duration::from_secs(200)).has(&keys), [true; 3]);
}

#[test]
fn rotated_secret_opens_and_the_next_snapshot_has_the_newest() {
    let (mut disk, keys) = Disk::with_sessions();
    disk.secrets = vec!["new", "secret"];
    let process = disk.start();
    assert_eq!(process.has(&keys), [true; 3]);
    process.snapshot.write_if_changed(&process.source);
    drop(process);
    disk.secrets = vec!["new"];
    assert_eq!(disk.start().has(&keys), [true; 3]);
}

#[test]
fn snapshot_is_written_only_if_something_changed() {
    let (mut disk, keys) = Disk::with_sessions();
    let rewrites = |process: &Process| {
        let before = content(disk.path());
        process.snapshot.write_if_changed(&process.source);
        content(disk.path()) != before
    };
    let process = disk.start();
    assert!(!rewrites(&process));
    process.clock.advance(Duration::from_secs(1));
    process.table.find(keys[0]).unwrap().touch(process.clock.moment());
    assert!(!rewrites(&process));
    process.sign_in("dave");
    assert!(rewrites(&process) && !rewrites(&process));
    process.sign_out(keys[0]);
    assert!(rewrites(&process) && !rewrites(&process));
    process.table.changed();
    assert!(rewrites(&process) && !rewrites(&process));
    drop(process);
    disk.settings.idle_timeout = Some(HOUR);
    let rewrites = |process: &Process| {
        let before = content(disk.path());
        process.snapshot.write_if_changed(&process.source);
        content(disk.path()) != before
    };
    let process = disk.start();
    process.clock.advance(Duration::from_secs(1));
    process.table.find(keys[1]).unwrap().touch(process.clock.moment());
    assert!(rewrites(&process) && !rewrites(&process));
}
