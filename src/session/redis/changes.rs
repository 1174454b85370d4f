//! Changes of sessions that several instances share: new ones, refreshed ones, ended ones.
//! Invariants: only a sign-in writes a record that Redis does not have; everything else changes or removes the value that
//! was read. An end that Redis has not confirmed is obeyed here, and tried again by `follow`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::session::redis::error::RedisError;
use crate::session::redis::reading::Reading;
use crate::session::redis::record;
use crate::session::redis::refresh_lock::RefreshLock;
use crate::session::redis::shared::SharedSessions;
use crate::session::refresh_turn::{NoTurn, Rejected, Replaced};
use crate::session::table::Evicted;
use crate::session::{KeyHalf, Session, SessionData, SessionKey, StoreUnavailable};

/// A session that was ended here.
#[derive(Debug)]
pub(in crate::session) struct EndedHere {
    pub(in crate::session) session: Option<Arc<Session>>,
    /// Whether Redis had it, once that is known.
    pub(in crate::session) was_stored: Result<bool, StoreUnavailable>,
}

impl SharedSessions {
    /// Stores the session of a sign-in, and evicts the least recently used ones of its user above the limit.
    pub(in crate::session) async fn insert(
        self: &Arc<Self>,
        session: Arc<Session>,
    ) -> Result<Evicted, StoreUnavailable> {
        let (store, half) = (&self.store, session.key().half());
        let name = store.names.record(&half);
        let (at, link) = (self.clock.moment(), store.link().unwrap_or_default());
        let (generation, value) = self.seal(&session, &session.data())?;
        store.server.insert(&name, &value, self.ttl(&session, at)).await?;
        session.set_reading(Reading::now(generation, at, link));
        self.table.cache(Arc::clone(&session));
        let surplus = match self.index(&session).await {
            Ok(surplus) => surplus,
            Err(error) => {
                self.remove(session.key()).await;
                return Err(error.into());
            }
        };
        let mut of_user = 0;
        for half in surplus {
            of_user += usize::from(self.remove_by_half(&half).await.was_stored == Ok(true));
            drop(store.server.unindex(&self.user_index(&session), &half).await);
        }
        Ok(Evicted { of_all: 0, of_user })
    }

    /// Adds a session to those of its user and to those of its session at the provider. Returns the user's above the
    /// limit.
    async fn index(&self, session: &Session) -> Result<Vec<KeyHalf>, RedisError> {
        let (server, half) = (&self.store.server, session.key().half());
        let (now, lifetime) = (self.unix_millis(), self.lifetime);
        if let Some(index) = self.sid_index(session) {
            server.index(&index, &half, now, lifetime, MOST_OF_SID).await?;
        }
        let (index, most) = (self.user_index(session), self.max_sessions_per_user);
        if server.index(&index, &half, now, lifetime, most).await?.is_empty() {
            return Ok(Vec::new());
        }
        // Among them may be sessions that have ended by themselves. The new one stays, also if the clock of this instance
        // is behind.
        let mut others = Vec::new();
        for member in server.index(&index, &half, now, lifetime, 0).await? {
            match KeyHalf::try_from(member.as_slice()) {
                Ok(other) if other == half => {}
                Ok(other) if server.exists(&self.store.names.record(&other)).await? => {
                    others.push(other);
                }
                Ok(_) | Err(_) => server.unindex(&index, &member).await?,
            }
        }
        others.truncate((others.len() + 1).saturating_sub(most));
        Ok(others)
    }

    /// The sessions of the user of a session.
    // The name is made with the secret: who reads the server learns no user from it.
    pub(super) fn user_index(&self, session: &Session) -> String {
        let data = session.data();
        let user = [b"user\0", &session.provider()[..], data.identity.subject.as_bytes()].concat();
        self.store.names.index(&*self.roots.newest().derive(INDEX, &user))
    }

    /// The sessions of the same session at the provider (`sid`, OpenID Connect Front-Channel Logout 1.0 §3).
    fn sid_index(&self, session: &Session) -> Option<String> {
        let data = session.data();
        let claims = data.identity.claims.read();
        let sid = claims.get("sid")?.as_str()?;
        let sid = [b"sid\0", &session.provider()[..], sid.as_bytes()].concat();
        Some(self.store.names.index(&*self.roots.newest().derive(INDEX, &sid)))
    }

    /// Ends a session: here at once, and at the other instances as soon as Redis has it.
    pub(in crate::session) async fn remove(self: &Arc<Self>, key: SessionKey) -> EndedHere {
        self.remove_by_half(&key.half()).await
    }

    /// The same for the session whose key begins with this half.
    pub(in crate::session) async fn remove_by_half(self: &Arc<Self>, half: &KeyHalf) -> EndedHere {
        let (store, session) = (&self.store, self.table.by_half(half));
        store.ends.add(*half, self.latest_end(session.as_deref()));
        if let Some(session) = &session {
            self.end_here(session);
        }
        let was_stored = store.remove(half, &self.clock).await;
        if let Some(session) = &session {
            self.unindex_soon(session);
        }
        EndedHere { session, was_stored }
    }

    /// Removes a session that has ended from its indexes, which no request waits for.
    pub(super) fn unindex_soon(self: &Arc<Self>, session: &Arc<Session>) {
        let (this, session) = (Arc::clone(self), Arc::clone(session));
        self.spawn(async move { this.unindex(&session).await });
    }

    /// What is left there leaves with the next sessions of the user, or expires.
    async fn unindex(&self, session: &Session) {
        let half = session.key().half();
        let indexes = [Some(self.user_index(session)), self.sid_index(session)];
        for index in indexes.into_iter().flatten() {
            drop(self.store.server.unindex(&index, &half).await);
        }
    }

    /// Waits for the lock under which a session is refreshed, whose data the caller found due.
    pub(in crate::session) async fn refresh_turn(
        self: &Arc<Self>,
        session: &Arc<Session>,
        judged: &Arc<SessionData>,
    ) -> Result<RefreshLock, NoTurn> {
        let name = self.store.names.lock(&session.key().half());
        let patience = Instant::now() + PATIENCE;
        loop {
            let lock = RefreshLock::take(&self.store.server, name.clone()).await;
            let lock = lock.map_err(|_| NoTurn::Unavailable)?;
            // With the lock or without: another instance may have refreshed the session.
            let lives = self.read(session).await;
            // Before the data is compared, so that it is the value of that data.
            let replaces = session.reading().map(Reading::generation).unwrap_or_default();
            let no_turn = match lives {
                Ok(false) => Some(NoTurn::Ended),
                Ok(true) if !Arc::ptr_eq(&session.data(), judged) => Some(NoTurn::Refreshed),
                Ok(true) => None,
                Err(StoreUnavailable) => Some(NoTurn::Unavailable),
            };
            match (no_turn, lock) {
                (Some(no_turn), lock) => {
                    if let Some(lock) = lock {
                        lock.end().await;
                    }
                    return Err(no_turn);
                }
                (None, Some(lock)) => return Ok(lock.of_value(replaces)),
                (None, None) if Instant::now() >= patience => return Err(NoTurn::Unavailable),
                (None, None) => sleep(ASK_AGAIN).await,
            }
        }
    }

    /// Stores what a refresh brought, for as long as Redis cannot be reached again and again: a rotated refresh token that
    /// is lost signs the user out.
    pub(in crate::session) async fn replace(
        self: &Arc<Self>,
        session: &Arc<Session>,
        data: SessionData,
        lock: &RefreshLock,
    ) -> Result<Replaced, StoreUnavailable> {
        let (store, half) = (&self.store, session.key().half());
        let Some(reading) = session.reading() else { return Err(StoreUnavailable) };
        let (before, name) = (lock.replaces(), store.names.record(&half));
        let (generation, value) = self.seal(session, &data)?;
        let patience = Instant::now() + PATIENCE;
        loop {
            let (changes, at, link) =
                (reading.changes(), self.clock.moment(), store.link().unwrap_or_default());
            let replaced =
                store.server.replace(&name, lock.name(), lock.owner(), &before, &value).await;
            let outcome = match replaced {
                Ok(true) => {
                    reading.switch(before, generation, || session.replace(data));
                    reading.update(generation, (at, link), changes);
                    return Ok(Replaced::Stored);
                }
                // Also if an earlier try was carried out, and its answer lost.
                Ok(false) => self.read(session).await,
                Err(_) => Err(StoreUnavailable),
            };
            match outcome {
                Ok(false) => return Ok(Replaced::Ended),
                Ok(true) if reading.generation() != before => return Ok(Replaced::Superseded),
                // The lock has ended meanwhile.
                Ok(true) => drop(lock.take_again().await),
                Err(StoreUnavailable) => {}
            }
            if session.end_signal().is_given() {
                return Ok(Replaced::Ended);
            }
            if Instant::now() >= patience {
                tracing::error!(session = ?session.key(), "session.store: refreshed tokens could not be stored and are lost");
                return Err(StoreUnavailable);
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// Ends a session whose refresh the provider rejects, unless another instance has refreshed it since.
    // SECURITY: who cannot tell does not end it: the rejected token may be one that another instance has replaced.
    pub(in crate::session) async fn reject(
        self: &Arc<Self>,
        session: &Arc<Session>,
        lock: &RefreshLock,
    ) -> Rejected {
        let (store, half) = (&self.store, session.key().half());
        let (name, before) = (store.names.record(&half), lock.replaces());
        for _ in 0..2 {
            match store.server.remove_if(&name, lock.name(), lock.owner(), &before).await {
                Ok(true) => {
                    self.remove(session.key()).await;
                    self.end_here(session);
                    return Rejected::Ended;
                }
                Ok(false) => match self.read(session).await {
                    Ok(false) => return Rejected::Ended,
                    Ok(true) if session.reading().map(Reading::generation) != Some(before) => {
                        return Rejected::Superseded;
                    }
                    // The lock has ended meanwhile.
                    Ok(true) => drop(lock.take_again().await),
                    Err(StoreUnavailable) => return Rejected::InDoubt,
                },
                Err(_) => return Rejected::InDoubt,
            }
        }
        Rejected::InDoubt
    }

    fn seal(
        &self,
        session: &Session,
        data: &SessionData,
    ) -> Result<(record::Generation, Vec<u8>), StoreUnavailable> {
        let name = self.store.names.record(&session.key().half());
        record::seal(session, data, &name, &self.roots, &self.clock).map_err(|error| {
            tracing::error!(%error, "session.store: a session cannot be encoded");
            StoreUnavailable
        })
    }
}

/// How long a refresh waits for another instance, and how long it tries to store what it brought.
const PATIENCE: Duration = Duration::from_secs(20);
/// The time between two tries.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// Sessions with one `sid`: those of one browser, which has one at a time.
const MOST_OF_SID: usize = 100;
const INDEX: &str = "session index";
