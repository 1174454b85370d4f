//! Single-flight: one call at a time, shared by all that wait for its result.
//! Invariants: the state is updated under the same lock that ends the call, before any waiter gets the result.
//! A call that panicked has ended, so the next one can start and no waiter hangs.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard};

use tokio::sync::watch;

use crate::lock::lock;

/// The call under way, and the state `S` that its end updates. Waiters get `R`.
/// The owner spawns the call, because it must outlive the request that started it.
#[derive(Debug)]
pub struct SingleFlight<S, R>(Mutex<Inner<S, R>>);

#[derive(Debug)]
struct Inner<S, R> {
    state: S,
    under_way: Option<watch::Receiver<Option<R>>>,
}

/// The locked state: no call can start or end.
#[derive(Debug)]
pub struct Locked<'a, S, R>(MutexGuard<'a, Inner<S, R>>);

/// A started call. If it is dropped without [`SingleFlight::finish`], as by a panic, it ends without a result.
#[derive(Debug)]
pub struct Started<R>(watch::Sender<Option<R>>);

/// A wait for the result of a call.
#[derive(Clone, Debug)]
pub struct Waiter<R>(watch::Receiver<Option<R>>);

impl<S, R> SingleFlight<S, R> {
    /// Starts without a call.
    pub fn new(state: S) -> Self {
        Self(Mutex::new(Inner { state, under_way: None }))
    }

    /// Locks the state. Between [`Locked::under_way`] and [`Locked::start`] no other call can start.
    pub fn lock(&self) -> Locked<'_, S, R> {
        Locked(lock(&self.0))
    }

    /// Ends `call`: `settle` updates the state and returns the result for the waiters.
    pub fn finish(&self, call: Started<R>, settle: impl FnOnce(&mut S) -> R) {
        let result = {
            let mut inner = lock(&self.0);
            inner.under_way = None;
            settle(&mut inner.state)
        };
        call.0.send_replace(Some(result));
    }
}

impl<S: Default, R> Default for SingleFlight<S, R> {
    fn default() -> Self {
        Self::new(S::default())
    }
}

impl<S, R> Locked<'_, S, R> {
    /// The running call, to join instead of starting one.
    pub fn under_way(&self) -> Option<Waiter<R>> {
        // A call whose sender is gone has panicked: it is not running.
        let running = self.0.under_way.as_ref().filter(|call| call.has_changed().is_ok());
        running.cloned().map(Waiter)
    }

    /// Starts a call and unlocks the state. Check [`Locked::under_way`] first.
    pub fn start(mut self) -> (Started<R>, Waiter<R>) {
        let (sender, receiver) = watch::channel(None);
        self.0.under_way = Some(receiver.clone());
        (Started(sender), Waiter(receiver))
    }
}

impl<S, R> Deref for Locked<'_, S, R> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0.state
    }
}

impl<S, R> DerefMut for Locked<'_, S, R> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.0.state
    }
}

impl<R: Clone> Waiter<R> {
    /// A wait for a result that is known.
    pub fn of(result: R) -> Self {
        Self(watch::channel(Some(result)).1)
    }

    /// Waits for the result; `None` if the call panicked.
    pub async fn result(mut self) -> Option<R> {
        // Bound first: it borrows the channel.
        let result = self.0.wait_for(Option::is_some).await;
        result.ok().and_then(|result| result.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_waiter_gets_result_of_joined_call() {
        let flights = SingleFlight::new(0);
        let (call, first) = flights.lock().start();
        let second = flights.lock().under_way().unwrap();
        flights.finish(call, |state| {
            *state += 1;
            "done"
        });
        assert_eq!((first.result().await, second.result().await), (Some("done"), Some("done")));
        assert_eq!(*flights.lock(), 1);
    }

    #[tokio::test]
    async fn ended_call_is_not_joined() {
        let flights = SingleFlight::new(());
        let (call, _) = flights.lock().start();
        flights.finish(call, |()| 1);
        assert!(flights.lock().under_way().is_none());
    }

    #[tokio::test]
    async fn state_is_settled_before_waiter_gets_result() {
        let flights = SingleFlight::new("before");
        let (call, flight) = flights.lock().start();
        let early = flight.clone();
        flights.finish(call, |state| {
            assert!(early.0.borrow().is_none());
            *state = "after";
            1
        });
        assert_eq!(flight.result().await, Some(1));
        assert_eq!(*flights.lock(), "after");
    }

    #[tokio::test]
    async fn panicked_call_frees_waiters_and_next_call() {
        let flights = SingleFlight::<(), u8>::default();
        let (call, flight) = flights.lock().start();
        let task = tokio::spawn(async move {
            let _call = call;
            panic!("the call panics");
        });
        assert_eq!(flight.result().await, None);
        assert!(task.await.is_err());
        assert!(flights.lock().under_way().is_none());
        let (call, flight) = flights.lock().start();
        flights.finish(call, |()| 2);
        assert_eq!(flight.result().await, Some(2));
    }

    #[tokio::test]
    async fn panic_in_settle_frees_waiters_and_state() {
        let flights = SingleFlight::<u8, u8>::new(7);
        let (call, flight) = flights.lock().start();
        let settle = std::panic::AssertUnwindSafe(|| flights.finish(call, |_| panic!("it panics")));
        assert!(std::panic::catch_unwind(settle).is_err());
        assert_eq!(flight.result().await, None);
        assert_eq!(*flights.lock(), 7);
    }
}
