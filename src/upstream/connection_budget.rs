//! The limit on connections to all upstreams together.
//! Invariants: with the connections of clients they never use the last file descriptor. Over HTTP/2 one client can
//! send a hundred requests at a time, and each may need a connection: once most connections are in use, a client
//! that has its share gets no more.

use std::sync::{Arc, Mutex, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::lock::lock;
use crate::upstream::client_share::{Held, Holder, Shares};
use crate::upstream::error::Error;
use crate::upstream::pool::Pool;

/// The connections that all upstreams of a process share.
#[derive(Debug)]
pub(super) struct ConnectionBudget {
    most: usize,
    free: Arc<Semaphore>,
    shares: Shares,
    /// Pools whose idle connections can be closed for others.
    pools: Mutex<Vec<Weak<Pool>>>,
}

/// One connection of the budget: held by its socket, returned when that closes.
pub(super) type BudgetPermit = OwnedSemaphorePermit;

impl ConnectionBudget {
    /// A budget of `most` connections.
    pub(super) fn new(most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        let (free, shares) = (Arc::new(Semaphore::new(most)), Shares::default());
        Self { most, free, shares, pools: Mutex::default() }
    }

    /// Counts a connection for a client before it is acquired.
    // SECURITY: a client that does not read its responses keeps their connections for as long as it likes.
    pub(super) fn hold(&self, holder: Holder) -> Result<Held, Error> {
        let (held, already) = self.shares.hold(holder);
        if already >= self.most.div_ceil(4) && self.are_scarce() {
            return Err(Error::FullForClient);
        }
        Ok(held)
    }

    /// Whether three quarters are in use, without idle connections, because these can be closed.
    fn are_scarce(&self) -> bool {
        let taken = self.most.saturating_sub(self.free.available_permits());
        let scarce = self.most - self.most / 4;
        taken >= scarce && taken.saturating_sub(self.idle_count()) >= scarce
    }

    fn idle_count(&self) -> usize {
        let pools = lock(&self.pools);
        pools.iter().filter_map(Weak::upgrade).map(|pool| pool.idle_count()).sum()
    }

    /// Registers a pool, so that its idle connections can be closed for others.
    pub(super) fn enlist(&self, pool: &Arc<Pool>) {
        let mut pools = lock(&self.pools);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    /// A permit for one more connection. If none is left, an idle connection of any upstream is closed for it;
    /// `None` if all are busy.
    pub(super) async fn take(&self) -> Option<BudgetPermit> {
        let free = Arc::clone(&self.free);
        if let Ok(permit) = Arc::clone(&free).try_acquire_owned() {
            return Some(permit);
        }
        // The socket closes a moment later, in its own task.
        if self.make_room() { free.acquire_owned().await.ok() } else { None }
    }

    fn make_room(&self) -> bool {
        let pools = lock(&self.pools);
        pools.iter().filter_map(Weak::upgrade).any(|pool| pool.drop_oldest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_address::ClientAddress;

    fn counted() -> Holder {
        Holder::Counted(Arc::default())
    }

    async fn takes(
        budget: &ConnectionBudget,
        holder: &Holder,
    ) -> Result<(Held, BudgetPermit), Error> {
        let held = budget.hold(holder.clone())?;
        Ok((held, budget.take().await.unwrap()))
    }

    #[tokio::test]
    async fn client_with_its_share_is_rejected_once_most_connections_are_in_use() {
        let known = |text: &str| Holder::Address(ClientAddress::Known(text.parse().unwrap()));
        for (greedy, same, other) in [
            {
                let greedy = counted();
                (greedy.clone(), greedy, counted())
            },
            (known("2001:db8::1"), known("2001:db8::2"), known("2001:db8:0:1::1")),
            (
                Holder::Address(ClientAddress::Unknown),
                Holder::Address(ClientAddress::Unknown),
                known("192.0.2.1"),
            ),
        ] {
            let budget = ConnectionBudget::new(16);
            let mut open = Vec::new();
            for _ in 0..12 {
                open.push(takes(&budget, &greedy).await.unwrap());
            }
            for _ in 0..2 {
                let rejected = takes(&budget, &same).await;
                assert!(matches!(rejected, Err(Error::FullForClient)), "{rejected:?}");
            }
            for _ in 0..4 {
                open.push(takes(&budget, &other).await.unwrap());
            }
            let rejected = takes(&budget, &other).await;
            assert!(matches!(rejected, Err(Error::FullForClient)), "{rejected:?}");
            open.truncate(3);
            open.push(takes(&budget, &same).await.unwrap());
            open.clear();
            assert!(budget.shares.is_empty());
        }
    }
}
