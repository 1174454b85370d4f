//! How many connections to upstreams there may be, to all of them together.
//! Invariant: with those of clients they never take the last file descriptor. Over HTTP/2 one client asks for a
//! hundred things at a time, and each may need a connection of its own.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::pool::Pool;

/// The sockets that all upstreams of a process share.
#[derive(Clone, Debug)]
pub struct Sockets(Arc<Shared>);

/// A place that is taken: held by a connection's socket, given back when that closes.
pub(super) type Place = OwnedSemaphorePermit;

#[derive(Debug)]
struct Shared {
    free: Arc<Semaphore>,
    /// Where connections wait that could make room.
    pools: Mutex<Vec<Weak<Pool>>>,
}

impl Sockets {
    /// This many.
    pub fn new(most: usize) -> Self {
        let free = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Shared { free, pools: Mutex::default() }))
    }

    /// Lets the idle connections of a pool make room for others.
    pub(super) fn enlist(&self, pool: &Arc<Pool>) {
        let mut pools = self.0.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    /// A place for one more connection, after an idle one of any upstream has left it, if need be; `None`
    /// where all are busy.
    pub(super) async fn take(&self) -> Option<Place> {
        let free = Arc::clone(&self.0.free);
        if let Ok(place) = Arc::clone(&free).try_acquire_owned() {
            return Some(place);
        }
        // Its socket closes a moment later, in its own task.
        if self.make_room() { free.acquire_owned().await.ok() } else { None }
    }

    fn make_room(&self) -> bool {
        let pools = self.0.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.iter().filter_map(Weak::upgrade).any(|pool| pool.drop_oldest())
    }
}

impl Default for Sockets {
    /// As many as anybody likes.
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}
