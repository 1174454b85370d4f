//! A store, and the instances of the gateway that use it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use portcullis::clock::Clock;
use portcullis::secret::Secret;
use portcullis::session::redis::{RedisAddress, RedisSettings};
use portcullis::session::seal::{Root, Roots};
use portcullis::session::snapshot::load::Continuing;
use portcullis::session::snapshot::{Snapshot, SnapshotSource};
use portcullis::session::table::{SessionMaps, SessionTable};
use portcullis::session::{CookieSettings, ProviderMark, SessionKey, Settings, Store};
use redis::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::instance::Instance;
use super::interruption::Interruption;
use crate::component::redis::{RealRedis, RedisKind, RedisOptions};
use crate::support::wait::until;

/// Where sessions are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreKind {
    Memory,
    Snapshot,
    Redis,
    /// Redis where there is no Valkey.
    Valkey,
}

/// What an instance is configured with.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) settings: Settings,
    pub(super) providers: Vec<ProviderMark>,
}

/// A store with its clock, which is that of all instances.
pub(super) struct World {
    pub(super) kind: StoreKind,
    pub(super) clock: Clock,
    /// Of the instances that are made from now on.
    pub(super) setup: Setup,
    place: Place,
}

enum Place {
    Process(Arc<SessionMaps>),
    Kept(Kept),
    Server(RealRedis),
}

/// A process that writes a snapshot.
struct Kept {
    maps: Arc<SessionMaps>,
    folder: TempDir,
    snapshot: Arc<Snapshot>,
    keeper: JoinHandle<()>,
}

impl World {
    pub(super) async fn start(kind: StoreKind) -> Self {
        let (clock, setup) = (Clock::system(), Setup::usual());
        let server =
            async |kind| Place::Server(RealRedis::start(kind, RedisOptions::default()).await);
        let place = match kind {
            StoreKind::Memory => Place::Process(Arc::new(SessionMaps::new(clock.clone()))),
            StoreKind::Snapshot => Place::Kept(Kept::open(TempDir::new().unwrap(), &setup, &clock)),
            StoreKind::Redis => server(RedisKind::Redis).await,
            StoreKind::Valkey => server(*RedisKind::ALL.last().unwrap()).await,
        };
        Self { kind, clock, setup, place }
    }

    /// Two instances.
    pub(super) async fn instances(&self) -> [Instance; 2] {
        [self.instance().await, self.instance().await]
    }

    /// One more instance.
    pub(super) async fn instance(&self) -> Instance {
        let instance = match &self.place {
            Place::Process(maps) | Place::Kept(Kept { maps, .. }) => {
                Instance::of_process(maps, &self.setup, &self.clock)
            }
            Place::Server(redis) => self.instance_at(redis.address()),
        };
        until("the instance has its store", async || instance.is_connected()).await;
        instance
    }

    /// An instance that reaches the server through this proxy.
    pub(super) async fn instance_behind(&self, proxy: &Interruption) -> Instance {
        let instance = self.instance_at(proxy.address());
        until("the instance has its store", async || instance.is_connected()).await;
        instance
    }

    /// An instance that looks for the server at this address, and may not have found it yet.
    pub(super) fn instance_at(&self, address: SocketAddr) -> Instance {
        let mut setup = self.setup.clone();
        if let Store::Redis(settings) = &mut setup.settings.store {
            settings.address =
                RedisAddress::Tcp { host: address.ip().to_string(), port: address.port() };
        }
        Instance::of_server(&setup, &self.clock)
    }

    /// Ends the process of the instances so far. Those that are made from now on are of the next one.
    pub(super) async fn restart(&mut self) {
        if let Place::Kept(kept) = &mut self.place {
            kept.restart(&self.setup, &self.clock).await;
        }
    }

    pub(super) fn is_shared(&self) -> bool {
        matches!(self.place, Place::Server(_))
    }

    pub(super) fn server(&self) -> &RealRedis {
        let Place::Server(redis) = &self.place else { panic!("{:?} has no server", self.kind) };
        redis
    }

    pub(super) fn server_mut(&mut self) -> &mut RealRedis {
        let Place::Server(redis) = &mut self.place else { panic!("{:?} has no server", self.kind) };
        redis
    }

    /// What the server answers to another client.
    pub(super) fn command(&self, words: &[&str]) -> Value {
        self.server().command(words)
    }

    /// Whether the server has this key.
    pub(super) fn has(&self, name: &str) -> bool {
        self.command(&["EXISTS", name]) == Value::Int(1)
    }

    /// For how long the server keeps this key.
    pub(super) fn kept(&self, name: &str) -> Duration {
        let Value::Int(millis) = self.command(&["PTTL", name]) else { panic!("no number") };
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

impl Setup {
    fn usual() -> Self {
        let redis = RedisSettings {
            address: RedisAddress::Unix(PathBuf::new()),
            database: 0,
            username: None,
            password: None,
            tls: None,
            key_prefix: PREFIX.to_owned(),
            // A machine that is busy with other tests is no outage.
            timeout: Duration::from_secs(5),
            outage_cache: OUTAGE_CACHE,
        };
        let settings = Settings {
            lifetime: LIFETIME,
            idle_timeout: None,
            refresh_before: Duration::from_secs(60),
            recheck: Some(Duration::from_secs(100)),
            outage_grace: Duration::from_secs(300),
            cookie: CookieSettings::default(),
            max_sessions: 100,
            max_sessions_per_user: 10,
            max_bytes: MAX_BYTES,
            secrets: vec![Secret::new("a secret")],
            store: Store::Redis(Box::new(redis)),
            snapshot: None,
        };
        Self { settings, providers: vec![PROVIDER] }
    }

    /// What a server is reached with.
    pub(super) fn redis(&mut self) -> &mut RedisSettings {
        let Store::Redis(redis) = &mut self.settings.store else { panic!("no Redis") };
        redis
    }

    /// Seals with the first of these, and reads what any of them has sealed.
    pub(super) fn secrets(&mut self, secrets: &[&str]) {
        self.settings.secrets = secrets.iter().copied().map(Secret::new).collect();
    }

    pub(super) fn roots(&self) -> Roots {
        Roots::new(&self.settings.secrets, &Root::generate())
    }

    pub(super) fn table(&self, maps: &Arc<SessionMaps>) -> SessionTable {
        SessionTable::new(maps, &self.settings, self.providers.clone().into())
    }
}

impl Kept {
    fn open(folder: TempDir, setup: &Setup, clock: &Clock) -> Self {
        let maps = Arc::new(SessionMaps::new(clock.clone()));
        let (table, roots) = (setup.table(&maps), setup.roots());
        let continuing = Continuing {
            roots: roots.clone(),
            lifetime: setup.settings.lifetime,
            providers: BTreeMap::from([("company".into(), PROVIDER)]),
        };
        let file = folder.path().join("sessions");
        let (snapshot, _) =
            Snapshot::open(&file, &table, &continuing, clock, &Arc::default()).unwrap();
        let (kept, source) =
            (Arc::clone(&snapshot), ArcSwap::from_pointee(SnapshotSource { table, roots }));
        let keeper = tokio::spawn(async move { kept.keep(&source).await });
        Self { maps, folder, snapshot, keeper }
    }

    async fn restart(&mut self, setup: &Setup, clock: &Clock) {
        let source = SnapshotSource { table: setup.table(&self.maps), roots: setup.roots() };
        self.snapshot.conclude(Arc::new(source)).await;
        self.keeper.abort();
        until("no task has the snapshot", async || Arc::strong_count(&self.snapshot) == 1).await;
        // The next process reads another file, as this one is locked until it is dropped.
        let folder = TempDir::new().unwrap();
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        *self = Self::open(folder, setup, clock);
    }
}

/// The key of a session's record on the server.
pub(super) fn record(session: SessionKey) -> String {
    key_of(session, "s")
}

/// The key of the lock under which it is refreshed.
pub(super) fn lock(session: SessionKey) -> String {
    key_of(session, "l")
}

fn key_of(session: SessionKey, what: &str) -> String {
    let half = u128::from_be_bytes(session.half());
    format!("{PREFIX}:{{{half:032x}}}:{what}")
}

pub(super) const PROVIDER: ProviderMark = [7; 8];
pub(super) const LIFETIME: Duration = Duration::from_secs(3600);
pub(super) const OUTAGE_CACHE: Duration = Duration::from_secs(30);
pub(super) const MAX_BYTES: usize = 4096;
const PREFIX: &str = "contract";
