//! The limit on connections to all upstreams together.
//! Invariants: with the connections of clients they never use the last file descriptor. Over HTTP/2 one client can
//! send a hundred requests at a time, and each may need a connection: once most connections are in use, a client
//! that has its share gets no more. No connection in use is cut for a lower limit: it takes effect as they close.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::lock::lock;
use crate::upstream::client_share::{Held, Holder, Shares};
use crate::upstream::error::Error;
use crate::upstream::pool::Pool;

/// The connections that all upstreams of a process share.
#[derive(Debug)]
pub(super) struct ConnectionBudget {
    most: AtomicUsize,
    slots: Arc<Slots>,
    shares: Shares,
    /// Pools whose idle connections can be closed for others.
    pools: Mutex<Vec<Weak<Pool>>>,
}

#[derive(Debug)]
struct Slots {
    free: Semaphore,
    /// How many connections are over the limit, since it was lowered. The next ones that close free no slot.
    over: AtomicUsize,
}

/// One connection of the budget: held by its socket, returned when that closes.
#[derive(Debug)]
pub(super) struct BudgetPermit(Arc<Slots>);

impl ConnectionBudget {
    /// A budget of `most` connections.
    pub(super) fn new(most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        let slots = Slots { free: Semaphore::new(most), over: AtomicUsize::new(0) };
        Self {
            most: AtomicUsize::new(most),
            slots: Arc::new(slots),
            shares: Shares::default(),
            pools: Mutex::default(),
        }
    }

    /// Changes the budget to `most` connections. If more are open, idle ones close at once, the others when their
    /// requests are over.
    pub(super) fn resize(&self, most: usize) {
        let most = most.min(Semaphore::MAX_PERMITS);
        // Locked, so that two changes at the same time do not mix.
        let pools = lock(&self.pools);
        let before = self.most.swap(most, Ordering::Relaxed);
        self.slots.add(most.saturating_sub(before));
        self.slots.remove(before.saturating_sub(most));
        drop(pools);
        self.make_room(0);
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Counts a connection for a client before it is acquired.
    // SECURITY: a client that does not read its responses keeps their connections for as long as it likes.
    pub(super) fn hold(&self, holder: Holder) -> Result<Held, Error> {
        let (held, already) = self.shares.hold(holder);
        if already >= self.most().div_ceil(4) && self.are_scarce() {
            return Err(Error::FullForClient);
        }
        Ok(held)
    }

    /// Whether three quarters are in use, without idle connections, because these can be closed.
    fn are_scarce(&self) -> bool {
        let most = self.most();
        let taken = self.slots.taken(most);
        let scarce = most - most / 4;
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
        if let Ok(permit) = self.slots.free.try_acquire() {
            return Some(self.slots.take(permit));
        }
        // The sockets close a moment later, in their own tasks.
        if !self.make_room(1) {
            return None;
        }
        self.slots.free.acquire().await.ok().map(|permit| self.slots.take(permit))
    }

    /// Closes idle connections: those over the limit and `more`. Returns whether there were enough.
    fn make_room(&self, more: usize) -> bool {
        let pools = lock(&self.pools);
        let close_one = || pools.iter().filter_map(Weak::upgrade).any(|pool| pool.drop_oldest());
        (0..self.slots.over() + more).all(|_| close_one())
    }
}

impl Slots {
    fn add(&self, count: usize) {
        let over = self.over.load(Ordering::Relaxed).min(count);
        let settled = (0..over).filter(|_| self.settle()).count();
        self.free.add_permits(count - settled);
    }

    fn remove(&self, count: usize) {
        let removed = self.free.forget_permits(count);
        self.over.fetch_add(count - removed, Ordering::Relaxed);
    }

    fn over(&self) -> usize {
        self.over.load(Ordering::Relaxed)
    }

    /// Reduces the number of connections over the limit, if there are any.
    fn settle(&self) -> bool {
        let settled = self
            .over
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |over| over.checked_sub(1));
        settled.is_ok()
    }

    fn taken(&self, most: usize) -> usize {
        most.saturating_add(self.over()).saturating_sub(self.free.available_permits())
    }

    fn take(self: &Arc<Self>, permit: SemaphorePermit<'_>) -> BudgetPermit {
        permit.forget();
        BudgetPermit(Arc::clone(self))
    }
}

impl Drop for BudgetPermit {
    fn drop(&mut self) {
        if !self.0.settle() {
            self.0.free.add_permits(1);
        }
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
    async fn lower_limit_holds_as_connections_close_and_higher_one_at_once() {
        let budget = ConnectionBudget::new(4);
        let mut open = Vec::new();
        let fills = async |open: &mut Vec<BudgetPermit>, most: usize| {
            while let Some(permit) = budget.take().await {
                open.push(permit);
            }
            assert_eq!(open.len(), most);
        };
        fills(&mut open, 4).await;
        budget.resize(2);
        for left in [3, 2, 1] {
            fills(&mut open, left + 1).await;
            open.truncate(left);
        }
        fills(&mut open, 2).await;
        budget.resize(3);
        fills(&mut open, 3).await;
        budget.resize(1);
        budget.resize(2);
        open.truncate(2);
        fills(&mut open, 2).await;
        open.clear();
        fills(&mut open, 2).await;
    }

    #[tokio::test]
    async fn share_of_a_client_follows_the_limit() {
        let (budget, greedy) = (ConnectionBudget::new(64), counted());
        let mut open = Vec::new();
        for _ in 0..14 {
            open.push(takes(&budget, &greedy).await.unwrap());
        }
        budget.resize(16);
        assert!(matches!(takes(&budget, &greedy).await, Err(Error::FullForClient)));
        budget.resize(8);
        assert!(matches!(takes(&budget, &greedy).await, Err(Error::FullForClient)));
        budget.resize(64);
        takes(&budget, &greedy).await.unwrap();
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
