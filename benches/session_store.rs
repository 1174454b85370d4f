//! Cost of sessions on Redis, compared with sessions in memory in the same run: to sign in, to refresh, to sign out, to
//! look one up again, and memory for each. `cargo bench --bench session_store` needs Linux and `redis-server`, which runs
//! on the same machine. Compare the ratios; a sign-in with its provider takes thousands of microseconds anyway.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark that cannot measure ends")]
#![expect(clippy::disallowed_methods, reason = "it reads its memory use from the kernel")]

mod usual;

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::Clock;
use portcullis::secret::Secret;
use portcullis::session::redis::{
    RedisAddress, RedisSettings, RedisStore, SharedSessions, StoreHealth,
};
use portcullis::session::refresh::{RefreshEffect, RefreshOutcome, RefreshedTokens, Refresher};
use portcullis::session::seal::{Root, Roots};
use portcullis::session::size_limit::SizeLimit;
use portcullis::session::table::{SessionMaps, SessionTable};
use portcullis::session::{
    CookieSettings, Session, SessionId, SessionKey, Sessions, Settings, Store,
};
use portcullis::telemetry::metrics::Metrics;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use usual::{baseline, data, resident, tokens};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let redis = Redis::start().await;
    let memory = Side::in_memory();
    let shared = Side::on(&redis).await;
    println!(
        "| for one session | memory, us | Redis, us | ratio | of its CPU time, memory, us | Redis, us |"
    );
    println!("|---|---|---|---|---|---|");
    let (mut least, mut keys) = ([[Cost::UNKNOWN; 2]; OPERATIONS.len()], [Vec::new(), Vec::new()]);
    for _ in 0..ROUNDS {
        for (operation, best) in least.iter_mut().enumerate() {
            // In turns, so that both see the same load of the machine.
            let sides = [&memory, &shared].into_iter().zip(&mut keys);
            for ((side, keys), best) in sides.zip(best) {
                *best = best.with(side.measure(operation, keys).await);
            }
        }
    }
    for (what, [memory, shared]) in OPERATIONS.iter().zip(least) {
        let ratio = shared.elapsed / memory.elapsed;
        println!(
            "| {what} | {:.2} | {:.2} | {ratio:.1} | {:.2} | {:.2} |",
            memory.elapsed, shared.elapsed, memory.cpu, shared.cpu
        );
    }
    println!("\n| {MANY} sessions | bytes each in this process | on the server |");
    println!("|---|---|---|");
    let each = Arc::new(memory).fill().await;
    println!("| in memory | {each} | |");
    let before = redis.used_memory();
    let each = Arc::new(shared).fill().await;
    let there = redis.used_memory().saturating_sub(before) / MANY;
    println!("| on Redis | {each} | {there} |");
}

/// Sessions in memory or on a server.
struct Side {
    sessions: Sessions,
    refresher: Refresher,
    clock: Clock,
    provider: Arc<str>,
}

/// Microseconds for each operation.
#[derive(Clone, Copy)]
struct Cost {
    elapsed: f64,
    cpu: f64,
}

impl Side {
    fn in_memory() -> Self {
        let (clock, settings) = (Clock::system(), settings(Store::Memory));
        let sessions = Sessions::in_memory(table(&settings, &clock));
        Self::new(sessions, &settings, clock, (TaskTracker::new(), Arc::default()))
    }

    async fn on(redis: &Redis) -> Self {
        let (clock, tasks) = (Clock::system(), TaskTracker::new());
        let (settings, metrics) = (settings(redis.store()), Arc::<Metrics>::default());
        let Store::Redis(of_store) = &settings.store else { panic!("not Redis") };
        let store = Arc::new(RedisStore::new(of_store, &metrics));
        let table = table(&settings, &clock);
        let roots = Roots::new(&settings.secrets, &Root::generate());
        let shared = SharedSessions::new(
            Arc::clone(&store),
            table.clone(),
            &settings,
            roots,
            (&clock, &tasks),
        );
        let sessions = Sessions::shared(table, shared);
        let (follower, present, timer) =
            (Arc::clone(&store), sessions.in_redis().cloned(), clock.clone());
        tokio::spawn(async move { follower.follow(&timer, || present.clone()).await });
        while store.health() != StoreHealth::Up {
            sleep(Duration::from_millis(10)).await;
        }
        Self::new(sessions, &settings, clock, (tasks, metrics))
    }

    fn new(
        sessions: Sessions,
        settings: &Settings,
        clock: Clock,
        (tasks, metrics): (TaskTracker, Arc<Metrics>),
    ) -> Self {
        let limit = Arc::new(SizeLimit { max_bytes: settings.max_bytes, ..SizeLimit::default() });
        let refresher =
            Refresher::new(sessions.clone(), clock.clone(), settings, limit, tasks, metrics);
        Self { sessions, refresher, clock, provider: Arc::from("company") }
    }

    /// What one of the operations costs: the first signs in to the sessions, which the others use, and the last one ends
    /// them.
    async fn measure(&self, operation: usize, keys: &mut Vec<SessionKey>) -> Cost {
        let (cpu, start) = (seconds_on_cpu(), Instant::now());
        let mut times = FEW;
        match operation {
            0 => {
                for number in 0..FEW {
                    keys.push(self.sign_in(number).await);
                }
            }
            1 => {
                for (number, key) in keys.iter().enumerate() {
                    self.refresh(*key, number).await;
                }
            }
            2 => {
                times = FEW * LOOKUPS;
                for key in keys.iter().cycle().take(times) {
                    assert!(black_box(self.sessions.find(*key).await).unwrap().is_some());
                }
            }
            _ => {
                for key in keys.drain(..) {
                    assert!(self.sessions.remove(key).await.is_confirmed);
                }
            }
        }
        let each = |seconds: f64| seconds * 1e6 / times as f64;
        Cost { elapsed: each(start.elapsed().as_secs_f64()), cpu: each(seconds_on_cpu() - cpu) }
    }

    async fn sign_in(&self, number: usize) -> SessionKey {
        let data = data(&self.provider, number, &self.clock);
        let (id, now) = (SessionId::generate(), self.clock.moment());
        let session = Arc::new(Session::new(&id, PROVIDER, data, now, LIFETIME));
        self.sessions.insert(session).await.unwrap();
        id.key()
    }

    async fn refresh(&self, key: SessionKey, number: usize) {
        let session = self.sessions.find(key).await.unwrap().unwrap();
        let (data, tokens) = (Arc::clone(&session.data()), tokens(&self.clock));
        let baseline = baseline(&format!("user-{number:032}"));
        let refreshed = RefreshedTokens { tokens, identity: None, baseline };
        let answer = RefreshOutcome::Renewed(Box::new(refreshed));
        let flight = self.refresher.refresh(&session, &data, |_| async { answer });
        assert!(flight.effect().await == RefreshEffect::Renewed);
    }

    /// Signs many users in. Returns the bytes for each.
    async fn fill(self: Arc<Self>) -> usize {
        let before = resident();
        let mut tasks = JoinSet::new();
        for first in 0..AT_ONCE {
            let this = Arc::clone(&self);
            tasks.spawn(async move {
                for number in (first..MANY).step_by(AT_ONCE) {
                    this.sign_in(number).await;
                }
            });
        }
        tasks.join_all().await;
        assert!(self.sessions.len() >= MANY);
        let each = resident().saturating_sub(before) / MANY;
        // Memory that it freed would be reused by the next one.
        std::mem::forget(self);
        each
    }
}

impl Cost {
    const UNKNOWN: Self = Self { elapsed: f64::INFINITY, cpu: 0.0 };

    /// The least time. The kernel counts that on a processor now and then, so it is the mean.
    fn with(self, round: Self) -> Self {
        let cpu = self.cpu + round.cpu / ROUNDS as f64;
        Self { elapsed: self.elapsed.min(round.elapsed), cpu }
    }
}

/// A server that stores nothing on disk. It ends with this.
struct Redis {
    address: SocketAddr,
    process: Child,
    _folder: TempDir,
}

impl Redis {
    async fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let port = address.port().to_string();
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port, "--save", ""])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while TcpStream::connect(address).is_err() {
            sleep(Duration::from_millis(10)).await;
        }
        Self { address, process, _folder: folder }
    }

    fn store(&self) -> Store {
        Store::Redis(Box::new(RedisSettings {
            address: RedisAddress::Tcp {
                host: self.address.ip().to_string(),
                port: self.address.port(),
            },
            database: 0,
            username: None,
            password: None,
            tls: None,
            key_prefix: "bench".to_owned(),
            timeout: Duration::from_secs(5),
            outage_cache: Duration::from_secs(30),
        }))
    }

    /// Bytes that it uses.
    fn used_memory(&self) -> usize {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(b"INFO memory\r\nQUIT\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("used_memory:"));
        line.unwrap().trim().parse().unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Both fail only where the process has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// How long the thread of the benchmark was on a processor.
fn seconds_on_cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn table(settings: &Settings, clock: &Clock) -> SessionTable {
    SessionTable::new(&Arc::new(SessionMaps::new(clock.clone())), settings, Arc::new([PROVIDER]))
}

fn settings(store: Store) -> Settings {
    Settings {
        lifetime: LIFETIME,
        idle_timeout: Some(Duration::from_secs(3600)),
        refresh_before: Duration::from_secs(60),
        recheck: None,
        outage_grace: Duration::from_secs(300),
        cookie: CookieSettings::default(),
        max_sessions: 1_000_000,
        max_sessions_per_user: 1000,
        max_bytes: 128 * 1024,
        secrets: vec![Secret::new("a secret")],
        store,
        snapshot: None::<PathBuf>,
    }
}

const OPERATIONS: [&str; 4] =
    ["sign-in (insert)", "refresh (replace)", "lookup again (find)", "sign-out (remove)"];
const PROVIDER: [u8; 8] = [0; 8];
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
const ROUNDS: usize = 5;
const FEW: usize = 2000;
const LOOKUPS: usize = 100;
const MANY: usize = 50_000;
const AT_ONCE: usize = 64;
