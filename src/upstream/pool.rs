//! Open connections to one upstream, and those among them that wait for the next request.
//! Invariants: the most recently used connection goes out first, so that surplus ones grow old and
//! leave; no connection is handed out that is closed, still busy, or idle for longer than the limit;
//! dropping a connection ends it, whatever it was doing (RFC 9112 §9.3, §9.6).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use super::Connections;
use super::client_share::Held;
use crate::body::Body;
use crate::deadline::Deadline;
use crate::lock::lock;

/// The open connections to one upstream.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Idle>,
    timeouts: PoolTimeouts,
    /// Who may hold idle connections to this upstream that are bound to them.
    owners: Mutex<Vec<Owner>>,
    /// The tasks that drive connections, and the sweeper.
    pub(super) tasks: TaskTracker,
}

/// How long connections are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct PoolTimeouts {
    /// Without a request.
    pub(super) idle: Duration,
    /// In all, where the upstream is a DNS name: so soon does a change of its addresses show.
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

    /// The connection that was used last, if one is fit for another request.
    pub(super) fn take(&self, now: Instant) -> Option<Box<Connection>> {
        let (mut idle, mut unready) = (self.idle(), Vec::new());
        let mut found = None;
        while let Some(connection) = idle.connections.pop_back() {
            if self.is_old(&connection, now) {
                continue;
            }
            // SECURITY: ready means that the response before ended where its framing said, without a
            // byte behind it, so that no answer is given to the wrong request.
            if connection.sender.is_ready() {
                found = Some(connection);
                break;
            }
            // Its own task has still to see that it is done.
            if !connection.sender.is_closed() {
                unready.push(connection);
            }
        }
        idle.connections.extend(unready.into_iter().rev());
        found
    }

    /// Notes whose idle connections may make room.
    pub(super) fn enlist(&self, owner: Owner) {
        let mut owners = self.owners();
        // Looked through only where it would grow, so that the work is shared by all.
        if owners.len() == owners.capacity() {
            owners.retain(Owner::is_there);
            // SECURITY: one client may bind connection after connection, where the upstream closes each.
            owners.sort_unstable_by_key(|owner| owner.0.as_ptr().addr());
            owners.dedup_by(|other, owner| other.0.ptr_eq(&owner.0));
        }
        owners.push(owner);
    }

    /// Keeps a connection whose exchange is over for the next request.
    pub(super) fn put(self: &Arc<Self>, mut connection: Box<Connection>) {
        let now = Instant::now();
        // SECURITY: who authenticated it may use it, and nobody else.
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

    /// Ends the connection that has been idle for longest, if there is one; else one that is bound.
    pub(super) fn drop_oldest(self: &Arc<Self>) -> bool {
        let mut idle = self.idle();
        while let Some(oldest) = idle.connections.pop_front() {
            // One that its upstream closed has made room already.
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

    /// How many connections wait for a request, without those that their upstream closed.
    pub(super) fn idle_count(&self) -> usize {
        self.idle().connections.iter().filter(|connection| !connection.sender.is_closed()).count()
    }

    /// Drops what has been idle for too long.
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

/// Whom a connection is bound to.
#[derive(Debug)]
pub(super) struct Owner(Weak<Kept>);

/// The connections that are bound to one owner: one for each upstream, while no exchange is under way on it.
pub(super) type Kept = Mutex<Vec<(Arc<Pool>, Box<Connection>)>>;

impl Owner {
    /// Whoever holds `kept`.
    pub(super) fn of(kept: &Arc<Kept>) -> Self {
        Self(Arc::downgrade(kept))
    }

    /// Whether the client's connection is still there.
    fn is_there(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Keeps a connection for the next request of its owner; closes it where that is gone.
    fn keep(&self, pool: &Arc<Pool>, connection: Box<Connection>) {
        if let Some(kept) = self.0.upgrade() {
            lock(&kept).push((Arc::clone(pool), connection));
        }
    }

    /// Ends the connection to an upstream that waits here, if there is one.
    fn drop_idle(&self, pool: &Arc<Pool>) -> bool {
        self.0.upgrade().is_some_and(|kept| remove(&kept, pool).is_some())
    }
}

/// Takes out the connection to an upstream that is bound here.
pub(super) fn remove(kept: &Kept, pool: &Arc<Pool>) -> Option<Box<Connection>> {
    let mut kept = lock(kept);
    let at = kept.iter().position(|(of, _)| Arc::ptr_eq(of, pool))?;
    Some(kept.swap_remove(at).1)
}

enum Left {
    Nothing,
    Some,
}

/// Ends idle connections when no request comes along to do it; one task per pool, while it has any.
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

/// How the other end was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// Its name was resolved, and may have other addresses by now.
    ByName,
    /// An IP address or a path.
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
    /// The deadline of whatever is awaited on this connection.
    pub(super) deadline: Deadline,
    idle_since: Instant,
    /// Cleared when nothing may follow on it.
    pub(super) reusable: bool,
    /// Whose exchange it carries.
    pub(super) held: Option<Held>,
    /// To whom it is bound.
    pub(super) owner: Option<Owner>,
}

impl Connection {
    /// A connection whose `driver` task does the reading and writing. In one place for good: it goes
    /// through many hands.
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

    /// Whether it is fit for another request, or becomes so while its own task finishes the one before.
    pub(super) async fn is_ready_soon(&mut self) -> bool {
        timeout(READY_SOON, self.sender.ready()).await.is_ok_and(|ready| ready.is_ok())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without it a connection that waits for a silent upstream would outlive its client.
        self.driver.abort();
    }
}

/// How long a bound connection is waited for.
const READY_SOON: Duration = Duration::from_secs(1);
/// How many idle connections are kept for one upstream.
const MAX_IDLE: usize = 512;
