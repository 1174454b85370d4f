//! The limit of open connections: `limits.connections`. Connections over the limit get 503.
//! Invariant: clients cannot take all file descriptors; upstreams, providers and the admin listener get the rest.
//! At the limit, an idle connection is evicted for a new one (`eviction`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use crate::lock::lock;
use crate::server::client_limit::{ClientCount, ClientLimit, ClientPlace};
use crate::server::connection_info::ConnectionInfo;
use crate::server::deadlines::{Deadlines, Eviction};
use crate::server::eviction::{Entry, Evictable};
use crate::server::settings::{Limits, ServerTimeouts};
use crate::telemetry::metrics::{Limit, Metrics};

/// The limit of open connections of all listeners of a server together.
#[derive(Clone, Debug)]
pub(super) struct ConnectionLimit {
    within: Arc<Semaphore>,
    /// `limits.connections` now.
    most: Arc<Mutex<usize>>,
    /// For connections over the limit, until they have their 503, and for evicted ones, until they have closed.
    spare: Arc<Semaphore>,
    evictable: Arc<Evictable>,
    clients: ClientLimit,
    open: OpenConnections,
    metrics: Arc<Metrics>,
}

/// A permit for the next connection.
#[derive(Debug)]
pub(super) enum Slot {
    /// One of `limits.connections`.
    Within(OwnedSemaphorePermit),
    /// A spare one, to be replaced by one of `limits.connections` if one is free.
    Spare(OwnedSemaphorePermit),
}

/// Whether a connection is within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is within the limits and is served.
    Accepted,
    /// The server is at its limit: requests get 503.
    OverLimit,
    /// Its client is over its limit: requests get 503.
    OverClientLimit,
}

impl Admission {
    /// The deadlines of a connection. One that is over a limit ends as soon as it has its 503.
    pub(super) fn deadlines(self, timeouts: &ServerTimeouts) -> Deadlines {
        let deadlines = Deadlines::from(timeouts);
        match self {
            Self::Accepted => deadlines,
            Self::OverLimit | Self::OverClientLimit => {
                Deadlines { idle: Duration::ZERO, ..deadlines }
            }
        }
    }
}

/// A connection's permits, held by its socket and released when that closes.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    _held: Held,
    _client: Option<ClientPlace>,
    admission: Admission,
    _counted: Counted,
}

/// One of the open connections that are counted.
#[derive(Debug)]
struct Counted(OpenConnections);

/// The permit of a connection.
#[derive(Debug)]
enum Held {
    /// One of `limits.connections`, until the connection is evicted.
    Within(#[expect(dead_code, reason = "held until it is dropped")] Entry),
    /// A spare one.
    Spare(#[expect(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit),
}

/// Counts a server's open connections.
#[derive(Clone, Debug, Default)]
pub struct OpenConnections(Arc<AtomicUsize>);

impl OpenConnections {
    /// The number of connections that are open now.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }
}

impl ConnectionLimit {
    /// A limit of `limits.connections`.
    pub(super) fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        let most = limits.connections.min(Semaphore::MAX_PERMITS);
        Self {
            within: Arc::new(Semaphore::new(most)),
            most: Arc::new(Mutex::new(most)),
            spare: Arc::new(Semaphore::new(SPARE)),
            evictable: Arc::default(),
            clients: ClientLimit::default(),
            open: OpenConnections::default(),
            metrics,
        }
    }

    /// Changes `limits.connections`. Above a lower limit idle connections are evicted, and others stay open.
    pub(super) fn resize(&self, limits: &Limits) {
        let wanted = limits.connections.min(Semaphore::MAX_PERMITS);
        let before = std::mem::replace(&mut *lock(&self.most), wanted);
        self.within.add_permits(wanted.saturating_sub(before));
        let surplus = before.saturating_sub(wanted);
        if surplus == 0 {
            return;
        }
        for _ in 0..surplus.saturating_sub(self.within.available_permits()) {
            match self.evictable.release() {
                Eviction::Evicted => {}
                Eviction::Busy => break,
            }
        }
        let within = Arc::clone(&self.within);
        // Gets permits as they become free, before any new connection does.
        tokio::spawn(async move {
            let mut left = surplus;
            while left > 0 {
                let some = u32::try_from(left).unwrap_or(u32::MAX);
                let Ok(permits) = Arc::clone(&within).acquire_many_owned(some).await else {
                    return;
                };
                permits.forget();
                left -= some as usize;
            }
        });
    }

    /// Counts the open connections.
    pub(super) fn open_connections(&self) -> OpenConnections {
        self.open.clone()
    }

    /// Waits for a permit. Evicts idle connections while there is none.
    pub(super) async fn slot(&self) -> Slot {
        loop {
            // Spare ones first: whether the limit is reached is decided when the connection arrives.
            tokio::select! {
                biased;
                Ok(permit) = Arc::clone(&self.spare).acquire_owned() => return Slot::Spare(permit),
                Ok(permit) = Arc::clone(&self.within).acquire_owned() => return Slot::Within(permit),
                // SECURITY: clients that are slow to read their 503 hold the spare permits. They must not block
                // others while idle connections are open.
                () = self.release() => {}
            }
        }
    }

    /// Evicts an idle connection, and waits a little for its permit.
    async fn release(&self) {
        if self.evictable.release() == Eviction::Evicted {
            self.report_eviction();
        }
        sleep(PATIENCE).await;
    }

    /// Assigns a slot to a connection. Returns `None` if it is to be closed without a response.
    pub(super) fn claim(
        &self,
        slot: Slot,
        connected: &Arc<ConnectionInfo>,
    ) -> Option<ConnectionGuard> {
        let (client, admission) = self.client(connected)?;
        let (held, admission) = match (self.within(slot, admission), admission) {
            (Ok(permit), _) => {
                (Held::Within(self.evictable.add(Arc::clone(connected), permit)), admission)
            }
            (Err(spare), Admission::Accepted | Admission::OverLimit) => {
                let detail = "server.limits.connections is reached and every connection has a request under way: \
                              new ones get 503";
                self.metrics.limit_hit(Limit::Connections, detail);
                (Held::Spare(spare), Admission::OverLimit)
            }
            // SECURITY: one client must not take the few spare permits.
            (Err(_), Admission::OverClientLimit) => return None,
        };
        Some(ConnectionGuard { _held: held, _client: client, admission, _counted: self.open.add() })
    }

    /// Counts a connection for the client that its PROXY header announced. Returns `None` if it is to be closed without
    /// a response.
    pub(super) fn recount(
        &self,
        guard: ConnectionGuard,
        connected: &ConnectionInfo,
    ) -> Option<ConnectionGuard> {
        let (client, admission) = self.client(connected)?;
        let admission = match (guard.admission, admission) {
            (before, Admission::Accepted | Admission::OverLimit) => before,
            (Admission::Accepted, Admission::OverClientLimit) => admission,
            // SECURITY: one client must not take the few spare permits.
            (Admission::OverLimit | Admission::OverClientLimit, Admission::OverClientLimit) => {
                return None;
            }
        };
        Some(ConnectionGuard { _client: client, admission, ..guard })
    }

    /// Counts a connection for its client. Returns `None` if that is far over its limit.
    fn client(&self, connected: &ConnectionInfo) -> Option<(Option<ClientPlace>, Admission)> {
        match self.clients.count(connected) {
            ClientCount::Exempt => Some((None, Admission::Accepted)),
            ClientCount::Within(place) => Some((Some(place), Admission::Accepted)),
            ClientCount::Over(place) => {
                self.report_client(connected);
                Some((Some(place), Admission::OverClientLimit))
            }
            ClientCount::FarOver => {
                self.report_client(connected);
                None
            }
        }
    }

    /// One of `limits.connections`, if need be that of an idle connection, which is evicted. Returns the spare
    /// permit if there is none.
    fn within(
        &self,
        slot: Slot,
        admission: Admission,
    ) -> Result<OwnedSemaphorePermit, OwnedSemaphorePermit> {
        let spare = match slot {
            Slot::Within(permit) => return Ok(permit),
            Slot::Spare(spare) => spare,
        };
        if let Ok(permit) = Arc::clone(&self.within).try_acquire_owned() {
            return Ok(permit);
        }
        if admission == Admission::OverClientLimit {
            return Err(spare);
        }
        let permit = self.evictable.take_permit(spare)?;
        self.report_eviction();
        Ok(permit)
    }

    fn report_eviction(&self) {
        let detail = "server.limits.connections is reached: the longest idle connections are closed for new ones";
        self.metrics.limit_hit(Limit::IdleConnections, detail);
    }

    #[cold]
    fn report_client(&self, connected: &ConnectionInfo) {
        let detail = format_args!(
            "{} has reached server.limits.connections_per_client",
            connected.peer().address()
        );
        self.metrics.limit_hit(Limit::ConnectionsPerClient, detail);
    }
}

impl ConnectionGuard {
    pub(super) fn admission(&self) -> Admission {
        self.admission
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Spare permits. Connections that find none wait to be accepted.
pub(super) const SPARE: usize = 64;

/// The wait for the permit of an evicted connection, before another one is evicted.
const PATIENCE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::peer::Peer;
    use crate::server::protocol::Scheme;
    use crate::server::settings::Settings;

    fn limit_of(connections: usize) -> ConnectionLimit {
        let limits = Limits { connections, ..Limits::default() };
        ConnectionLimit::new(&limits, Arc::default())
    }

    /// A connection with a request under way.
    fn busy() -> Arc<ConnectionInfo> {
        let settings = Settings::listening_nowhere();
        let connected = ConnectionInfo::fixed(Peer::Unix, Scheme::Http, &settings);
        connected.activity().begin();
        connected
    }

    impl ConnectionLimit {
        async fn accept(&self, connected: &Arc<ConnectionInfo>) -> ConnectionGuard {
            self.claim(self.slot().await, connected).unwrap()
        }
    }

    #[tokio::test]
    async fn limit_is_checked_when_the_connection_arrives() {
        let (limit, busy) = (limit_of(1), busy());
        let (early, late) = (limit.slot().await, limit.slot().await);
        let first = limit.claim(early, &busy).unwrap();
        assert_eq!((first.admission(), limit.open.count()), (Admission::Accepted, 1));
        drop(first);
        let second = limit.claim(late, &busy).unwrap();
        assert_eq!(second.admission(), Admission::Accepted);
        let third = limit.accept(&busy).await;
        assert_eq!((third.admission(), limit.open.count()), (Admission::OverLimit, 2));
        drop(second);
        assert_eq!(limit.accept(&busy).await.admission(), Admission::Accepted);
    }

    #[tokio::test]
    async fn slot_waits_while_all_permits_are_taken() {
        let (limit, busy) = (limit_of(1), busy());
        let mut taken = Vec::new();
        for _ in 0..=SPARE {
            taken.push(limit.accept(&busy).await);
        }
        let mut waiting = Box::pin(limit.slot());
        let pending = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending())
        });
        assert!(pending.await);
        let first = taken.remove(0);
        assert_eq!(first.admission(), Admission::Accepted);
        drop(first);
        let slot = waiting.await;
        assert_eq!(limit.claim(slot, &busy).unwrap().admission(), Admission::Accepted);
    }

    #[tokio::test]
    async fn lower_limit_evicts_idle_connections_and_a_higher_one_counts_at_once() {
        let (limit, idle, of) =
            (limit_of(3), busy(), |connections| Limits { connections, ..Limits::default() });
        let first = limit.accept(&idle).await;
        idle.activity().finish(Duration::ZERO);
        let second = limit.accept(&busy()).await;
        limit.resize(&of(1));
        assert!(idle.activity().is_evicted());
        tokio::task::yield_now().await;
        assert_eq!(limit.accept(&busy()).await.admission(), Admission::OverLimit);
        drop(first);
        tokio::task::yield_now().await;
        assert_eq!(limit.accept(&busy()).await.admission(), Admission::OverLimit, "one is open");
        drop(second);
        let only = limit.accept(&busy()).await;
        assert_eq!(only.admission(), Admission::Accepted);
        assert_eq!(limit.accept(&busy()).await.admission(), Admission::OverLimit);
        limit.resize(&of(2));
        assert_eq!(limit.accept(&busy()).await.admission(), Admission::Accepted);
    }

    #[tokio::test]
    async fn idle_connection_is_evicted_for_the_next_one() {
        let (limit, idle) = (limit_of(1), busy());
        let first = limit.accept(&idle).await;
        idle.activity().finish(Duration::ZERO);
        let second = limit.accept(&busy()).await;
        assert!(idle.activity().is_evicted());
        assert_eq!(
            (first.admission(), second.admission()),
            (Admission::Accepted, Admission::Accepted)
        );
        assert_eq!(
            limit.spare.available_permits(),
            SPARE - 1,
            "the evicted one has not closed yet"
        );
        assert_eq!(limit.accept(&busy()).await.admission(), Admission::OverLimit);
        drop(first);
        assert_eq!(limit.spare.available_permits(), SPARE);
        drop(second);
        assert_eq!(limit.within.available_permits(), 1);
    }
}
