//! The Redis server of this process, and what outlives a configuration of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Notify, watch};

use crate::lock::lock;
use crate::session::StoreUnavailable;
use crate::session::redis::RedisSettings;
use crate::session::redis::ends::Ends;
use crate::session::redis::error::RedisError;
use crate::session::redis::names::KeyNames;
use crate::session::redis::server::{Notice, RedisServer};
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::{Metrics, StoreMeter};

/// A Redis server with sessions.
#[derive(Debug)]
pub struct RedisStore {
    pub(super) server: RedisServer,
    pub(super) names: KeyNames,
    pub(super) ends: Ends,
    pub(super) outage_cache: Duration,
    pub(super) meter: Arc<StoreMeter>,
    /// Of sessions that cannot be read: a browser may send the cookie of one again and again.
    pub(super) unreadable: LogThrottle,
    /// How many changes of records were reported.
    notices: AtomicU64,
    /// There is a new connection.
    reconnected: Notify,
    /// There was one.
    connected: watch::Sender<bool>,
    timeout: Duration,
    reported: Mutex<Option<UnboundedReceiver<Notice>>>,
}

/// Whether the server can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreHealth {
    /// It has not answered yet.
    Waiting,
    /// It answers.
    Up,
    /// It has answered, and cannot be reached now.
    Lost,
}

impl RedisStore {
    /// The server of these settings. Connects when its notices are followed.
    pub fn new(settings: &RedisSettings, metrics: &Metrics) -> Self {
        let (server, reported) = RedisServer::new(settings, metrics);
        Self {
            server,
            names: KeyNames::new(&settings.key_prefix),
            ends: Ends::default(),
            outage_cache: settings.outage_cache,
            meter: metrics.session_store(),
            unreadable: LogThrottle::default(),
            notices: AtomicU64::new(0),
            reconnected: Notify::new(),
            connected: watch::Sender::new(false),
            timeout: settings.timeout,
            reported: Mutex::new(Some(reported)),
        }
    }

    /// Whether the server can be used.
    pub fn health(&self) -> StoreHealth {
        match (self.server.has_answered(), self.server.link().up) {
            (false, _) => StoreHealth::Waiting,
            (true, true) => StoreHealth::Up,
            (true, false) => StoreHealth::Lost,
        }
    }

    /// Marks a `state` as used, for as long. Returns `false` if it was used before, at any instance.
    pub async fn use_state(
        &self,
        state: &[u8; 16],
        kept: Duration,
    ) -> Result<bool, StoreUnavailable> {
        self.await_first_connection().await;
        Ok(self.server.claim(&self.names.used_state(state), kept).await?)
    }

    /// Whether a `state` was used.
    pub async fn is_state_used(&self, state: &[u8; 16]) -> Result<bool, StoreUnavailable> {
        self.await_first_connection().await;
        Ok(self.server.exists(&self.names.used_state(state)).await?)
    }

    /// Waits for the first connection, as long as for an operation: a process that has just started is not in an outage.
    pub(super) async fn await_first_connection(&self) {
        if !self.server.has_answered() {
            let mut connected = self.connected.subscribe();
            let first = connected.wait_for(|connected| *connected);
            drop(tokio::time::timeout(self.timeout, first).await);
        }
    }

    /// Waits for a new connection.
    pub(super) async fn reconnected(&self) {
        self.reconnected.notified().await;
    }

    /// Notes a new connection.
    pub(super) fn note_connection(&self) {
        self.connected.send_replace(true);
        self.reconnected.notify_one();
    }

    /// The number of the connection that reports changes; `None` while there is none.
    pub(super) fn link(&self) -> Option<u64> {
        let link = self.server.link();
        link.up.then_some(link.number)
    }

    /// How many changes of records were reported.
    pub(super) fn notices(&self) -> u64 {
        self.notices.load(Ordering::SeqCst)
    }

    /// Counts a reported change.
    pub(super) fn count_notice(&self) {
        self.notices.fetch_add(1, Ordering::SeqCst);
    }

    /// What the server reports; `None` after the first call.
    pub(super) fn take_reported(&self) -> Option<UnboundedReceiver<Notice>> {
        lock(&self.reported).take()
    }
}

impl From<RedisError> for StoreUnavailable {
    // The error was logged where it arose.
    fn from(_: RedisError) -> Self {
        Self
    }
}
