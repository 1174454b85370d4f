//! How many connections of clients there may be, and what becomes of those beyond.
//! Invariant: clients alone cannot take the last file descriptor: upstreams, providers and whoever asks the
//! admin listener get theirs. Where all places are taken, an idle connection makes room (`eviction`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use crate::server::client_limit::{Admitted, ClientLimit, ClientPlace};
use crate::server::connection_info::ConnectionInfo;
use crate::server::deadlines::{Deadlines, Eviction};
use crate::server::eviction::{Entry, Evictable};
use crate::server::settings::{Limits, ServerTimeouts};
use crate::telemetry::metrics::{Limit, Metrics};

/// How many connections may be open at all of a server's listeners together.
#[derive(Clone, Debug)]
pub(super) struct ConnectionLimit {
    within: Arc<Semaphore>,
    /// For connections beyond those, which are told so, and for evicted ones until they have closed.
    beyond: Arc<Semaphore>,
    evictable: Arc<Evictable>,
    clients: ClientLimit,
    open: OpenConnections,
    metrics: Arc<Metrics>,
}

/// A place for the connection that comes next.
#[derive(Debug)]
pub(super) enum Slot {
    /// One of `limits.connections`.
    Within(OwnedSemaphorePermit),
    /// One more, should there be no room.
    Beyond(OwnedSemaphorePermit),
}

/// Whether there is room for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is served.
    Accepted,
    /// It is told that the gateway is full.
    OverLimit,
    /// It is told that its client has too many.
    OverClientLimit,
}

impl Admission {
    /// The deadlines of a connection: one over a limit ends as soon as it has its 503.
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

/// A place that is taken: held by a connection's socket, given back when that closes.
#[derive(Debug)]
pub(super) struct ConnectionGuard {
    _held: Held,
    _client: Option<ClientPlace>,
    admission: Admission,
    open: OpenConnections,
}

/// What a place takes up.
#[derive(Debug)]
enum Held {
    /// One of `limits.connections`, until the connection is evicted.
    Within(#[expect(dead_code, reason = "held until it is dropped")] Entry),
    /// One more.
    Beyond(#[expect(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit),
}

/// Counts a server's open connections.
#[derive(Clone, Debug, Default)]
pub struct OpenConnections(Arc<AtomicUsize>);

impl OpenConnections {
    /// How many are open now.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl ConnectionLimit {
    /// Room for as many as these limits say.
    pub(super) fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        let within = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
        Self {
            within,
            beyond: Arc::new(Semaphore::new(BEYOND)),
            evictable: Arc::default(),
            clients: ClientLimit::default(),
            open: OpenConnections::default(),
            metrics,
        }
    }

    /// Counts the open connections.
    pub(super) fn open_connections(&self) -> OpenConnections {
        self.open.clone()
    }

    /// Waits until there is a place, for which an idle connection is evicted if need be.
    pub(super) async fn slot(&self) -> Slot {
        loop {
            // Whether there is room is seen when the connection is here.
            tokio::select! {
                biased;
                Ok(permit) = Arc::clone(&self.beyond).acquire_owned() => return Slot::Beyond(permit),
                Ok(permit) = Arc::clone(&self.within).acquire_owned() => return Slot::Within(permit),
                // SECURITY: connections that take their time to be told that there is no room must not keep
                // others out while idle ones are open.
                () = self.release() => {}
            }
        }
    }

    /// Evicts an idle connection, and waits a little for its place.
    async fn release(&self) {
        if self.evictable.release() == Eviction::Evicted {
            self.report_eviction();
        }
        sleep(PATIENCE).await;
    }

    /// Gives a connection its place; `None`: it is closed without a word.
    pub(super) fn admit(
        &self,
        slot: Slot,
        connected: &Arc<ConnectionInfo>,
    ) -> Option<ConnectionGuard> {
        let client = self.clients.admit(connected);
        let (client, admission) = match client {
            Admitted::Exempt => (None, Admission::Accepted),
            Admitted::Within(place) => (Some(place), Admission::Accepted),
            Admitted::Over(place) => {
                self.report_client(connected);
                (Some(place), Admission::OverClientLimit)
            }
            Admitted::Refused => {
                self.report_client(connected);
                return None;
            }
        };
        let (held, admission) = match (self.within(slot, admission), admission) {
            (Ok(permit), _) => {
                (Held::Within(self.evictable.add(Arc::clone(connected), permit)), admission)
            }
            (Err(beyond), Admission::Accepted | Admission::OverLimit) => {
                let detail = "as many connections as allowed are open, all of them with a request under way: \
                              others get 503";
                self.metrics.limit_hit(Limit::Connections, detail);
                (Held::Beyond(beyond), Admission::OverLimit)
            }
            // SECURITY: one client must not take the few places of those who are told that the gateway is full.
            (Err(_), Admission::OverClientLimit) => return None,
        };
        self.open.0.fetch_add(1, Ordering::Relaxed);
        Some(ConnectionGuard { _held: held, _client: client, admission, open: self.open.clone() })
    }

    /// One of `limits.connections`, taken from an idle connection if need be; else the ticket's permit again.
    fn within(
        &self,
        slot: Slot,
        admission: Admission,
    ) -> Result<OwnedSemaphorePermit, OwnedSemaphorePermit> {
        let beyond = match slot {
            Slot::Within(permit) => return Ok(permit),
            Slot::Beyond(beyond) => beyond,
        };
        if let Ok(permit) = Arc::clone(&self.within).try_acquire_owned() {
            return Ok(permit);
        }
        if admission == Admission::OverClientLimit {
            return Err(beyond);
        }
        let permit = self.evictable.exchange(beyond)?;
        self.report_eviction();
        Ok(permit)
    }

    fn report_eviction(&self) {
        let detail =
            "as many connections as allowed are open: the longest idle ones are closed for others";
        self.metrics.limit_hit(Limit::IdleConnections, detail);
    }

    #[cold]
    fn report_client(&self, connected: &ConnectionInfo) {
        let detail =
            format_args!("{} has as many connections open as allowed", connected.peer().address());
        self.metrics.limit_hit(Limit::ConnectionsPerClient, detail);
    }
}

impl ConnectionGuard {
    pub(super) fn admission(&self) -> Admission {
        self.admission
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.open.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many connections beyond those allowed are told so at a time. More wait to be accepted.
pub(super) const BEYOND: usize = 64;

/// How long the place of an evicted connection is waited for before another one is evicted.
const PATIENCE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::peer::Peer;
    use crate::server::protocol::Scheme;
    use crate::server::settings::Settings;

    fn room(connections: usize) -> ConnectionLimit {
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
            self.admit(self.slot().await, connected).unwrap()
        }
    }

    #[tokio::test]
    async fn whether_there_is_room_is_seen_when_the_connection_is_here() {
        let (room, busy) = (room(1), busy());
        let (early, late) = (room.slot().await, room.slot().await);
        let first = room.admit(early, &busy).unwrap();
        assert_eq!((first.admission(), room.open.count()), (Admission::Accepted, 1));
        drop(first);
        let second = room.admit(late, &busy).unwrap();
        assert_eq!(second.admission(), Admission::Accepted);
        let third = room.accept(&busy).await;
        assert_eq!((third.admission(), room.open.count()), (Admission::OverLimit, 2));
        drop(second);
        assert_eq!(room.accept(&busy).await.admission(), Admission::Accepted);
    }

    #[tokio::test]
    async fn where_all_places_are_taken_the_next_one_waits_for_any() {
        let (room, busy) = (room(1), busy());
        let mut taken = Vec::new();
        for _ in 0..=BEYOND {
            taken.push(room.accept(&busy).await);
        }
        let mut waiting = Box::pin(room.slot());
        let pending = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending())
        });
        assert!(pending.await);
        let first = taken.remove(0);
        assert_eq!(first.admission(), Admission::Accepted);
        drop(first);
        let slot = waiting.await;
        assert_eq!(room.admit(slot, &busy).unwrap().admission(), Admission::Accepted);
    }

    #[tokio::test]
    async fn idle_connection_leaves_its_place_to_the_next_one() {
        let (room, idle) = (room(1), busy());
        let first = room.accept(&idle).await;
        idle.activity().finish(Duration::ZERO);
        let second = room.accept(&busy()).await;
        assert!(idle.activity().is_evicted());
        assert_eq!(
            (first.admission(), second.admission()),
            (Admission::Accepted, Admission::Accepted)
        );
        assert_eq!(room.beyond.available_permits(), BEYOND - 1, "the first one has not closed yet");
        assert_eq!(room.accept(&busy()).await.admission(), Admission::OverLimit);
        drop(first);
        assert_eq!(room.beyond.available_permits(), BEYOND);
        drop(second);
        assert_eq!(room.within.available_permits(), 1);
    }
}
