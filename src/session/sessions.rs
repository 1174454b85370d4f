//! The door to the sessions, for sign-in and the gate.
//! Invariant: an error is not a miss. A session that cannot be looked up is neither live nor over, and its cookie
//! stays.

use std::sync::Arc;

use http::HeaderMap;

use crate::session::cookie::{Cookies, Name, Sent};
use crate::session::redis::{EndedHere, RefreshLock, SharedSessions};
use crate::session::refresh_turn::{NoTurn, Rejected, Replaced};
use crate::session::table::{Evicted, SessionTable};
use crate::session::{KeyHalf, Session, SessionData, SessionKey};

/// The sessions of all browsers.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// All of them, or those in Redis that this process has read.
    table: SessionTable,
    shared: Option<Arc<SharedSessions>>,
}

/// Where sessions are stored cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("session.store cannot be reached")]
pub struct StoreUnavailable;

/// A session that was ended.
#[derive(Debug)]
pub struct Removed {
    /// The session, if it was in this process.
    pub session: Option<Arc<Session>>,
    /// Whether every instance obeys that. If not, it will be tried again.
    pub is_confirmed: bool,
}

/// The right to refresh a session now. In Redis that is a lock, in this process the single flight is enough.
#[derive(Debug, Default)]
pub(super) struct RefreshTurn(Option<RefreshLock>);

impl Sessions {
    /// The sessions of this process.
    pub fn in_memory(table: SessionTable) -> Self {
        Self { table, shared: None }
    }

    /// Sessions that several instances share.
    pub fn shared(table: SessionTable, shared: SharedSessions) -> Self {
        Self { table, shared: Some(Arc::new(shared)) }
    }

    /// The sessions in this process.
    pub fn table(&self) -> &SessionTable {
        &self.table
    }

    /// The sessions that several instances share.
    pub fn in_redis(&self) -> Option<&Arc<SharedSessions>> {
        self.shared.as_ref()
    }

    /// The session with this key, unless it is over. Does not count as a use.
    pub async fn find(&self, key: SessionKey) -> Result<Option<Arc<Session>>, StoreUnavailable> {
        match &self.shared {
            Some(shared) => shared.find(key).await,
            None => Ok(self.table.find(key)),
        }
    }

    /// The session of a request's cookie, unless it is over.
    pub async fn of_request(
        &self,
        cookies: &Cookies,
        headers: &HeaderMap,
    ) -> Result<Option<Arc<Session>>, StoreUnavailable> {
        match cookies.sent(headers, Name::Session) {
            Sent::Value(text) => match SessionKey::of_cookie(text) {
                Some(key) => self.find(key).await,
                None => Ok(None),
            },
            Sent::Nothing | Sent::Conflict => Ok(None),
        }
    }

    /// Whether a session that a request found may still be used. Does not wait.
    pub fn stands(&self, session: &Arc<Session>) -> bool {
        match &self.shared {
            Some(shared) => shared.stands(session),
            None => !session.end_signal().is_given() && self.table.find(session.key()).is_some(),
        }
    }

    /// Adds a session, and evicts the least recently used ones if a limit would be exceeded.
    pub async fn insert(&self, session: Arc<Session>) -> Result<Evicted, StoreUnavailable> {
        match &self.shared {
            Some(shared) => shared.insert(session).await,
            None => Ok(self.table.insert(session)),
        }
    }

    /// Ends a session. Returns when neither a restart nor a crash brings it back, or that is not confirmed.
    pub async fn remove(&self, key: SessionKey) -> Removed {
        match &self.shared {
            Some(shared) => shared.remove(key).await.into(),
            None => Removed { session: self.table.remove(key).await, is_confirmed: true },
        }
    }

    /// Ends the session whose key begins with this half.
    pub async fn remove_by_half(&self, half: &KeyHalf) {
        match &self.shared {
            Some(shared) => drop(shared.remove_by_half(half).await),
            None => {
                if let Some(session) = self.table.by_half(half) {
                    self.table.remove(session.key()).await;
                }
            }
        }
    }

    /// Waits for the turn to refresh a session, whose data the caller found due.
    pub(super) async fn refresh_turn(
        &self,
        session: &Arc<Session>,
        judged: &Arc<SessionData>,
    ) -> Result<RefreshTurn, NoTurn> {
        match &self.shared {
            Some(shared) => Ok(RefreshTurn(Some(shared.refresh_turn(session, judged).await?))),
            None => Ok(RefreshTurn(None)),
        }
    }

    /// Stores what a refresh brought.
    pub(super) async fn replace(
        &self,
        session: &Arc<Session>,
        data: SessionData,
        turn: &RefreshTurn,
    ) -> Result<Replaced, StoreUnavailable> {
        if let (Some(shared), Some(lock)) = (&self.shared, &turn.0) {
            return shared.replace(session, data, lock).await;
        }
        session.replace(data);
        self.table.changed();
        Ok(Replaced::Stored)
    }

    /// Ends a session whose refresh the provider rejects.
    pub(super) async fn reject(&self, session: &Arc<Session>, turn: &RefreshTurn) -> Rejected {
        if let (Some(shared), Some(lock)) = (&self.shared, &turn.0) {
            return shared.reject(session, lock).await;
        }
        self.table.remove(session.key()).await;
        Rejected::Ended
    }

    /// Removes the sessions that are over; returns how many.
    pub fn sweep(&self) -> usize {
        match &self.shared {
            Some(shared) => shared.sweep(),
            None => self.table.sweep(),
        }
    }

    /// The number of sessions in this process.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are no sessions in this process.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

impl RefreshTurn {
    /// Keeps the turn while `renewal` runs.
    pub(super) async fn keep_during<T>(&self, renewal: impl Future<Output = T>) -> T {
        match &self.0 {
            Some(lock) => lock.keep_during(renewal).await,
            None => renewal.await,
        }
    }

    /// Ends the turn.
    pub(super) async fn end(self) {
        if let Some(lock) = self.0 {
            lock.end().await;
        }
    }
}

impl From<EndedHere> for Removed {
    fn from(ended: EndedHere) -> Self {
        Self { session: ended.session, is_confirmed: ended.was_stored.is_ok() }
    }
}
