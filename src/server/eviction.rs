//! The table of open connections, and the eviction of idle ones when `limits.connections` is reached.
//! Invariants: a connection is evicted only while it has no request under way, the longest idle first, as of the last
//! scan.
//! Requests cost nothing here: idle times are read only when a permit is needed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::lock::lock;
use crate::server::connection_info::ConnectionInfo;
use crate::server::deadlines::{ConnectionActivity, Eviction};

/// The open connections that count toward `limits.connections`.
#[derive(Debug, Default)]
pub(super) struct Evictable {
    open: DashMap<u64, Arc<OpenConnection>>,
    next: AtomicU64,
    candidates: Mutex<Candidates>,
}

/// The longest idle connections of the last scan.
#[derive(Debug, Default)]
struct Candidates {
    /// Sorted: the longest idle last. With the time since when.
    longest_idle: Vec<(Instant, u64)>,
    /// The earliest time of the next scan, after one in which no connection was idle.
    not_before: Option<Instant>,
}

/// One connection, and the permit that it holds.
#[derive(Debug)]
struct OpenConnection {
    connected: Arc<ConnectionInfo>,
    permit: Mutex<OwnedSemaphorePermit>,
}

/// Keeps a connection in the table; dropped when its socket closes.
#[derive(Debug)]
pub(super) struct Entry {
    table: Arc<Evictable>,
    key: u64,
}

/// Wakes a connection's task when it is evicted or its request is cut. Registers each waker once, not at each poll.
pub(super) struct EvictionWatch<'a> {
    activity: &'a ConnectionActivity,
    registered: Option<Waker>,
}

impl<'a> EvictionWatch<'a> {
    pub(super) fn new(activity: &'a ConnectionActivity) -> Self {
        Self { activity, registered: None }
    }

    /// Ready once the connection is evicted.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !self.registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.registered = Some(cx.waker().clone());
            self.activity.on_orders(cx.waker());
        }
        // Checked after registering: the eviction may have come meanwhile.
        if self.activity.is_evicted() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Evictable {
    /// Adds a connection that holds this permit.
    pub(super) fn add(
        self: &Arc<Self>,
        connected: Arc<ConnectionInfo>,
        permit: OwnedSemaphorePermit,
    ) -> Entry {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.insert(key, Arc::new(OpenConnection { connected, permit: Mutex::new(permit) }));
        Entry { table: Arc::clone(self), key }
    }

    /// Evicts an idle connection and returns its permit; it keeps `spare` until it has closed. Returns `spare` if
    /// every connection has a request under way.
    pub(super) fn take_permit(
        &self,
        spare: OwnedSemaphorePermit,
    ) -> Result<OwnedSemaphorePermit, OwnedSemaphorePermit> {
        let Some(slot) = self.evict() else { return Err(spare) };
        let mut permit = lock(&slot.permit);
        Ok(std::mem::replace(&mut permit, spare))
    }

    /// Evicts an idle connection. Its permit is released when it has closed.
    pub(super) fn release(&self) -> Eviction {
        self.evict().map_or(Eviction::Busy, |_| Eviction::Evicted)
    }

    fn evict(&self) -> Option<Arc<OpenConnection>> {
        let mut candidates = lock(&self.candidates);
        // The candidates of the last sample may all be busy or closed by now; then a new sample is taken.
        for _ in 0..2 {
            while let Some((since, key)) = candidates.longest_idle.pop() {
                let slot = self.open.get(&key).map(|slot| Arc::clone(&slot));
                let evicted = slot.filter(|slot| slot.evict(since) == Eviction::Evicted);
                if evicted.is_some() {
                    return evicted;
                }
            }
            self.scan(&mut candidates);
        }
        None
    }

    /// Finds the longest idle hundredth of all connections, so that one scan serves many evictions.
    fn scan(&self, candidates: &mut Candidates) {
        let now = Instant::now();
        if candidates.not_before.is_some_and(|time| now < time) {
            return;
        }
        let idle = |slot: &OpenConnection| slot.connected.activity().idle_since();
        let mut found: Vec<(Instant, u64)> = self
            .open
            .iter()
            .filter_map(|entry| Some((idle(entry.value())?, *entry.key())))
            .collect();
        let (scanned, wanted) = (self.open.len(), (self.open.len() / 100).max(1));
        // SECURITY: while all are busy, a flood of new connections must not cause a scan each.
        let pause = SCAN_COST.saturating_mul(u32::try_from(scanned).unwrap_or(u32::MAX));
        candidates.not_before = found.is_empty().then(|| now + pause);
        if found.len() > wanted {
            found.select_nth_unstable(wanted);
            found.truncate(wanted);
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        candidates.longest_idle = found;
    }
}

impl OpenConnection {
    /// Evicts the connection, unless it was used after `since`.
    fn evict(&self, since: Instant) -> Eviction {
        let activity = self.connected.activity();
        if activity.idle_since() == Some(since) { activity.evict() } else { Eviction::Busy }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.open.remove(&self.key);
    }
}

/// The pause after a scan that found none, for each scanned connection.
const SCAN_COST: Duration = Duration::from_micros(1);

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;
    use crate::server::peer::Peer;
    use crate::server::protocol::Scheme;
    use crate::server::settings::Settings;

    struct House {
        table: Arc<Evictable>,
        within: Arc<Semaphore>,
        spare: Arc<Semaphore>,
        open: Vec<(Arc<ConnectionInfo>, Entry)>,
    }

    impl House {
        /// Connections that have had one request each and are idle since, one after the other.
        fn with(connections: usize) -> Self {
            let permits = |count| Arc::new(Semaphore::new(count));
            let (within, spare) = (permits(connections), permits(connections + 1));
            let table = Arc::<Evictable>::default();
            let mut house = Self { table, within, spare, open: Vec::new() };
            for _ in 0..connections {
                let settings = Settings::listening_nowhere();
                let connected = ConnectionInfo::fixed(Peer::Unix, Scheme::Http, &settings);
                connected.activity().finish(connected.activity().begin());
                let permit = Arc::clone(&house.within).try_acquire_owned().unwrap();
                let entry = house.table.add(Arc::clone(&connected), permit);
                house.open.push((connected, entry));
            }
            house
        }

        /// Waits for the end of the pause after a scan.
        async fn scan_pause(&self) {
            let not_before = self.table.candidates.lock().unwrap().not_before.unwrap();
            tokio::time::sleep_until(not_before).await;
        }

        /// Evicts one connection and returns its number.
        fn evict(&self) -> Option<usize> {
            let evicted = |at: &usize| self.open[*at].0.activity().is_evicted();
            let before: Vec<_> = (0..self.open.len()).filter(evicted).collect();
            let spare = Arc::clone(&self.spare).try_acquire_owned().unwrap();
            drop(self.table.take_permit(spare).ok()?);
            (0..self.open.len()).filter(evicted).find(|at| !before.contains(at))
        }
    }

    #[tokio::test]
    async fn longest_idle_connection_is_evicted_first() {
        let house = House::with(300);
        assert_eq!([(); 3].map(|()| house.evict()), [Some(0), Some(1), Some(2)]);
        let activity = house.open[3].0.activity();
        activity.finish(activity.begin());
        assert_eq!(house.evict(), Some(4), "3 was used meanwhile");
    }

    #[tokio::test]
    async fn busy_connection_is_not_evicted() {
        let house = House::with(3);
        let began = house.open[0].0.activity().begin();
        let also = house.open[2].0.activity().begin();
        assert_eq!([house.evict(), house.evict()], [Some(1), None]);
        house.open[0].0.activity().finish(began);
        house.scan_pause().await;
        house.open[2].0.activity().finish(also);
        assert_eq!([house.evict(), house.evict(), house.evict()], [Some(0), Some(2), None]);
    }

    #[tokio::test]
    async fn evicted_connection_holds_a_spare_permit_until_it_closes() {
        let mut house = House::with(2);
        let spare = Arc::clone(&house.spare).try_acquire_owned().unwrap();
        let permit = house.table.take_permit(spare).unwrap();
        assert_eq!((house.within.available_permits(), house.spare.available_permits()), (0, 2));
        house.open.remove(0);
        assert_eq!((house.within.available_permits(), house.spare.available_permits()), (0, 3));
        drop(permit);
        assert_eq!(house.within.available_permits(), 1);
    }

    #[tokio::test]
    async fn closed_connection_is_not_evicted() {
        let mut house = House::with(200);
        assert_eq!(house.evict(), Some(0));
        house.open.remove(1);
        assert_eq!(house.evict(), Some(1), "the third, which is the second now");
    }
}
