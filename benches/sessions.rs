//! Cost of sessions: memory per session, and time to look one up among a thousand, a hundred thousand and a
//! million; CPU time and memory to write and read a snapshot of a hundred thousand. `cargo bench --bench sessions` needs
//! Linux and 6 GiB of memory.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot measure ends")]
#![expect(clippy::disallowed_methods, reason = "it reads its memory use from the kernel")]

mod usual;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::Clock;
use portcullis::secret::Secret;
use portcullis::session::seal::{Root, Roots};
use portcullis::session::snapshot::load::Continuing;
use portcullis::session::snapshot::{Snapshot, SnapshotSource};
use portcullis::session::table::{SessionMaps, SessionTable};
use portcullis::session::{CookieSettings, Session, SessionId, Settings, Store};

use usual::{ACCESS_TOKEN, ID_TOKEN, REFRESH_TOKEN, data, resident};

fn main() {
    let clock = Clock::system();
    println!(
        "| sessions | bytes per session | of which tokens | ns per lookup | relative to 1,000 |"
    );
    println!("|---|---|---|---|---|");
    let (mut least, mut kept) = (None, Vec::new());
    for count in [1_000, 100_000, 1_000_000] {
        let before = resident();
        let (table, ids) = filled(&clock, count);
        let each = resident().saturating_sub(before) / count;
        let nanos = lookup(&table, &ids);
        let first = *least.get_or_insert(nanos);
        let tokens = ACCESS_TOKEN + ID_TOKEN + REFRESH_TOKEN;
        println!("| {count} | {each} | {tokens} | {nanos:.0} | {:.2} |", nanos / first);
        // Memory that it freed would be reused by the next table.
        kept.push(table);
    }
    drop(kept);
    let (table, _) = filled(&clock, SNAPSHOT);
    snapshot(&clock, &table);
}

/// Writes a snapshot and reads it into another table.
fn snapshot(clock: &Clock, table: &SessionTable) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sessions");
    let continuing = Continuing {
        roots: Roots::new(&[Secret::new("a secret")], &Root::generate()),
        lifetime: settings(1).lifetime,
        providers: BTreeMap::from([("company".into(), [0; 8])]),
    };
    let open = |table| Snapshot::open(&file, table, &continuing, clock, &Arc::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("\n| {SNAPSHOT} sessions | CPU seconds | seconds | more memory at the peak, MiB |");
    println!("|---|---|---|---|");
    let (writer, _) = open(table);
    let source = SnapshotSource { table: table.clone(), roots: continuing.roots.clone() };
    let source = Arc::new(source);
    measure("written", || runtime.block_on(writer.conclude(source)));
    drop(writer);
    let settings = settings(SNAPSHOT);
    let read = SessionTable::new(
        &Arc::new(SessionMaps::new(clock.clone())),
        &settings,
        Arc::new([[0; 8]]),
    );
    let found = measure("read", || open(&read).1);
    assert!(read.len() == SNAPSHOT, "{found:?}");
    let bytes = std::fs::metadata(&file).unwrap().len();
    println!("\nThe file has {} MiB.", bytes >> 20);
}

/// Prints what `work` costs.
fn measure<T>(what: &str, work: impl FnOnce() -> T) -> T {
    // Resets the peak.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (memory, cpu, start) = (resident(), cpu_seconds(), tokio::time::Instant::now());
    let done = work();
    let (cpu, seconds) = (cpu_seconds() - cpu, start.elapsed().as_secs_f64());
    let more = peak().saturating_sub(memory) >> 20;
    println!("| {what} | {cpu:.2} | {seconds:.2} | {more} |");
    done
}

/// A table with `count` sessions of as many users, and a sample of the session IDs.
fn filled(clock: &Clock, count: usize) -> (SessionTable, Vec<SessionId>) {
    let settings = settings(count);
    let (table, provider) = (
        SessionTable::new(
            &Arc::new(SessionMaps::new(clock.clone())),
            &settings,
            Arc::new([[0; 8]]),
        ),
        Arc::from("company"),
    );
    let mut sample = Vec::new();
    for number in 0..count {
        let id = SessionId::generate();
        let data = data(&provider, number, clock);
        let (now, lifetime) = (clock.moment(), settings.lifetime);
        table.insert(Arc::new(Session::new(&id, [0; 8], data, now, lifetime)));
        if number % (count / SAMPLE) == 0 {
            sample.push(id);
        }
    }
    (table, sample)
}

fn settings(count: usize) -> Settings {
    Settings {
        lifetime: Duration::from_secs(12 * 3600),
        idle_timeout: Some(Duration::from_secs(3600)),
        refresh_before: Duration::from_secs(60),
        recheck: None,
        outage_grace: Duration::from_secs(300),
        cookie: CookieSettings::default(),
        max_sessions: count + 1,
        max_sessions_per_user: 1000,
        max_bytes: 128 * 1024,
        secrets: Vec::new(),
        store: Store::Memory,
        snapshot: None,
    }
}

/// Nanoseconds per lookup of the sample, in the fastest of several rounds.
fn lookup(table: &SessionTable, ids: &[SessionId]) -> f64 {
    let round = || {
        let start = tokio::time::Instant::now();
        for _ in 0..LOOKUPS / SAMPLE {
            for id in ids {
                black_box(table.find(black_box(id).key()));
            }
        }
        start.elapsed().as_secs_f64() * 1e9 / (LOOKUPS / SAMPLE * ids.len()) as f64
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

/// The most memory that this process has held since the last reset, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(") ").next().unwrap().split(' ').skip(11).take(2);
    let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// As many as `session.max_sessions` by default.
const SNAPSHOT: usize = 100_000;
const SAMPLE: usize = 1000;
const LOOKUPS: usize = 1_000_000;
const ROUNDS: usize = 7;
