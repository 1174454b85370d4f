//! Cache of a document of the provider, fetched by one task at a time and not too often.
//! Invariant: a failed fetch replaces nothing. A fetch continues when its waiters are dropped, and all waiters get
//! the same result.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::lock::lock;
use crate::oidc::error::Error;
use crate::single_flight::{SingleFlight, Started, Waiter};

/// The last valid document, and the running fetch.
#[derive(Debug)]
pub(super) struct Cached<T> {
    clock: Clock,
    flights: Arc<SingleFlight<State<T>, Fetched<T>>>,
}

type Fetched<T> = Result<Arc<T>, Error>;

#[derive(Debug)]
struct State<T> {
    known: Option<(Arc<T>, Moment)>,
    last_failure: Option<Error>,
}

impl<T: Send + Sync + 'static> Cached<T> {
    pub(super) fn new(clock: Clock) -> Self {
        let state = State { known: None, last_failure: None };
        Self { clock, flights: Arc::new(SingleFlight::new(state)) }
    }

    /// The last valid document, unless it is too old.
    pub(super) fn known(&self) -> Option<Arc<T>> {
        self.flights.lock().known(&self.clock)
    }

    /// Why the last fetch failed; `None` if it succeeded.
    pub(super) fn last_failure(&self) -> Option<Error> {
        self.flights.lock().last_failure.clone()
    }

    /// A document other than the one that the caller has `seen`: the known one if a fetch has just ended; else waits
    /// for the running fetch, or starts one if the throttle allows it.
    pub(super) async fn fetch<F>(
        &self,
        seen: Option<&Arc<T>>,
        throttle: &Throttle,
        fetch: impl FnOnce() -> F,
    ) -> Result<Arc<T>, Error>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        match self.join_or_start(seen, throttle, fetch)? {
            Fetch::Over(document) => Ok(document),
            Fetch::UnderWay(flight) => flight.result().await.unwrap_or(Err(Error::Interrupted)),
        }
    }

    fn join_or_start<F>(
        &self,
        seen: Option<&Arc<T>>,
        throttle: &Throttle,
        fetch: impl FnOnce() -> F,
    ) -> Result<Fetch<T>, Error>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let state = self.flights.lock();
        // A fetch may have ended since the caller looked, and the throttle then allows no other.
        let unseen = |known: &Arc<T>| seen.is_none_or(|seen| !Arc::ptr_eq(seen, known));
        if let Some(document) = state.known(&self.clock).filter(unseen) {
            return Ok(Fetch::Over(document));
        }
        if let Some(flight) = state.under_way() {
            return Ok(Fetch::UnderWay(flight));
        }
        if !throttle.allow() {
            return Err(state.last_failure.clone().unwrap_or(Error::TooSoon));
        }
        let (call, flight) = state.start();
        tokio::spawn(finish(fetch(), self.clock.clone(), Arc::clone(&self.flights), call));
        Ok(Fetch::UnderWay(flight))
    }
}

impl<T> State<T> {
    /// The last valid document, unless it is too old.
    fn known(&self, clock: &Clock) -> Option<Arc<T>> {
        let (document, fetched) = self.known.as_ref()?;
        (clock.moment().since(*fetched) <= STALE).then(|| Arc::clone(document))
    }
}

/// A fetch that a caller can use.
enum Fetch<T> {
    /// It has just ended with this document.
    Over(Arc<T>),
    UnderWay(Waiter<Fetched<T>>),
}

/// Runs as a separate task, so that the result is stored even if no waiter is left. The fetch has a timeout.
async fn finish<T>(
    fetch: impl Future<Output = Result<T, Error>> + Send,
    clock: Clock,
    flights: Arc<SingleFlight<State<T>, Fetched<T>>>,
    call: Started<Fetched<T>>,
) {
    let result = fetch.await.map(Arc::new);
    flights.finish(call, |state| {
        match &result {
            Ok(document) => {
                state.known = Some((Arc::clone(document), clock.moment()));
                state.last_failure = None;
            }
            Err(error) => state.last_failure = Some(error.clone()),
        }
        result
    });
}

/// Rate limit: allows `burst` fetches at once, and then one in each `period`.
#[derive(Debug)]
pub(super) struct Throttle {
    clock: Clock,
    period: Duration,
    /// How early the next one can be.
    slack: Duration,
    next: Mutex<Moment>,
}

impl Throttle {
    pub(super) fn new(clock: Clock, burst: u32, period: Duration) -> Self {
        let slack = period.saturating_mul(burst.saturating_sub(1));
        Self { clock, period, slack, next: Mutex::new(Moment::from_millis(0)) }
    }

    fn allow(&self) -> bool {
        let now = self.clock.moment();
        let mut next = lock(&self.next);
        let allowed = next.since(now) <= self.slack;
        if allowed {
            *next = now.max(*next).after(self.period);
        }
        allowed
    }
}

const STALE: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn cached() -> (Clock, Cached<u32>, Throttle) {
        let clock = Clock::manual();
        let throttle = Throttle::new(clock.clone(), 1, Duration::from_secs(1));
        (clock.clone(), Cached::new(clock), throttle)
    }

    #[test]
    fn throttle_allows_burst_and_then_one_per_period() {
        let clock = Clock::manual();
        let throttle = Throttle::new(clock.clone(), 2, Duration::from_secs(10));
        let allowed = |n| (0..n).filter(|_| throttle.allow()).count();
        assert_eq!(allowed(5), 2);
        clock.advance(Duration::from_secs(10));
        assert_eq!(allowed(5), 1);
        clock.advance(Duration::from_secs(3600));
        assert_eq!(allowed(5), 2);
    }

    #[tokio::test]
    async fn failed_fetch_keeps_document_until_it_is_stale() {
        let (clock, cached, throttle) = cached();
        assert_eq!(*cached.fetch(None, &throttle, || async { Ok(1) }).await.unwrap(), 1);
        clock.advance(Duration::from_secs(3600));
        let known = cached.known();
        let failed = cached.fetch(known.as_ref(), &throttle, || async { Err(Error::NoKeys) }).await;
        assert_eq!(failed, Err(Error::NoKeys));
        assert_eq!(cached.known(), known);
        clock.advance(STALE);
        assert_eq!(cached.known(), None);
    }

    #[tokio::test]
    async fn fetch_too_soon_returns_last_failure() {
        let (clock, cached, throttle) = cached();
        let failing = || async { Err(Error::NoKeys) };
        assert_eq!(cached.fetch(None, &throttle, failing).await, Err(Error::NoKeys));
        let again = cached.fetch(None, &throttle, || async { Ok(1) }).await;
        assert_eq!(again, Err(Error::NoKeys));
        clock.advance(Duration::from_secs(1));
        assert_eq!(cached.fetch(None, &throttle, || async { Ok(1) }).await.as_deref(), Ok(&1));
    }

    #[tokio::test]
    async fn caller_that_looked_before_a_fetch_ended_gets_its_document() {
        let (clock, cached, throttle) = cached();
        let seen = cached.known();
        let one = cached.fetch(None, &throttle, || async { Ok(1) }).await.unwrap();
        // It is too soon for another fetch, and none is needed.
        let failing = || async { Err(Error::NoKeys) };
        assert_eq!(cached.fetch(seen.as_ref(), &throttle, failing).await.as_ref(), Ok(&one));
        let too_soon = cached.fetch(Some(&one), &throttle, failing).await;
        assert_eq!(too_soon, Err(Error::TooSoon));
        clock.advance(Duration::from_secs(1));
        let two = cached.fetch(Some(&one), &throttle, || async { Ok(2) }).await.unwrap();
        assert_eq!(cached.fetch(Some(&one), &throttle, failing).await.as_ref(), Ok(&two));
    }

    #[tokio::test]
    async fn waiters_share_a_fetch_that_outlives_its_starter() {
        let (_, cached, throttle) = cached();
        let (finish, finished) = oneshot::channel::<u32>();
        let fetch = || async { finished.await.map_err(|_| Error::Interrupted) };
        let mut first = Box::pin(cached.fetch(None, &throttle, fetch));
        assert!(tokio::time::timeout(Duration::ZERO, &mut first).await.is_err());
        let second = cached.fetch(None, &throttle, || async { Err(Error::NoKeys) });
        drop(first);
        let (second, ()) = tokio::join!(second, async { finish.send(7).unwrap() });
        assert_eq!(second.as_deref(), Ok(&7));
        assert_eq!(cached.known().as_deref(), Some(&7));
    }

    #[tokio::test]
    async fn fetch_that_panics_blocks_no_later_one() {
        let (clock, cached, throttle) = cached();
        let panicking = || async { panic!("the fetch panics") };
        assert_eq!(cached.fetch(None, &throttle, panicking).await, Err(Error::Interrupted));
        clock.advance(Duration::from_secs(1));
        assert_eq!(cached.fetch(None, &throttle, || async { Ok(1) }).await.as_deref(), Ok(&1));
    }
}
