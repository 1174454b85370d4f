//! Limit of concurrent token requests of one provider, and the queue for it.
//! Invariants: at most [`TokenSlots::MOST`] slots are held. A sign-in gets no slot while a refresh waits. The
//! sign-ins of one client address hold at most [`TokenSlots::SHARE`] slots. The next sign-in is the oldest one
//! of the address that holds the fewest slots, so a long queue of one address delays no other address. A
//! dropped waiter leaves the queue.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use crate::client_address::ClientAddress;
use crate::lock::lock;
use crate::oauth::error::Error;

/// The slots of one provider.
#[derive(Default)]
pub(super) struct TokenSlots(Mutex<State>);

impl fmt::Debug for TokenSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSlots").finish_non_exhaustive()
    }
}

/// The right to have one token request under way, with the requests that follow from it. Dropping it frees
/// the slot.
#[derive(Debug)]
pub struct TokenSlot {
    slots: Arc<TokenSlots>,
    purpose: Purpose,
}

/// What a token request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A refresh, which counts for no address.
    Refresh,
    /// A sign-in from this address.
    SignIn(ClientAddress),
}

/// Sends a waiter its slot.
type Waker = oneshot::Sender<TokenSlot>;

#[derive(Debug, Default)]
struct State {
    held: usize,
    /// The number of the next waiter.
    next_number: u64,
    /// Waiting refreshes, by number.
    refreshes: BTreeMap<u64, Waker>,
    /// Addresses whose sign-ins hold a slot or wait for one.
    shares: HashMap<ClientAddress, Share>,
    /// Addresses that may get a slot, by the slots that they hold and the number of their first waiter.
    queue: BTreeMap<(usize, u64), ClientAddress>,
}

#[derive(Debug, Default)]
struct Share {
    held: usize,
    waiting: BTreeMap<u64, Waker>,
    /// Its key in [`State::queue`].
    place: Option<(usize, u64)>,
}

impl TokenSlots {
    /// Slots of one provider.
    pub(super) const MOST: usize = 64;
    /// Slots that the sign-ins of one address may hold. Below the rate limit of one address, so that a browser
    /// with many tabs waits instead of being rejected.
    pub(super) const SHARE: usize = 8;

    /// Waits for a slot.
    pub(super) async fn acquire(self: &Arc<Self>, purpose: Purpose) -> Result<TokenSlot, Error> {
        let purpose = purpose.by_network();
        let (waker, woken) = oneshot::channel();
        let (number, served) = {
            let mut state = self.lock();
            let number = state.enter(purpose, waker);
            (number, state.serve())
        };
        // Declared after `woken`, so dropped before it: a slot that arrives meanwhile goes to the next waiter.
        let _waiting = Waiting { slots: self, purpose, number };
        self.wake(served);
        woken.await.map_err(|_| Error::Busy)
    }

    /// Sends slots, outside the lock: a waiter that is gone drops its slot at once.
    fn wake(self: &Arc<Self>, served: Vec<(Purpose, Waker)>) {
        for (purpose, waker) in served {
            drop(waker.send(TokenSlot { slots: Arc::clone(self), purpose }));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl Drop for TokenSlot {
    fn drop(&mut self) {
        let served = {
            let mut state = self.slots.lock();
            state.free(self.purpose);
            state.serve()
        };
        self.slots.wake(served);
    }
}

/// A place in the queue, left when dropped.
struct Waiting<'a> {
    slots: &'a TokenSlots,
    purpose: Purpose,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.slots.lock().leave(self.purpose, self.number);
    }
}

impl Purpose {
    fn by_network(self) -> Self {
        match self {
            Self::Refresh => Self::Refresh,
            Self::SignIn(address) => Self::SignIn(address.network()),
        }
    }
}

impl State {
    fn enter(&mut self, purpose: Purpose, waker: Waker) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        match purpose {
            Purpose::Refresh => drop(self.refreshes.insert(number, waker)),
            Purpose::SignIn(address) => self.change(address, |share| {
                share.waiting.insert(number, waker);
            }),
        }
        number
    }

    fn leave(&mut self, purpose: Purpose, number: u64) {
        match purpose {
            Purpose::Refresh => drop(self.refreshes.remove(&number)),
            Purpose::SignIn(address) => self.change(address, |share| {
                share.waiting.remove(&number);
            }),
        }
    }

    fn free(&mut self, purpose: Purpose) {
        self.held = self.held.saturating_sub(1);
        if let Purpose::SignIn(address) = purpose {
            self.change(address, |share| share.held = share.held.saturating_sub(1));
        }
    }

    /// Assigns free slots to the waiters that are next.
    fn serve(&mut self) -> Vec<(Purpose, Waker)> {
        let mut served = Vec::new();
        while self.held < TokenSlots::MOST {
            let Some(next) = self.next() else { break };
            self.held += 1;
            served.push(next);
        }
        served
    }

    fn next(&mut self) -> Option<(Purpose, Waker)> {
        if let Some((_, waker)) = self.refreshes.pop_first() {
            return Some((Purpose::Refresh, waker));
        }
        let (_, &address) = self.queue.first_key_value()?;
        let mut first = None;
        self.change(address, |share| {
            first = share.waiting.pop_first();
            share.held += 1;
        });
        first.map(|(_, waker)| (Purpose::SignIn(address), waker))
    }

    /// Changes the share of an address and updates its place in the queue.
    fn change(&mut self, address: ClientAddress, change: impl FnOnce(&mut Share)) {
        let share = self.shares.entry(address).or_default();
        change(share);
        let first = share.waiting.keys().next().filter(|_| share.held < TokenSlots::SHARE);
        let place = first.map(|number| (share.held, *number));
        if let Some(old) = std::mem::replace(&mut share.place, place) {
            self.queue.remove(&old);
        }
        if let Some(place) = place {
            self.queue.insert(place, address);
        } else if share.held == 0 {
            self.shares.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use super::*;

    fn address(number: u8) -> ClientAddress {
        ClientAddress::Known([192, 0, 2, number].into())
    }

    fn sign_in(number: u8) -> Purpose {
        Purpose::SignIn(address(number))
    }

    type Turn = Pin<Box<dyn Future<Output = Result<TokenSlot, Error>>>>;

    /// A waiter, and its slot once it has one.
    struct Queued(Turn, Option<TokenSlot>);

    impl Queued {
        async fn at(slots: &Arc<TokenSlots>, purpose: Purpose) -> Self {
            let slots = Arc::clone(slots);
            let turn: Turn = Box::pin(async move { slots.acquire(purpose).await });
            let mut queued = Self(turn, None);
            queued.has_slot().await;
            queued
        }

        async fn has_slot(&mut self) -> bool {
            if self.1.is_none() {
                let now = tokio::time::timeout(std::time::Duration::ZERO, &mut self.0).await;
                self.1 = now.ok().map(|slot| slot.unwrap());
            }
            self.1.is_some()
        }
    }

    /// Sign-ins of several addresses that hold every slot.
    async fn full(slots: &Arc<TokenSlots>) -> Vec<TokenSlot> {
        let mut held = Vec::new();
        for number in 0..TokenSlots::MOST {
            let from = u8::try_from(100 + number / TokenSlots::SHARE).unwrap();
            held.push(slots.acquire(sign_in(from)).await.unwrap());
        }
        held
    }

    #[tokio::test]
    async fn ninth_sign_in_of_an_address_waits_and_other_addresses_do_not() {
        let slots = Arc::new(TokenSlots::default());
        let mut held = Vec::new();
        for _ in 0..TokenSlots::SHARE {
            held.push(slots.acquire(sign_in(1)).await.unwrap());
        }
        let mut ninth = Queued::at(&slots, sign_in(1)).await;
        assert!(!ninth.has_slot().await);
        assert!(Queued::at(&slots, sign_in(2)).await.has_slot().await);
        assert!(Queued::at(&slots, Purpose::SignIn(ClientAddress::Unknown)).await.1.is_some());
        held.pop();
        assert!(ninth.has_slot().await);
    }

    #[tokio::test]
    async fn one_ipv6_network_and_all_unknown_addresses_have_one_share_each() {
        let of = |text: &str| Purpose::SignIn(ClientAddress::Known(text.parse().unwrap()));
        let unknown = Purpose::SignIn(ClientAddress::Unknown);
        for (one, other) in [(of("2001:db8::1"), of("2001:db8::2")), (unknown, unknown)] {
            let slots = Arc::new(TokenSlots::default());
            let mut held = Vec::new();
            for _ in 0..TokenSlots::SHARE {
                held.push(slots.acquire(one).await.unwrap());
            }
            assert!(!Queued::at(&slots, other).await.has_slot().await);
        }
    }

    #[tokio::test]
    async fn refresh_gets_slot_before_sign_ins_that_waited_longer() {
        let slots = Arc::new(TokenSlots::default());
        let mut held = full(&slots).await;
        let mut waiting = Queued::at(&slots, sign_in(1)).await;
        let mut refresh = Queued::at(&slots, Purpose::Refresh).await;
        let mut second = Queued::at(&slots, Purpose::Refresh).await;
        assert!(!waiting.has_slot().await && !refresh.has_slot().await);
        held.pop();
        assert!(refresh.has_slot().await && !second.has_slot().await && !waiting.has_slot().await);
        held.pop();
        assert!(second.has_slot().await && !waiting.has_slot().await);
        drop(refresh);
        assert!(waiting.has_slot().await);
    }

    #[tokio::test]
    async fn long_queue_of_one_address_delays_no_other_address() {
        let slots = Arc::new(TokenSlots::default());
        let mut held = full(&slots).await;
        let mut many = Vec::new();
        for _ in 0..1000 {
            many.push(Queued::at(&slots, sign_in(1)).await);
        }
        let mut late = Queued::at(&slots, sign_in(2)).await;
        held.pop();
        assert!(many[0].has_slot().await, "the first waiter of the address");
        held.pop();
        assert!(
            late.has_slot().await && !many[1].has_slot().await,
            "the address without a slot is next"
        );
        held.clear();
        for (number, queued) in many.iter_mut().enumerate() {
            assert_eq!(queued.has_slot().await, number < TokenSlots::SHARE, "{number}");
        }
    }

    #[tokio::test]
    async fn dropped_waiter_blocks_nothing_and_leaves_no_state() {
        let slots = Arc::new(TokenSlots::default());
        let mut held = full(&slots).await;
        for purpose in [sign_in(1), Purpose::Refresh] {
            drop(Queued::at(&slots, purpose).await);
            let served = Queued::at(&slots, purpose).await;
            held.pop();
            // It has been sent a slot that it did not receive.
            drop(served);
            held.push(slots.acquire(sign_in(1)).await.unwrap());
        }
        held.clear();
        let state = slots.lock();
        assert_eq!((state.held, state.refreshes.len(), state.queue.len()), (0, 0, 0));
        assert!(state.shares.is_empty());
    }
}
