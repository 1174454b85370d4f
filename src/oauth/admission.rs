//! Admission to the token endpoint: how many token requests a provider has to answer at a time, and whose
//! turn is next.
//! Invariants: at most [`Admission::SLOTS`] slots are held; a sign-in never gets one while a refresh waits;
//! one client address holds at most [`Admission::SHARE`] of them for sign-ins; of those that wait, the
//! address that holds the fewest is next, and within it the first that came. So a queue of one address,
//! however long, delays no other. A waiter that leaves takes its place in the queue with it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use super::error::Error;
use crate::client_address::ClientAddress;
use crate::lock::lock;

/// Hands out the slots of one provider.
#[derive(Default)]
pub(super) struct Admission(Mutex<State>);

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

/// The right to have one token request, and what follows from it, under way.
#[derive(Debug)]
pub struct Slot {
    admission: Arc<Admission>,
    purpose: Purpose,
}

/// What a token request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A refresh, which is counted by no address.
    Refresh,
    /// A sign-in from this address.
    SignIn(ClientAddress),
}

/// How a waiter is called.
type Call = oneshot::Sender<Slot>;

#[derive(Debug, Default)]
struct State {
    held: usize,
    tickets: u64,
    /// Refreshes that wait, by ticket.
    refreshes: BTreeMap<u64, Call>,
    /// Addresses whose sign-ins hold a slot or wait for one; no others.
    shares: HashMap<ClientAddress, Share>,
    /// Those of them whose turn can come, by the slots that they hold and the ticket of their first waiter.
    line: BTreeMap<(usize, u64), ClientAddress>,
}

#[derive(Debug, Default)]
struct Share {
    held: usize,
    waiting: BTreeMap<u64, Call>,
    /// The place in the line.
    place: Option<(usize, u64)>,
}

impl Admission {
    /// Slots in all.
    pub(super) const SLOTS: usize = 64;
    /// Slots that the sign-ins of one address may hold. Below what the rate limit lets one address send in a
    /// second, so that a browser with many tabs waits and is not refused.
    pub(super) const SHARE: usize = 8;

    /// Waits for a slot.
    pub(super) async fn slot(self: &Arc<Self>, purpose: Purpose) -> Result<Slot, Error> {
        let purpose = purpose.by_network();
        let (call, called) = oneshot::channel();
        let (ticket, calls) = {
            let mut state = self.lock();
            let ticket = state.enter(purpose, call);
            (ticket, state.serve())
        };
        // Declared after `called`, so dropped before it: a slot that came meanwhile is handed on.
        let _waiting = Waiting { admission: self, purpose, ticket };
        self.call(calls);
        called.await.map_err(|_| Error::Busy)
    }

    /// Hands slots over, outside the lock: a waiter that has left hands its slot back at once.
    fn call(self: &Arc<Self>, calls: Vec<(Purpose, Call)>) {
        for (purpose, call) in calls {
            drop(call.send(Slot { admission: Arc::clone(self), purpose }));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let calls = {
            let mut state = self.admission.lock();
            state.hand_back(self.purpose);
            state.serve()
        };
        self.admission.call(calls);
    }
}

/// A place in the queue, given up when dropped.
struct Waiting<'a> {
    admission: &'a Admission,
    purpose: Purpose,
    ticket: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.admission.lock().leave(self.purpose, self.ticket);
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
    fn enter(&mut self, purpose: Purpose, call: Call) -> u64 {
        let ticket = self.tickets;
        self.tickets += 1;
        match purpose {
            Purpose::Refresh => drop(self.refreshes.insert(ticket, call)),
            Purpose::SignIn(address) => self.change(address, |share| {
                share.waiting.insert(ticket, call);
            }),
        }
        ticket
    }

    fn leave(&mut self, purpose: Purpose, ticket: u64) {
        match purpose {
            Purpose::Refresh => drop(self.refreshes.remove(&ticket)),
            Purpose::SignIn(address) => self.change(address, |share| {
                share.waiting.remove(&ticket);
            }),
        }
    }

    fn hand_back(&mut self, purpose: Purpose) {
        self.held = self.held.saturating_sub(1);
        if let Purpose::SignIn(address) = purpose {
            self.change(address, |share| share.held = share.held.saturating_sub(1));
        }
    }

    /// Gives free slots to those whose turn it is.
    fn serve(&mut self) -> Vec<(Purpose, Call)> {
        let mut calls = Vec::new();
        while self.held < Admission::SLOTS {
            let Some(next) = self.next() else { break };
            self.held += 1;
            calls.push(next);
        }
        calls
    }

    fn next(&mut self) -> Option<(Purpose, Call)> {
        if let Some((_, call)) = self.refreshes.pop_first() {
            return Some((Purpose::Refresh, call));
        }
        let (_, &address) = self.line.first_key_value()?;
        let mut first = None;
        self.change(address, |share| {
            first = share.waiting.pop_first();
            share.held += 1;
        });
        first.map(|(_, call)| (Purpose::SignIn(address), call))
    }

    /// Changes the share of an address, and its place in the line by it.
    fn change(&mut self, address: ClientAddress, change: impl FnOnce(&mut Share)) {
        let share = self.shares.entry(address).or_default();
        change(share);
        let first = share.waiting.keys().next().filter(|_| share.held < Admission::SHARE);
        let place = first.map(|ticket| (share.held, *ticket));
        if let Some(old) = std::mem::replace(&mut share.place, place) {
            self.line.remove(&old);
        }
        if let Some(place) = place {
            self.line.insert(place, address);
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

    type Turn = Pin<Box<dyn Future<Output = Result<Slot, Error>>>>;

    /// Somebody who waits, or has got the slot already.
    struct Queued(Turn, Option<Slot>);

    impl Queued {
        async fn at(admission: &Arc<Admission>, purpose: Purpose) -> Self {
            let admission = Arc::clone(admission);
            let turn: Turn = Box::pin(async move { admission.slot(purpose).await });
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

    /// As many sign-ins of as many addresses as there are slots, all under way.
    async fn full(admission: &Arc<Admission>) -> Vec<Slot> {
        let mut slots = Vec::new();
        for number in 0..Admission::SLOTS {
            let from = u8::try_from(100 + number / Admission::SHARE).unwrap();
            slots.push(admission.slot(sign_in(from)).await.unwrap());
        }
        slots
    }

    #[tokio::test]
    async fn ninth_sign_in_of_an_address_waits_and_others_do_not() {
        let admission = Arc::new(Admission::default());
        let mut slots = Vec::new();
        for _ in 0..Admission::SHARE {
            slots.push(admission.slot(sign_in(1)).await.unwrap());
        }
        let mut ninth = Queued::at(&admission, sign_in(1)).await;
        assert!(!ninth.has_slot().await);
        assert!(Queued::at(&admission, sign_in(2)).await.has_slot().await);
        assert!(Queued::at(&admission, Purpose::SignIn(ClientAddress::Unknown)).await.1.is_some());
        slots.pop();
        assert!(ninth.has_slot().await);
    }

    #[tokio::test]
    async fn ipv6_customers_and_all_unknown_addresses_have_one_share() {
        let of = |text: &str| Purpose::SignIn(ClientAddress::Known(text.parse().unwrap()));
        let unknown = Purpose::SignIn(ClientAddress::Unknown);
        for (one, other) in [(of("2001:db8::1"), of("2001:db8::2")), (unknown, unknown)] {
            let admission = Arc::new(Admission::default());
            let mut slots = Vec::new();
            for _ in 0..Admission::SHARE {
                slots.push(admission.slot(one).await.unwrap());
            }
            assert!(!Queued::at(&admission, other).await.has_slot().await);
        }
    }

    #[tokio::test]
    async fn refresh_goes_before_sign_ins_that_waited_longer() {
        let admission = Arc::new(Admission::default());
        let mut slots = full(&admission).await;
        let mut waiting = Queued::at(&admission, sign_in(1)).await;
        let mut refresh = Queued::at(&admission, Purpose::Refresh).await;
        let mut second = Queued::at(&admission, Purpose::Refresh).await;
        assert!(!waiting.has_slot().await && !refresh.has_slot().await);
        slots.pop();
        assert!(refresh.has_slot().await && !second.has_slot().await && !waiting.has_slot().await);
        slots.pop();
        assert!(second.has_slot().await && !waiting.has_slot().await);
        drop(refresh);
        assert!(waiting.has_slot().await);
    }

    #[tokio::test]
    async fn long_queue_of_one_address_delays_no_other() {
        let admission = Arc::new(Admission::default());
        let mut slots = full(&admission).await;
        let mut many = Vec::new();
        for _ in 0..1000 {
            many.push(Queued::at(&admission, sign_in(1)).await);
        }
        let mut late = Queued::at(&admission, sign_in(2)).await;
        slots.pop();
        assert!(many[0].has_slot().await, "the first that came");
        slots.pop();
        assert!(late.has_slot().await && !many[1].has_slot().await, "who holds none is next");
        slots.clear();
        for (number, queued) in many.iter_mut().enumerate() {
            assert_eq!(queued.has_slot().await, number < Admission::SHARE, "{number}");
        }
    }

    #[tokio::test]
    async fn waiter_that_left_blocks_nothing_and_stays_nowhere() {
        let admission = Arc::new(Admission::default());
        let mut slots = full(&admission).await;
        for purpose in [sign_in(1), Purpose::Refresh] {
            drop(Queued::at(&admission, purpose).await);
            let called = Queued::at(&admission, purpose).await;
            slots.pop();
            // It was called, and left without having heard.
            drop(called);
            slots.push(admission.slot(sign_in(1)).await.unwrap());
        }
        slots.clear();
        let state = admission.lock();
        assert_eq!((state.held, state.refreshes.len(), state.line.len()), (0, 0, 0));
        assert!(state.shares.is_empty());
    }
}
