//! The session table: find, insert, remove; sharded, in memory.
//! Invariants: no guard of a map is held while another map is used or anything is awaited; a session that is
//! over is never found; both limits hold once all insertions under way are done.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use dashmap::DashMap;

use crate::clock::{Clock, Moment};
use crate::lock::lock;
use crate::session::ended::EndedQueue;
use crate::session::{KeyHalf, ProviderMark, Session, SessionKey, Settings};

/// All sessions of this process, under the limits of one configuration. A clone has the same sessions.
#[derive(Clone, Debug)]
pub struct SessionTable {
    maps: Arc<SessionMaps>,
    /// The configured providers.
    providers: Arc<[ProviderMark]>,
    lifetime: Duration,
    idle_timeout: Option<Duration>,
    max_sessions: usize,
    max_sessions_per_user: usize,
}

/// The sessions themselves; they outlive a configuration.
#[derive(Debug)]
pub struct SessionMaps {
    sessions: DashMap<SessionKey, Arc<Session>, BuildHasherDefault<FirstBytes>>,
    users: DashMap<User, Vec<SessionKey>>,
    /// The sessions to evict next if the table is full, with the time of their last use; the least recently
    /// used is last.
    eviction_candidates: Mutex<Vec<(Moment, SessionKey)>>,
    /// Increases with every session that is added, replaced or removed.
    changes: AtomicU64,
    /// Where sessions that ended are recorded, if sessions are stored.
    ended: OnceLock<Arc<EndedQueue>>,
    clock: Clock,
}

/// How many sessions were evicted for a new one: the least recently used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evicted {
    /// Because of `max_sessions`.
    pub of_all: usize,
    /// Of the same user, because of `max_sessions_per_user`.
    pub of_user: usize,
}

/// A user is (provider, `sub`), never an e-mail address (OIDC Core §5.7).
type User = (Arc<str>, Arc<str>);

impl SessionMaps {
    /// No sessions.
    pub fn new(clock: Clock) -> Self {
        Self {
            sessions: DashMap::with_capacity_and_hasher_and_shard_amount(
                0,
                BuildHasherDefault::default(),
                SHARDS,
            ),
            users: DashMap::new(),
            eviction_candidates: Mutex::default(),
            changes: AtomicU64::new(0),
            ended: OnceLock::new(),
            clock,
        }
    }
}

impl SessionTable {
    /// These sessions, under the limits of these settings, and only those of these providers.
    pub fn new(
        maps: &Arc<SessionMaps>,
        settings: &Settings,
        providers: Arc<[ProviderMark]>,
    ) -> Self {
        Self {
            maps: Arc::clone(maps),
            providers,
            lifetime: settings.lifetime,
            idle_timeout: settings.idle_timeout,
            max_sessions: settings.max_sessions,
            max_sessions_per_user: settings.max_sessions_per_user,
        }
    }

    /// The session with this key, unless it is over. Does not count as a use.
    pub fn find(&self, key: SessionKey) -> Option<Arc<Session>> {
        let session = self.maps.sessions.get(&key).map(|entry| Arc::clone(entry.value()))?;
        if self.is_over(&session) {
            self.end(key);
            return None;
        }
        Some(session)
    }

    /// The session with this key, over or not.
    pub(super) fn get(&self, key: SessionKey) -> Option<Arc<Session>> {
        self.maps.sessions.get(&key).map(|entry| Arc::clone(entry.value()))
    }

    /// After how long without a request a session ends.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout
    }

    /// Whether a session is over: after its lifetime, also if that has become shorter, or without use, or because its provider is not configured any more.
    // SECURITY: an ID can get another meaning by a reload. A refresh would send the token of the old provider to the new
    // one, and users of the old one would count as users of the new one.
    pub fn is_over(&self, session: &Session) -> bool {
        let now = self.maps.clock.moment();
        session.is_over(now, self.idle_timeout) || self.is_past_at(now, session)
    }

    /// The same, however long it was not used.
    pub(super) fn is_past(&self, session: &Session) -> bool {
        self.is_past_at(self.maps.clock.moment(), session)
    }

    /// The same at this moment.
    pub(super) fn is_past_at(&self, now: Moment, session: &Session) -> bool {
        session.is_over(now, None)
            || now >= session.began().after(self.lifetime)
            || !self.providers.contains(&session.provider())
    }

    /// Adds a session, and evicts the least recently used ones if a limit would be exceeded.
    pub fn insert(&self, session: Arc<Session>) -> Evicted {
        let (key, user) = (session.key(), user_of(&session));
        self.maps.sessions.insert(key, session);
        self.changed();
        let of_all = self.evict(key);
        let own = self.add_to_user(user, key);
        let surplus = own.len().saturating_sub(self.max_sessions_per_user);
        let of_user = self.end_all(&self.least_recently_used(own, surplus, Some(key)));
        Evicted { of_all, of_user }
    }

    /// Adds the key of a session to those of its user. Returns them if they are too many.
    fn add_to_user(&self, user: User, key: SessionKey) -> Vec<SessionKey> {
        // Most users have one browser.
        let mut keys = self.maps.users.entry(user).or_insert_with(|| Vec::with_capacity(1));
        keys.push(key);
        if keys.len() > self.max_sessions_per_user { keys.clone() } else { Vec::new() }
    }

    /// Adds a session without regard to the limits: [`Self::apply_limits`] follows.
    pub(super) fn restore(&self, session: Session) {
        let session = Arc::new(session);
        let (key, user) = (session.key(), user_of(&session));
        self.maps.sessions.insert(key, session);
        self.add_to_user(user, key);
    }

    /// Evicts the least recently used sessions above the limits. Returns how many.
    pub(super) fn apply_limits(&self) -> usize {
        let users = self.maps.users.iter();
        let full = users.filter(|entry| entry.value().len() > self.max_sessions_per_user);
        let full: Vec<Vec<SessionKey>> = full.map(|entry| entry.value().clone()).collect();
        let mut evicted = 0;
        for keys in full {
            let surplus = keys.len().saturating_sub(self.max_sessions_per_user);
            evicted += self.end_all(&self.least_recently_used(keys, surplus, None));
        }
        let surplus = self.len().saturating_sub(self.max_sessions);
        if surplus > 0 {
            let keys = self.maps.sessions.iter().map(|entry| *entry.key()).collect();
            evicted += self.end_all(&self.least_recently_used(keys, surplus, None));
        }
        evicted
    }

    /// Adds a session that Redis has. Returns the one with its key that was there before, if there was one. If there
    /// are too many, some that were not used for long are forgotten.
    pub(super) fn cache(&self, session: Arc<Session>) -> Arc<Session> {
        let key = session.key();
        let session = Arc::clone(self.maps.sessions.entry(key).or_insert(session).value());
        if self.len() > self.max_sessions {
            self.forget_unused();
        }
        session
    }

    /// Removes one session in a hundred, so that many additions share the cost of a scan. Those that requests use stay:
    /// there are not more of them than connections.
    fn forget_unused(&self) {
        let is_unused = |session: &Arc<Session>| Arc::strong_count(session) == 1;
        let unused = self.maps.sessions.iter().filter(|entry| is_unused(entry.value()));
        let unused = unused.map(|entry| *entry.key()).collect();
        let surplus = self.len().saturating_sub(self.max_sessions);
        for key in self.least_recently_used(unused, surplus + self.max_sessions / 100, None) {
            self.maps.sessions.remove_if(&key, |_, session| is_unused(session));
        }
    }

    /// Removes a session, which has not ended, if it is not used.
    pub(super) fn forget(&self, session: &Arc<Session>) {
        let is_it = |other: &Arc<Session>| Arc::ptr_eq(other, session);
        // The table and the caller have it.
        let is_unused = |other: &Arc<Session>| is_it(other) && Arc::strong_count(other) <= 2;
        self.maps.sessions.remove_if(&session.key(), |_, other| is_unused(other));
    }

    /// Forgets all sessions, as if there had never been any.
    pub(super) fn clear(&self) {
        self.maps.sessions.clear();
        self.maps.users.clear();
    }

    /// All sessions, also those that are over.
    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.maps.sessions.iter().map(|entry| Arc::clone(entry.value())).collect()
    }

    /// Whether a session was used after this moment.
    pub(super) fn is_used_since(&self, moment: Moment) -> bool {
        self.maps.sessions.iter().any(|entry| entry.value().used() > moment)
    }

    /// Records every session that ends from now on. Only the first call has an effect.
    pub(super) fn record_ended(&self, queue: &Arc<EndedQueue>) {
        self.maps.ended.get_or_init(|| Arc::clone(queue));
    }

    /// The sessions without their limits.
    #[cfg(test)]
    pub(super) fn maps(&self) -> &Arc<SessionMaps> {
        &self.maps
    }

    /// How often sessions were added, changed or removed.
    pub(super) fn changes(&self) -> u64 {
        self.maps.changes.load(Ordering::Relaxed)
    }

    /// Notes that sessions have changed.
    pub(super) fn changed(&self) {
        self.maps.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends a session; `None` if there is none with this key. Returns when a restart does not bring it back, even after a
    /// crash.
    pub async fn remove(&self, key: SessionKey) -> Option<Arc<Session>> {
        let (session, number) = self.end(key)?;
        if let (Some(queue), Some(number)) = (self.maps.ended.get(), number) {
            queue.recorded(number).await;
        }
        Some(session)
    }

    /// Ends a session. Returns it with its number in the queue of ended ones.
    pub(super) fn end(&self, key: SessionKey) -> Option<(Arc<Session>, Option<u64>)> {
        let (_, session) = self.maps.sessions.remove(&key)?;
        session.end_signal().give();
        let number = self.maps.ended.get().map(|queue| queue.push(key));
        self.changed();
        let user = user_of(&session);
        if let Some(mut keys) = self.maps.users.get_mut(&user) {
            keys.retain(|other| *other != key);
        }
        self.maps.users.remove_if(&user, |_, keys| keys.is_empty());
        Some((session, number))
    }

    /// The session whose key begins with this half, over or not.
    pub(super) fn by_half(&self, half: &KeyHalf) -> Option<Arc<Session>> {
        self.maps.sessions.get(half).map(|entry| Arc::clone(entry.value()))
    }

    /// Whether a session is in the table.
    pub fn contains(&self, key: SessionKey) -> bool {
        self.maps.sessions.contains_key(&key)
    }

    /// The number of sessions.
    pub fn len(&self) -> usize {
        self.maps.sessions.len()
    }

    /// Whether there are no sessions.
    pub fn is_empty(&self) -> bool {
        self.maps.sessions.is_empty()
    }

    /// Removes the sessions that are over; returns how many.
    pub fn sweep(&self) -> usize {
        let all = self.maps.sessions.iter();
        let over = all.filter(|entry| self.is_over(entry.value()));
        let keys: Vec<SessionKey> = over.map(|entry| *entry.key()).collect();
        self.end_all(&keys)
    }

    /// Returns how many of them there were.
    fn end_all(&self, keys: &[SessionKey]) -> usize {
        keys.iter().filter(|key| self.end(**key).is_some()).count()
    }

    /// Removes the least recently used sessions above the limit, never the `new` one. Returns how many.
    fn evict(&self, new: SessionKey) -> usize {
        let mut evicted = 0;
        while self.maps.sessions.len() > self.max_sessions {
            let Some(key) = self.next_eviction(new) else { break };
            evicted += self.end_all(&[key]);
        }
        evicted
    }

    /// Scans the whole table for one session in a hundred, so that many insertions share the cost of a scan.
    fn next_eviction(&self, new: SessionKey) -> Option<SessionKey> {
        let mut candidates = lock(&self.maps.eviction_candidates);
        while let Some((used, key)) = candidates.pop() {
            // A session that was used since the scan stays.
            if self.used(key) == Some(used) && key != new {
                return Some(key);
            }
        }
        let keys = self.maps.sessions.iter().map(|entry| *entry.key()).collect();
        let next = self.least_recently_used(keys, (self.max_sessions / 100).max(1), Some(new));
        candidates.extend(next.into_iter().rev().filter_map(|key| Some((self.used(key)?, key))));
        candidates.pop().map(|(_, key)| key)
    }

    fn used(&self, key: SessionKey) -> Option<Moment> {
        self.maps.sessions.get(&key).map(|entry| entry.used())
    }

    /// The `count` least recently used of these sessions, without the `new` one.
    fn least_recently_used(
        &self,
        keys: Vec<SessionKey>,
        count: usize,
        new: Option<SessionKey>,
    ) -> Vec<SessionKey> {
        if count == 0 {
            return Vec::new();
        }
        let others = keys.into_iter().filter(|key| Some(*key) != new);
        let mut used: Vec<_> = others.map(|key| (self.used(key), key)).collect();
        used.sort_unstable_by_key(|(used, _)| *used);
        used.into_iter().take(count).map(|(_, key)| key).collect()
    }
}

fn user_of(session: &Session) -> User {
    let data = session.data();
    (Arc::clone(&data.identity.provider), Arc::clone(&data.identity.subject))
}

/// Hashes a key by its first bytes. Keys are SHA-256 hashes already, so an attacker who wants collisions
/// needs preimages of SHA-256.
#[derive(Clone, Copy, Debug, Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Many, so that a sweep delays few lookups at a time.
const SHARDS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::tests::person;
    use crate::session::SessionId;
    use crate::session::tests::{baseline, token_set};
    use crate::session::{CookieSettings, SessionData, Store, Tokens};

    fn table(max_sessions: usize, max_sessions_per_user: usize) -> (SessionTable, Clock) {
        let clock = Clock::manual();
        let settings = Settings {
            lifetime: Duration::from_secs(3600),
            idle_timeout: Some(Duration::from_secs(600)),
            refresh_before: Duration::from_secs(60),
            recheck: None,
            outage_grace: Duration::from_secs(300),
            cookie: CookieSettings::default(),
            max_sessions,
            max_sessions_per_user,
            max_bytes: 1024,
            secrets: Vec::new(),
            store: Store::Memory,
            snapshot: None,
        };
        let maps = Arc::new(SessionMaps::new(clock.clone()));
        (SessionTable::new(&maps, &settings, Arc::new([[0; 8]])), clock)
    }

    fn sign_in(table: &SessionTable, clock: &Clock, subject: &str) -> SessionId {
        sign_in_evicting(table, clock, subject).0
    }

    fn sign_in_evicting(
        table: &SessionTable,
        clock: &Clock,
        subject: &str,
    ) -> (SessionId, Evicted) {
        let (id, now) = (SessionId::generate(), clock.moment());
        let tokens = Tokens::new(token_set("at", 60, None), Duration::from_secs(60));
        let data = SessionData::new(person(subject), baseline(subject), tokens);
        let session = Session::new(&id, [0; 8], data, now, Duration::from_secs(3600));
        let evicted = table.insert(Arc::new(session));
        clock.advance(Duration::from_secs(1));
        (id, evicted)
    }

    #[tokio::test]
    async fn inserted_session_is_found_until_removed() {
        let (table, clock) = table(10, 10);
        let id = sign_in(&table, &clock, "alice");
        let session = table.find(id.key()).unwrap();
        let stream = session.end_signal().token();
        assert!(table.find(SessionId::generate().key()).is_none());
        assert!(table.remove(id.key()).await.is_some());
        assert!(stream.is_cancelled());
        assert!(table.find(id.key()).is_none() && table.remove(id.key()).await.is_none());
        assert!(table.maps.users.is_empty());
    }

    #[test]
    fn session_that_is_over_is_not_found() {
        let (table, clock) = table(10, 10);
        let (unused, used) = (sign_in(&table, &clock, "alice"), sign_in(&table, &clock, "bob"));
        clock.advance(Duration::from_secs(500));
        table.find(used.key()).unwrap().touch(clock.moment());
        clock.advance(Duration::from_secs(100));
        assert!(table.find(unused.key()).is_none());
        assert!(table.find(used.key()).is_some());
        clock.advance(Duration::from_secs(3600));
        assert_eq!((table.sweep(), table.len()), (1, 0));
    }

    #[test]
    fn full_table_evicts_the_least_recently_used_session() {
        let (table, clock) = table(3, 10);
        let ids: Vec<_> = ["a", "b", "c"].map(|name| sign_in(&table, &clock, name)).into();
        table.find(ids[0].key()).unwrap().touch(clock.moment());
        let last = sign_in(&table, &clock, "d");
        assert_eq!(table.len(), 3);
        assert!(table.find(ids[1].key()).is_none());
        assert!(table.find(ids[0].key()).is_some() && table.find(last.key()).is_some());
    }

    #[test]
    fn each_new_session_evicts_one_and_never_one_used_since_the_scan() {
        let (table, clock) = table(300, 300);
        let ids: Vec<_> = (0..300).map(|_| sign_in(&table, &clock, "alice")).collect();
        let evicts = |expected: usize| {
            let (_, evicted) = sign_in_evicting(&table, &clock, "bob");
            assert_eq!((evicted.of_all, table.len()), (1, 300));
            assert!(!table.contains(ids[expected].key()), "{expected}");
        };
        evicts(0);
        table.find(ids[1].key()).unwrap().touch(clock.moment());
        evicts(2);
        evicts(3);
        assert!(table.contains(ids[1].key()));
    }

    #[test]
    fn insert_returns_how_many_were_evicted_by_each_limit() {
        let (table, clock) = table(3, 2);
        let evicted = |subject| {
            let (_, Evicted { of_all, of_user }) = sign_in_evicting(&table, &clock, subject);
            (of_all, of_user)
        };
        assert_eq!([evicted("a"), evicted("a"), evicted("a")], [(0, 0), (0, 0), (0, 1)]);
        assert_eq!([evicted("b"), evicted("c")], [(0, 0), (1, 0)]);
    }

    #[test]
    fn user_over_own_limit_evicts_no_other_user() {
        let (table, clock) = table(100, 2);
        let other = sign_in(&table, &clock, "bob");
        let ids: Vec<_> = (0..5).map(|_| sign_in(&table, &clock, "alice")).collect();
        assert_eq!(table.len(), 3);
        assert!(table.find(other.key()).is_some());
        assert!(ids[..3].iter().all(|id| table.find(id.key()).is_none()));
        assert!(ids[3..].iter().all(|id| table.find(id.key()).is_some()));
    }
}
