//! Connections to one target, and those among them that are idle.
//! Invariants: the most recently used idle connection is used first, so that surplus ones reach the idle timeout and
//! close; no connection is used that is closed, still busy, or over the idle timeout; dropping a connection closes it,
//! also during a request (RFC 9112 §9.3, §9.6).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::body::Body;
use crate::deadline::Deadline;
use crate::lock::lock;
use crate::upstream::Connections;
use crate::upstream::client_share::Held;

/// The connections to one target.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Idle>,
    timeouts: PoolTimeouts,
    /// Client connections to which idle connections of this pool may be bound.
    owners: Mutex<Vec<Owner>>,
    /// The tasks of the connections, and the sweeper.
    pub(super) tasks: TaskTracker,
}

/// How long connections are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolTimeouts {
    /// Without a request.
    pub(super) idle: Duration,
    /// In total if the target is a DNS name: a change of its addresses takes effect within this time.
    pub(super) named: Duration,
}

#[derive(Debug, Default)]
struct Idle {
    /// Oldest first.
    connections: VecDeque<Box<Connection>>,
    sweeping: bool,
}

impl Pool {
    /// An empty pool.
    pub(super) fn new(timeouts: PoolTimeouts) -> Self {
        let (idle, owners) = (Mutex::default(), Mutex::default());
        Self { idle, timeouts, owners, tasks: TaskTracker::new() }
    }

    /// The most recently used idle connection that is ready for a request.
    pub(super) fn take(&self, now: Instant) -> Option<Box<Connection>> {
        let (mut idle, mut unready) = (self.idle(), Vec::new());
        let mut found = None;
        while let Some(connection) = idle.connections.pop_back() {
            if self.is_old(&connection, now) {
                continue;
            }
            // SECURITY: ready means that the response before ended where its framing said, without a byte after
            // it, so that no request gets the response to another.
            if connection.sender.is_ready() {
                found = Some(connection);
                break;
            }
            // Its task has not yet finished the request before.
            if !connection.sender.is_closed() {
                unready.push(connection);
            }
        }
        idle.connections.extend(unready.into_iter().rev());
        found
    }

    /// Registers a client connection to which connections of this pool are bound.
    pub(super) fn enlist(&self, owner: Owner) {
        let mut owners = self.owners();
        // Cleaned only when it would grow, so that the cost per call is constant.
        if owners.len() == owners.capacity() {
            owners.retain(Owner::is_there);
            // SECURITY: one client can bind connection after connection if the upstream closes each.
            owners.sort_unstable_by_key(|owner| owner.0.as_ptr().addr());
            owners.dedup_by(|other, owner| other.0.ptr_eq(&owner.0));
        }
        owners.push(owner);
    }

    /// Keeps a connection whose response has ended for the next request.
    pub(super) fn put(self: &Arc<Self>, mut connection: Box<Connection>) {
        let now = Instant::now();
        // SECURITY: only the client that authenticated it may use it.
        if let Some(owner) = connection.owner.take() {
            if connection.reusable && !connection.sender.is_closed() {
                connection.held = None;
                owner.keep(self, connection);
            }
            return;
        }
        let outdated = match connection.peer {
            Reached::ByName => {
                now.saturating_duration_since(connection.opened) >= self.timeouts.named
            }
            Reached::ByAddress => false,
        };
        if outdated || !connection.reusable || connection.sender.is_closed() {
            return;
        }
        connection.idle_since = now;
        connection.held = None;
        let mut idle = self.idle();
        if idle.connections.len() >= MAX_IDLE {
            idle.connections.pop_front();
        }
        idle.connections.push_back(connection);
        if !idle.sweeping {
            idle.sweeping = true;
            self.tasks.spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes the connection that has been idle for longest, or else one that is bound. Returns whether there was
    /// one.
    pub(super) fn drop_oldest(self: &Arc<Self>) -> bool {
        let mut idle = self.idle();
        while let Some(oldest) = idle.connections.pop_front() {
            // One that the upstream has closed no longer counts.
            if !oldest.sender.is_closed() {
                return true;
            }
        }
        drop(idle);
        self.owners().iter().any(|owner| owner.drop_idle(self))
    }

    /// How many connections there are.
    pub(super) fn connections(&self) -> Connections {
        let sweeper = usize::from(self.idle().sweeping);
        Connections { open: self.tasks.len().saturating_sub(sweeper), idle: self.idle_count() }
    }

    /// The number of idle connections, without those that the upstream has closed.
    pub(super) fn idle_count(&self) -> usize {
        self.idle().connections.iter().filter(|connection| !connection.sender.is_closed()).count()
    }

    /// Closes connections over the idle timeout.
    fn expire(&self) -> Left {
        let now = Instant::now();
        let mut idle = self.idle();
        while idle.connections.front().is_some_and(|oldest| self.is_old(oldest, now)) {
            idle.connections.pop_front();
        }
        idle.sweeping = !idle.connections.is_empty();
        if idle.sweeping { Left::Some } else { Left::Nothing }
    }

    fn is_old(&self, connection: &Connection, now: Instant) -> bool {
        now.saturating_duration_since(connection.idle_since) >= self.timeouts.idle
    }

    fn owners(&self) -> MutexGuard<'_, Vec<Owner>> {
        lock(&self.owners)
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        lock(&self.idle)
    }
}

/// The client connection that a connection is bound to.
#[derive(Debug)]
pub(super) struct Owner(Weak<Kept>);

/// Idle connections that are bound to one owner, with the pool of each.
pub(super) type Kept = Mutex<Vec<(Arc<Pool>, Box<Connection>)>>;

impl Owner {
    /// The owner of `kept`.
    pub(super) fn of(kept: &Arc<Kept>) -> Self {
        Self(Arc::downgrade(kept))
    }

    /// Whether the client's connection is still open.
    fn is_there(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Keeps a connection for the next request of its owner; closes it if the owner is gone.
    fn keep(&self, pool: &Arc<Pool>, connection: Box<Connection>) {
        if let Some(kept) = self.0.upgrade() {
            lock(&kept).push((Arc::clone(pool), connection));
        }
    }

    /// Closes an idle connection of a pool that is bound here. Returns whether there was one.
    fn drop_idle(&self, pool: &Arc<Pool>) -> bool {
        self.0.upgrade().is_some_and(|kept| remove(&kept, pool).is_some())
    }
}

/// Removes and returns a connection of a pool that is bound here.
pub(super) fn remove(kept: &Kept, pool: &Arc<Pool>) -> Option<Box<Connection>> {
    let mut kept = lock(kept);
    let at = kept.iter().position(|(of, _)| Arc::ptr_eq(of, pool))?;
    Some(kept.swap_remove(at).1)
}

enum Left {
    Nothing,
    Some,
}

/// Closes connections over the idle timeout if no request does it; one task per pool with idle connections.
async fn sweep(pool: Weak<Pool>) {
    let Some(every) = pool.upgrade().map(|pool| pool.timeouts.idle) else { return };
    loop {
        sleep(every).await;
        match pool.upgrade().map(|pool| pool.expire()) {
            Some(Left::Some) => {}
            Some(Left::Nothing) | None => return,
        }
    }
}

/// How the target was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// By a DNS name, whose addresses can change.
    ByName,
    /// By an IP address or a path.
    ByAddress,
}

/// One open connection. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Connection {
    /// Takes requests.
    pub(super) sender: SendRequest<Body>,
    driver: AbortHandle,
    peer: Reached,
    opened: Instant,
    /// The deadline of what is awaited on this connection.
    pub(super) deadline: Deadline,
    idle_since: Instant,
    /// Whether another request may use it.
    pub(super) reusable: bool,
    /// Counts it for the client of the request under way.
    pub(super) held: Option<Held>,
    /// The client connection that it is bound to.
    pub(super) owner: Option<Owner>,
}

impl Connection {
    /// A connection whose `driver` task reads and writes. Boxed once, because it is moved often.
    pub(super) fn new(sender: SendRequest<Body>, driver: AbortHandle, peer: Reached) -> Box<Self> {
        let (opened, deadline) = (Instant::now(), Deadline::new());
        Box::new(Self {
            sender,
            driver,
            peer,
            opened,
            deadline,
            idle_since: opened,
            reusable: true,
            held: None,
            owner: None,
        })
    }

    /// Whether it is ready for a request, now or once its task has finished the one before.
    pub(super) async fn is_ready_soon(&mut self) -> bool {
        timeout(READY_SOON, self.sender.ready()).await.is_ok_and(|ready| ready.is_ok())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Otherwise a connection that waits for a silent upstream would outlive its client.
        self.driver.abort();
    }
}

/// How long to wait for a bound connection.
const READY_SOON: Duration = Duration::from_secs(1);
/// Most idle connections to one target.
const MAX_IDLE: usize = 512;
