//! The lock under which one instance refreshes a session.
//! Invariant: the lock has an owner and ends by itself. Nothing is stored under a lock that has another owner by then.

use std::pin::pin;
use std::time::Duration;

use crate::random;
use crate::session::redis::error::RedisError;
use crate::session::redis::record::Generation;
use crate::session::redis::server::RedisServer;

/// The lock of a session, owned by this refresh.
#[derive(Debug)]
pub(in crate::session) struct RefreshLock {
    server: RedisServer,
    name: String,
    owner: String,
    /// The value that the refresh replaces.
    replaces: Generation,
}

impl RefreshLock {
    /// Takes the lock; `None` if another refresh has it.
    pub(super) async fn take(
        server: &RedisServer,
        name: String,
    ) -> Result<Option<Self>, RedisError> {
        let (server, owner) = (server.clone(), random::text::<16>());
        let lock = Self { server, name, owner, replaces: Generation::default() };
        Ok(lock.take_again().await?.then_some(lock))
    }

    /// Takes the lock once more, if it has ended. Returns whether this refresh has it now.
    pub(super) async fn take_again(&self) -> Result<bool, RedisError> {
        if self.server.lock(&self.name, &self.owner, LIFETIME).await? {
            return Ok(true);
        }
        self.server.renew_lock(&self.name, &self.owner, LIFETIME).await
    }

    /// The same, to replace this value and no other.
    pub(super) fn of_value(self, replaces: Generation) -> Self {
        Self { replaces, ..self }
    }

    pub(super) fn replaces(&self) -> Generation {
        self.replaces
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    /// Renews the lock while `renewal` runs.
    pub(in crate::session) async fn keep_during<T>(&self, renewal: impl Future<Output = T>) -> T {
        let mut renewal = pin!(renewal);
        loop {
            tokio::select! {
                result = &mut renewal => return result,
                () = tokio::time::sleep(LIFETIME / 4) => {
                    // What it would tell, the end of the refresh finds out.
                    drop(self.server.renew_lock(&self.name, &self.owner, LIFETIME).await);
                }
            }
        }
    }

    /// Ends the lock, or leaves that to its lifetime.
    pub(in crate::session) async fn end(self) {
        drop(self.server.unlock(&self.name, &self.owner).await);
    }
}

/// Longer than a provider may take to answer, so that a pause of this process for as long does not end the lock.
const LIFETIME: Duration = Duration::from_secs(20);
