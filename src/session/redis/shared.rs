//! The sessions that several instances share: the table of this process is a cache of what Redis has.
//! Invariants: a session that is used is read again within ten seconds, and at once after a change of it was reported; a
//! session that was ended here is not found here; one that cannot be read again is used for `outage_cache` at most.
//! Reads that no request has to wait for are tasks, one at a time for each session.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::clock::{Clock, Moment};
use crate::session::redis::commands::Stored;
use crate::session::redis::reading::{Age, Reading};
use crate::session::redis::record::{self, Generation};
use crate::session::redis::store::RedisStore;
use crate::session::seal::Roots;
use crate::session::table::SessionTable;
use crate::session::{KeyHalf, Session, SessionKey, Settings, StoreUnavailable};
use crate::single_flight::Waiter;
use crate::telemetry::metrics::{StoreOperation, StoreOutcome};

/// Sessions in Redis, under one configuration.
#[derive(Debug)]
pub struct SharedSessions {
    pub(super) store: Arc<RedisStore>,
    pub(super) table: SessionTable,
    pub(super) roots: Roots,
    pub(super) clock: Clock,
    pub(super) lifetime: Duration,
    pub(super) max_sessions_per_user: usize,
    idle: Option<Idle>,
    tasks: TaskTracker,
}

/// How the idle timeout is kept in Redis, whose expiry is the end of an unused session.
#[derive(Clone, Copy, Debug)]
struct Idle {
    timeout: Duration,
    /// How often a use of the session extends that.
    interval: Duration,
}

impl Idle {
    /// How long Redis keeps a session from its last recorded use. Each instance records one after an interval, and reads
    /// at least as often, so that up to two of them pass before it does.
    fn kept(self) -> Duration {
        self.timeout + self.interval * 2
    }
}

impl SharedSessions {
    /// The sessions on this server. `table` has those that this process has read. `tasks` owns what runs without a
    /// request.
    pub fn new(
        store: Arc<RedisStore>,
        table: SessionTable,
        settings: &Settings,
        roots: Roots,
        (clock, tasks): (&Clock, &TaskTracker),
    ) -> Self {
        let idle = settings.idle_timeout;
        Self {
            store,
            table,
            roots,
            clock: clock.clone(),
            lifetime: settings.lifetime,
            max_sessions_per_user: settings.max_sessions_per_user,
            idle: idle.map(|timeout| Idle { timeout, interval: (timeout / 20).min(MAX_INTERVAL) }),
            tasks: tasks.clone(),
        }
    }

    /// The server.
    pub fn store(&self) -> &Arc<RedisStore> {
        &self.store
    }

    /// The session with this key, unless it is over.
    pub(in crate::session) async fn find(
        self: &Arc<Self>,
        key: SessionKey,
    ) -> Result<Option<Arc<Session>>, StoreUnavailable> {
        let Some(session) = self.table.get(key) else {
            // Boxed, like the others, because it is rare, and its size would add to every request's future.
            return Box::pin(self.fetch(key)).await;
        };
        match self.age(&session) {
            Age::Current => Ok(Some(session)),
            Age::Aging => {
                note_use(&session);
                drop(self.read_again(&session));
                Ok(Some(session))
            }
            Age::Stale => {
                note_use(&session);
                Box::pin(self.verify(session)).await
            }
        }
    }

    /// Whether a session that a request has found may still be used. Reads it again without waiting for that.
    pub(in crate::session) fn stands(self: &Arc<Self>, session: &Arc<Session>) -> bool {
        if session.end_signal().is_given() || self.table.is_past(session) {
            return false;
        }
        match self.age(session) {
            Age::Current => true,
            Age::Aging | Age::Stale => {
                drop(self.read_again(session));
                // Also if it has changed: if it has ended, that read signals it.
                let (now, outage_cache) = (self.clock.moment(), self.store.outage_cache);
                session.reading().is_some_and(|reading| reading.is_within(now, outage_cache))
            }
        }
    }

    /// Removes from this process what is over, or what no request uses and would have to be read again anyway. Returns
    /// how many.
    pub(in crate::session) fn sweep(&self) -> usize {
        let unused = |session: &Arc<Session>| {
            // The table and this list have it, too.
            Arc::strong_count(session) <= 2
                && !self.survives_outage(session)
                && self.age(session) == Age::Stale
        };
        let all = self.table.all();
        let (over, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|session| self.table.is_past(session));
        over.iter().for_each(|session| self.end_here(session));
        let unused: Vec<_> = others.into_iter().filter(unused).collect();
        unused.iter().for_each(|session| self.table.forget(session));
        over.len() + unused.len()
    }

    /// Reads a session that this process does not have.
    async fn fetch(
        self: &Arc<Self>,
        key: SessionKey,
    ) -> Result<Option<Arc<Session>>, StoreUnavailable> {
        let (store, half) = (&self.store, key.half());
        if store.ends.contains(&half) {
            return Ok(None);
        }
        store.await_first_connection().await;
        let (notices, link, at) = (store.notices(), store.link(), self.clock.moment());
        let Some(stored) = store.server.read(&store.names.record(&half)).await? else {
            return Ok(None);
        };
        let Some((session, generation)) = self.open(&half, &stored) else { return Ok(None) };
        if session.key() != key || self.table.is_past(&session) {
            return Ok(None);
        }
        session.set_reading(Reading::now(generation, at, link.unwrap_or_default()));
        self.take_recorded_use(&session, stored.ttl);
        let read = Arc::new(session);
        let session = self.table.cache(Arc::clone(&read));
        // SECURITY: a sign-out while the session was read did not find it in the table.
        if store.ends.contains(&half) {
            self.end_here(&session);
            return Ok(None);
        }
        if store.notices() != notices {
            outdate(&session);
            return self.verify(session).await;
        }
        // Others that read it at the same time leave that to the first one.
        if Arc::ptr_eq(&read, &session) {
            let this = Arc::clone(self);
            self.tasks.spawn(async move { this.extend(&read, this.clock.moment()).await });
        }
        Ok(Some(session))
    }

    /// Reads a session again before it is used.
    async fn verify(
        self: &Arc<Self>,
        session: Arc<Session>,
    ) -> Result<Option<Arc<Session>>, StoreUnavailable> {
        if self.table.is_past(&session) {
            self.end_here(&session);
            return Ok(None);
        }
        let lives = match self.store.link() {
            Some(_) => self.read_again(&session).result().await.unwrap_or(Err(StoreUnavailable)),
            None => Err(StoreUnavailable),
        };
        match lives {
            Ok(true) => Ok(Some(session)),
            Ok(false) => Ok(None),
            Err(_) if self.survives_outage(&session) => Ok(Some(session)),
            Err(unavailable) => Err(unavailable),
        }
    }

    /// Joins the read of a session that is under way, or starts it. Its result is whether the session lives.
    pub(super) fn read_again(
        self: &Arc<Self>,
        session: &Arc<Session>,
    ) -> Waiter<Result<bool, StoreUnavailable>> {
        let Some(reading) = session.reading() else {
            return Waiter::of(Err(StoreUnavailable));
        };
        let again = reading.again.lock();
        if let Some(under_way) = again.under_way() {
            return under_way;
        }
        let (call, waiter) = again.start();
        let (this, session) = (Arc::clone(self), Arc::clone(session));
        self.tasks.spawn(async move {
            let Some(reading) = session.reading() else { return };
            let mut call = call;
            loop {
                let lives = this.read(&session).await;
                reading.again.finish(call, |()| lives);
                // A change that was reported since would have joined the read that has ended.
                let again = reading.again.lock();
                if lives != Ok(true) || !reading.is_outdated() || again.under_way().is_some() {
                    return;
                }
                call = again.start().0;
            }
        });
        waiter
    }

    /// Reads the record of a session: whether the session lives.
    pub(super) async fn read(
        self: &Arc<Self>,
        session: &Arc<Session>,
    ) -> Result<bool, StoreUnavailable> {
        let (store, half) = (&self.store, session.key().half());
        let (Some(reading), name) = (session.reading(), store.names.record(&half)) else {
            return Ok(false);
        };
        // It may change again and again; then the next request reads it again.
        for _ in 0..3 {
            if session.end_signal().is_given() {
                return Ok(false);
            }
            let (before, changes) = (reading.generation(), reading.changes());
            let (at, link) = (self.clock.moment(), store.link().unwrap_or_default());
            let stored = store.server.read(&name).await?;
            let Some(stored) = stored.filter(|_| !store.ends.contains(&half)) else {
                self.end_here(session);
                self.unindex_soon(session);
                return Ok(false);
            };
            let is_same = record::generation_of(&stored.value) == Some(before);
            let generation = if is_same {
                before
            } else {
                let Some((newer, generation)) = self.open(&half, &stored) else {
                    self.end_here(session);
                    return Ok(false);
                };
                let newer = || session.replace_with(&newer);
                if !reading.switch(before, generation, newer) {
                    continue;
                }
                generation
            };
            self.take_recorded_use(session, stored.ttl);
            if reading.update(generation, (at, link), changes) {
                break;
            }
        }
        let used = if reading.take_use() { self.clock.moment() } else { session.used() };
        if reading.extends(used, self.idle.map_or(MAX_INTERVAL, |idle| idle.interval)) {
            self.extend(session, used).await;
        }
        Ok(!session.end_signal().is_given())
    }

    /// Reads a record. One that cannot be read is like none.
    fn open(&self, half: &KeyHalf, stored: &Stored) -> Option<(Session, Generation)> {
        let name = self.store.names.record(half);
        let generation = record::generation_of(&stored.value);
        match record::open(&stored.value, half, &name, &self.roots, &self.clock) {
            Ok(session) => Some((session, generation?)),
            Err(reason) => {
                self.store.meter.operated(StoreOperation::Read, StoreOutcome::Unreadable);
                if self.store.unreadable.allow() {
                    tracing::warn!(key = name, %reason, "session.store: a session cannot be read, so it counts as ended");
                }
                None
            }
        }
    }

    /// Records in Redis that a session was used here, which all other instances notice.
    async fn extend(self: &Arc<Self>, session: &Arc<Session>, used: Moment) {
        let (store, half) = (&self.store, session.key().half());
        let ttl = self.ttl(session, used);
        match store.server.extend(&store.names.record(&half), ttl).await {
            Ok(true) => {
                if let Some(reading) = session.reading() {
                    reading.extended(used);
                }
                let index = self.user_index(session);
                drop(store.server.index_score(&index, &half, self.unix_millis()).await);
            }
            Ok(false) => {
                self.end_here(session);
                self.unindex_soon(session);
            }
            // The next use tries it again.
            Err(_) => {}
        }
    }

    /// How long Redis keeps a session that was used then.
    pub(super) fn ttl(&self, session: &Session, used: Moment) -> Duration {
        let ends = session.ends();
        let end = self.idle.map_or(ends, |idle| used.after(idle.kept()).min(ends));
        end.since(self.clock.moment()).max(Duration::from_millis(1))
    }

    /// Takes over when the session was used at any instance, as far as Redis knows by the time that it keeps it.
    fn take_recorded_use(&self, session: &Session, ttl: Duration) {
        let idle = self.idle.filter(|idle| ttl <= idle.kept());
        // Kept for longer under another configuration, it says nothing.
        if let (Some(idle), Some(reading)) = (idle, session.reading()) {
            let recorded = self.clock.moment().after(ttl).before(idle.kept());
            session.used_at_least(recorded);
            reading.extended(recorded);
        }
    }

    /// Ends a session in this process.
    pub(super) fn end_here(&self, session: &Session) {
        self.table.end(session.key());
        session.end_signal().give();
    }

    fn age(&self, session: &Session) -> Age {
        let now = self.clock.moment();
        let aging = self.idle.map_or(AGING, |idle| idle.interval.min(AGING));
        match session.reading() {
            // The expiry in Redis decides how long it may be unused.
            Some(reading) if !self.table.is_past_at(now, session) => {
                reading.age(now, self.store.link(), aging)
            }
            Some(_) | None => Age::Stale,
        }
    }

    fn survives_outage(&self, session: &Session) -> bool {
        let (now, outage_cache) = (self.clock.moment(), self.store.outage_cache);
        session.reading().is_some_and(|reading| reading.survives_outage(now, outage_cache))
    }

    /// The moment by which a session ends by itself.
    pub(super) fn latest_end(&self, session: Option<&Session>) -> Moment {
        session.map_or_else(|| self.clock.moment().after(self.lifetime), Session::ends)
    }

    pub(super) fn unix_millis(&self) -> u64 {
        u64::try_from(self.clock.since_epoch().as_millis()).unwrap_or(u64::MAX)
    }

    /// Runs a task for which no request waits.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }
}

/// Notes that a request uses a session.
fn note_use(session: &Session) {
    if let Some(reading) = session.reading() {
        reading.note_use();
    }
}

/// Notes that the record of a session has changed.
pub(super) fn outdate(session: &Session) {
    if let Some(reading) = session.reading() {
        reading.outdate();
    }
}

/// After how long a session in use is read again, in case that a report of its end was lost. Twice that is the most.
const AGING: Duration = Duration::from_secs(5);
/// How often a use of a session is recorded, at most.
const MAX_INTERVAL: Duration = Duration::from_secs(60);
