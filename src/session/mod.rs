//! Sessions of signed-in browsers; knows no provider.
//! Invariant: a session exists while the table has it, under the hash of its random id. [`SessionData`] is what could
//! be stored outside the process, which `codec` does. [`Session`] adds what belongs to this process: the refresh under
//! way, the end signal, the connections that it uses.

pub mod codec;
pub mod cookie;
pub mod cookie_receipt;
mod data;
pub mod end_signal;
mod ended;
mod id;
pub mod redis;
pub mod refresh;
mod refresh_turn;
pub mod seal;
mod sessions;
mod settings;
pub mod size_limit;
pub mod snapshot;
pub mod table;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

pub use data::{Freshness, SessionData, Tokens};
pub use id::{KeyHalf, SessionId, SessionKey};
pub use sessions::{Removed, Sessions, StoreUnavailable};
pub use settings::{CookieSettings, Persistence, SameSite, Settings, Store};

use crate::clock::Moment;
use crate::session::cookie_receipt::CookieReceipt;
use crate::session::end_signal::EndSignal;
use crate::session::redis::Reading;
use crate::session::refresh::Refreshing;

/// Names the provider of a sign-in, also after a restart. Unlike an ID, it names no other provider under a changed
/// configuration.
pub type ProviderMark = [u8; 8];

/// A session in this process.
#[derive(Debug)]
pub struct Session {
    key: SessionKey,
    provider: ProviderMark,
    began: Moment,
    ends: Moment,
    /// The last request, in milliseconds of the clock.
    used: AtomicU64,
    receipt: Arc<CookieReceipt>,
    data: ArcSwap<SessionData>,
    refreshing: Refreshing,
    end_signal: EndSignal,
    /// What is known of its record, if it has one in Redis.
    reading: OnceLock<Box<Reading>>,
    upstream_connections: Arc<AtomicUsize>,
}

/// When a session began, ends, and was last used.
#[derive(Clone, Copy, Debug)]
struct Times {
    began: Moment,
    ends: Moment,
    used: Moment,
}

impl Session {
    /// A session that starts now.
    pub fn new(
        id: &SessionId,
        provider: ProviderMark,
        data: SessionData,
        now: Moment,
        lifetime: Duration,
    ) -> Self {
        let times = Times { began: now, ends: now.after(lifetime), used: now };
        Self::with_times(id.key(), provider, data, times)
    }

    /// A session with these times.
    fn with_times(
        key: SessionKey,
        provider: ProviderMark,
        data: SessionData,
        times: Times,
    ) -> Self {
        Self {
            key,
            provider,
            began: times.began,
            ends: times.ends,
            used: AtomicU64::new(times.used.as_millis()),
            receipt: Arc::default(),
            data: ArcSwap::from_pointee(data),
            refreshing: Refreshing::default(),
            end_signal: EndSignal::default(),
            reading: OnceLock::new(),
            upstream_connections: Arc::default(),
        }
    }

    /// Its key in the table.
    pub fn key(&self) -> SessionKey {
        self.key
    }

    /// The provider of its sign-in.
    pub fn provider(&self) -> ProviderMark {
        self.provider
    }

    fn times(&self) -> Times {
        Times { began: self.began, ends: self.ends, used: self.used() }
    }

    /// The same, but over at the latest this long after its sign-in.
    fn within(self, lifetime: Duration) -> Self {
        Self { ends: self.ends.min(self.began.after(lifetime)), ..self }
    }

    /// When its user signed in.
    pub fn began(&self) -> Moment {
        self.began
    }

    /// When its lifetime is over.
    pub fn ends(&self) -> Moment {
        self.ends
    }

    /// When it was last used.
    pub fn used(&self) -> Moment {
        Moment::from_millis(self.used.load(Ordering::Relaxed))
    }

    /// Records a request with its cookie.
    pub fn touch(&self, now: Moment) {
        self.receipt.receive();
        self.used.store(now.as_millis(), Ordering::Relaxed);
    }

    /// How far its cookie has come, for as long as the caller needs it, also after the session has ended.
    pub fn receipt(&self) -> &Arc<CookieReceipt> {
        &self.receipt
    }

    /// Whether its lifetime is over or it was idle for too long.
    pub fn is_over(&self, now: Moment, idle_timeout: Option<Duration>) -> bool {
        now >= self.ends || idle_timeout.is_some_and(|idle| now.since(self.used()) >= idle)
    }

    /// What it holds now.
    pub fn data(&self) -> Guard<Arc<SessionData>> {
        self.data.load()
    }

    /// Signals its end.
    pub fn end_signal(&self) -> &EndSignal {
        &self.end_signal
    }

    /// Counts the connections to upstreams that its requests hold.
    pub fn upstream_connections(&self) -> &Arc<AtomicUsize> {
        &self.upstream_connections
    }

    /// Counts as used at this moment, if it was not used later.
    fn used_at_least(&self, used: Moment) {
        self.used.fetch_max(used.as_millis(), Ordering::Relaxed);
    }

    fn reading(&self) -> Option<&Reading> {
        self.reading.get().map(|reading| &**reading)
    }

    /// The first call counts.
    fn set_reading(&self, reading: Reading) {
        self.reading.get_or_init(|| Box::new(reading));
    }

    /// Holds what a newer reading of the same session holds.
    fn replace_with(&self, newer: &Self) {
        self.data.store(newer.data.load_full());
    }

    fn replace(&self, data: SessionData) {
        self.data.store(Arc::new(data));
    }
}

#[cfg(test)]
pub(crate) mod tests;
