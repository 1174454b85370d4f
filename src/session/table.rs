//! The front door of the session table: find, insert, remove; sharded, in memory.
//! Invariants: no guard of a map is held while another map is touched or anything is awaited; a
//! session that is over is never found; both caps hold when the last insertion under way is done.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dashmap::DashMap;
use http::HeaderMap;

use crate::clock::{Clock, Moment};
use crate::lock::lock;
use crate::session::cookie::{Cookies, Name, Sent};
use crate::session::{Session, SessionKey, Settings};

/// All sessions of this process.
#[derive(Debug)]
pub struct SessionTable {
    sessions: DashMap<SessionKey, Arc<Session>, BuildHasherDefault<FirstBytes>>,
    users: DashMap<User, Vec<SessionKey>>,
    /// Who leaves next where the table is full, the longest unused last, with the time of the last use.
    eviction_candidates: Mutex<Vec<(Moment, SessionKey)>>,
    clock: Clock,
    idle_timeout: Option<Duration>,
    max_sessions: usize,
    max_sessions_per_user: usize,
}

/// How many long-unused sessions left to make room for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evicted {
    /// Of all, for `max_sessions`.
    pub of_all: usize,
    /// Of the same user, for `max_sessions_per_user`.
    pub of_user: usize,
}

/// Identity is (provider, `sub`), never an e-mail (OIDC Core §5.7).
type User = (Arc<str>, Arc<str>);

impl SessionTable {
    /// An empty table.
    pub fn new(settings: &Settings, clock: Clock) -> Self {
        Self {
            sessions: DashMap::with_capacity_and_hasher_and_shard_amount(
                0,
                BuildHasherDefault::default(),
                SHARDS,
            ),
            users: DashMap::new(),
            eviction_candidates: Mutex::default(),
            clock,
            idle_timeout: settings.idle_timeout,
            max_sessions: settings.max_sessions,
            max_sessions_per_user: settings.max_sessions_per_user,
        }
    }

    /// The session at this place, if it lives. Does not count as a use.
    pub fn find(&self, key: SessionKey) -> Option<Arc<Session>> {
        let session = self.sessions.get(&key).map(|entry| Arc::clone(entry.value()))?;
        if session.is_over(self.clock.moment(), self.idle_timeout) {
            self.remove(key);
            return None;
        }
        Some(session)
    }

    /// The session that a request's cookie tells of, if it lives.
    pub fn of_request(&self, cookies: &Cookies, headers: &HeaderMap) -> Option<Arc<Session>> {
        match cookies.sent(headers, Name::Session) {
            Sent::Value(text) => self.find(SessionKey::of_cookie(text)?),
            Sent::Nothing | Sent::Conflict => None,
        }
    }

    /// Puts a session in, and takes long-unused ones out where a cap would be passed.
    pub fn insert(&self, session: Arc<Session>) -> Evicted {
        let (key, user) = (session.key(), user_of(&session));
        self.sessions.insert(key, session);
        let of_all = self.make_room(key);
        let mine = {
            // Most people have one browser.
            let mut keys = self.users.entry(user).or_insert_with(|| Vec::with_capacity(1));
            keys.push(key);
            if keys.len() > self.max_sessions_per_user { keys.clone() } else { Vec::new() }
        };
        let surplus = mine.len().saturating_sub(self.max_sessions_per_user);
        let of_user = self.remove_all(&self.least_used(mine, surplus, Some(key)));
        Evicted { of_all, of_user }
    }

    /// Ends a session; `None` where there was none.
    pub fn remove(&self, key: SessionKey) -> Option<Arc<Session>> {
        let (_, session) = self.sessions.remove(&key)?;
        session.end_signal().give();
        let user = user_of(&session);
        if let Some(mut keys) = self.users.get_mut(&user) {
            keys.retain(|other| *other != key);
        }
        self.users.remove_if(&user, |_, keys| keys.is_empty());
        Some(session)
    }

    /// How long a session lives without a request.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout
    }

    /// Whether a session is still in the table.
    pub fn contains(&self, key: SessionKey) -> bool {
        self.sessions.contains_key(&key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Takes out the sessions that are over; returns how many.
    pub fn sweep(&self) -> usize {
        let now = self.clock.moment();
        let over = |session: &Session| session.is_over(now, self.idle_timeout);
        let keys: Vec<SessionKey> = self
            .sessions
            .iter()
            .filter(|entry| over(entry.value()))
            .map(|entry| *entry.key())
            .collect();
        self.remove_all(&keys)
    }

    /// Returns how many there were.
    fn remove_all(&self, keys: &[SessionKey]) -> usize {
        keys.iter().filter(|key| self.remove(**key).is_some()).count()
    }

    /// Where there are too many, the longest unused leave, but for the new one. Returns how many.
    fn make_room(&self, new: SessionKey) -> usize {
        let mut left = 0;
        while self.sessions.len() > self.max_sessions {
            let Some(key) = self.next_eviction(new) else { break };
            left += self.remove_all(&[key]);
        }
        left
    }

    /// Looks at the whole table for one in a hundred at a time: so a look is paid by many insertions.
    fn next_eviction(&self, new: SessionKey) -> Option<SessionKey> {
        let mut eviction_candidates = lock(&self.eviction_candidates);
        while let Some((used, key)) = eviction_candidates.pop() {
            // Whoever came meanwhile stays.
            if self.used(key) == Some(used) && key != new {
                return Some(key);
            }
        }
        let keys = self.sessions.iter().map(|entry| *entry.key()).collect();
        let longest = self.least_used(keys, (self.max_sessions / 100).max(1), Some(new));
        eviction_candidates
            .extend(longest.into_iter().rev().filter_map(|key| Some((self.used(key)?, key))));
        eviction_candidates.pop().map(|(_, key)| key)
    }

    fn used(&self, key: SessionKey) -> Option<Moment> {
        self.sessions.get(&key).map(|entry| entry.used())
    }

    fn least_used(
        &self,
        keys: Vec<SessionKey>,
        count: usize,
        spared: Option<SessionKey>,
    ) -> Vec<SessionKey> {
        if count == 0 {
            return Vec::new();
        }
        let mut used: Vec<(Option<Moment>, SessionKey)> = keys
            .into_iter()
            .filter(|key| Some(*key) != spared)
            .map(|key| (self.used(key), key))
            .collect();
        used.sort_unstable_by_key(|(used, _)| *used);
        used.into_iter().take(count).map(|(_, key)| key).collect()
    }
}

fn user_of(session: &Session) -> User {
    let data = session.data();
    (Arc::clone(&data.identity.provider), Arc::clone(&data.identity.subject))
}

/// Keys are hashes already: their first bytes are as good as any hash of them, and an attacker who
/// would choose them has to find preimages of SHA-256.
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

/// Many, so that a sweep holds up few lookups at a time.
const SHARDS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionId;
    use crate::session::tests::{baseline, person, token_set};
    use crate::session::{CookieSettings, SessionData, Tokens};

    fn table(max_sessions: usize, max_sessions_per_user: usize) -> (SessionTable, Clock) {
        let clock = Clock::manual();
        let settings = Settings {
            lifetime: Duration::from_secs(3600),
            idle_timeout: Some(Duration::from_secs(600)),
            refresh_before: Duration::from_secs(60),
            outage_grace: Duration::from_secs(300),
            cookie: CookieSettings::default(),
            max_sessions,
            max_sessions_per_user,
            max_bytes: 1024,
            secrets: Vec::new(),
        };
        (SessionTable::new(&settings, clock.clone()), clock)
    }

    fn sign_in(table: &SessionTable, clock: &Clock, subject: &str) -> SessionId {
        sign_in_told(table, clock, subject).0
    }

    fn sign_in_told(table: &SessionTable, clock: &Clock, subject: &str) -> (SessionId, Evicted) {
        let (id, now) = (SessionId::generate(), clock.moment());
        let tokens = Tokens::new(token_set("at", 60, None), Duration::from_secs(60));
        let data = SessionData::new(person(subject), baseline(subject), tokens);
        let session = Session::new(&id, data, now, Duration::from_secs(3600));
        let displaced = table.insert(Arc::new(session));
        clock.advance(Duration::from_secs(1));
        (id, displaced)
    }

    #[test]
    fn what_was_inserted_is_found_until_removed() {
        let (table, clock) = table(10, 10);
        let id = sign_in(&table, &clock, "alice");
        let session = table.find(id.key()).unwrap();
        let stream = session.end_signal().token();
        assert!(table.find(SessionId::generate().key()).is_none());
        assert!(table.remove(id.key()).is_some());
        assert!(stream.is_cancelled());
        assert!(table.find(id.key()).is_none() && table.remove(id.key()).is_none());
        assert!(table.users.is_empty());
    }

    #[test]
    fn a_session_that_is_over_is_not_found() {
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
    fn the_longest_unused_session_leaves_a_full_table() {
        let (table, clock) = table(3, 10);
        let ids: Vec<_> = ["a", "b", "c"].map(|name| sign_in(&table, &clock, name)).into();
        table.find(ids[0].key()).unwrap().touch(clock.moment());
        let last = sign_in(&table, &clock, "d");
        assert_eq!(table.len(), 3);
        assert!(table.find(ids[1].key()).is_none());
        assert!(table.find(ids[0].key()).is_some() && table.find(last.key()).is_some());
    }

    #[test]
    fn one_leaves_for_each_new_one_and_whoever_came_meanwhile_stays() {
        let (table, clock) = table(300, 300);
        let ids: Vec<_> = (0..300).map(|_| sign_in(&table, &clock, "alice")).collect();
        let leaves = |expected: usize| {
            let (_, displaced) = sign_in_told(&table, &clock, "bob");
            assert_eq!((displaced.of_all, table.len()), (1, 300));
            assert!(!table.contains(ids[expected].key()), "{expected}");
        };
        leaves(0);
        table.find(ids[1].key()).unwrap().touch(clock.moment());
        leaves(2);
        leaves(3);
        assert!(table.contains(ids[1].key()));
    }

    #[test]
    fn it_is_told_who_left_for_a_new_session() {
        let (table, clock) = table(3, 2);
        let told = |subject| {
            let (_, Evicted { of_all, of_user }) = sign_in_told(&table, &clock, subject);
            (of_all, of_user)
        };
        assert_eq!([told("a"), told("a"), told("a")], [(0, 0), (0, 0), (0, 1)]);
        assert_eq!([told("b"), told("c")], [(0, 0), (1, 0)]);
    }

    #[test]
    fn one_user_cannot_fill_the_table() {
        let (table, clock) = table(100, 2);
        let other = sign_in(&table, &clock, "bob");
        let ids: Vec<_> = (0..5).map(|_| sign_in(&table, &clock, "alice")).collect();
        assert_eq!(table.len(), 3);
        assert!(table.find(other.key()).is_some());
        assert!(ids[..3].iter().all(|id| table.find(id.key()).is_none()));
        assert!(ids[3..].iter().all(|id| table.find(id.key()).is_some()));
    }
}
