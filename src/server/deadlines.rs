//! Deadlines of a connection: the activity that its parts report, and the watchdog that ends it.
//! Invariant: a connection without an open request ends at a deadline, and so does one whose client takes no byte
//! of a response, no matter what hyper is doing. hyper's own timers are off.
//!
//! `stream`, `service` and `h2_streams` record times in [`ConnectionActivity`]: when a head began, when the
//! socket became blocked, when the last request ended. Whenever hyper has nothing to do, the [`Watchdog`]
//! works out from these times the one deadline that applies, and sets its only timer to it.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use tokio::time::{Instant, Sleep};

use crate::deadline::poll_due;
use crate::server::protocol::Protocol;
use crate::server::settings::ServerTimeouts;

/// The deadlines of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// From accept, or from the first byte of a later request, to the end of its head.
    pub(super) head: Duration,
    /// Longest time without a request.
    pub(super) idle: Duration,
    /// Longest time in which the client takes no byte of a response.
    pub(super) write: Duration,
    /// From the end of the last response until the client has closed its side.
    pub(super) linger: Duration,
}

impl From<&ServerTimeouts> for Deadlines {
    fn from(timeouts: &ServerTimeouts) -> Self {
        Self {
            head: timeouts.request_headers,
            idle: timeouts.keep_alive,
            write: timeouts.write,
            linger: Duration::from_secs(2),
        }
    }
}

/// The state of a connection, as its parts report it. Times count from accept.
#[derive(Debug)]
pub(super) struct ConnectionActivity {
    accepted: Instant,
    /// The number of requests whose response is not complete, and [`EVICTED`].
    open: AtomicU32,
    /// Wakes the connection's task when it is evicted or its request is cut.
    orders: AtomicWaker,
    /// The number of requests so far, and which of them is cut. Used on HTTP/1, where one follows another.
    begun: AtomicU32,
    cut: AtomicU32,
    /// Set (to any time) while a request's body has more to come. On HTTP/1 only.
    uploading: AtomicTime,
    /// Wakes the connection's task at the end of a request's body, so that it starts to watch the client. hyper
    /// does not wake it: the body may be read in another task.
    watcher: AtomicWaker,
    /// Since when no request is open.
    quiet: AtomicTime,
    /// Since when a head is being read: from accept, later from its first byte.
    head: AtomicTime,
    /// Since when the socket takes no byte.
    blocked: AtomicTime,
    /// Since when a client that closed its side has taken no byte.
    half_closed: AtomicTime,
    /// Since when our side of the connection is closed.
    closing: AtomicTime,
    /// Set (to any time) after an upgrade to another protocol.
    upgraded: AtomicTime,
}

/// The outcome of an eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eviction {
    /// The connection ends.
    Evicted,
    /// It has a request under way.
    Busy,
}

/// A bit in the count of open requests. In the same word, so that no request can begin unnoticed during an
/// eviction.
const EVICTED: u32 = 1 << 31;

/// The time that a head may take before the connection counts as idle. Less than the deadline of a head, because
/// connections that never send one must not block others.
const HEAD_GRACE: Duration = Duration::from_millis(100);

/// An optional time. Relaxed accesses are enough: what another task writes is published by a later release of `open`
/// for HTTP/2 streams, and of `watcher` for a request's body.
#[derive(Debug, Default)]
pub(super) struct AtomicTime(AtomicU64);

impl AtomicTime {
    pub(super) fn get(&self) -> Option<Duration> {
        self.0.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_micros)
    }

    pub(super) fn set(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.store(micros.saturating_add(1), Ordering::Relaxed);
    }

    pub(super) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

impl ConnectionActivity {
    pub(super) fn new(accepted: Instant) -> Self {
        let head = AtomicTime::default();
        head.set(Duration::ZERO);
        Self {
            accepted,
            open: AtomicU32::new(0),
            orders: AtomicWaker::new(),
            begun: AtomicU32::new(0),
            cut: AtomicU32::new(0),
            uploading: AtomicTime::default(),
            watcher: AtomicWaker::new(),
            quiet: AtomicTime::default(),
            head,
            blocked: AtomicTime::default(),
            half_closed: AtomicTime::default(),
            closing: AtomicTime::default(),
            upgraded: AtomicTime::default(),
        }
    }

    fn now(&self) -> Duration {
        self.accepted.elapsed()
    }

    fn is_busy(&self, order: Ordering) -> bool {
        self.open.load(order) & !EVICTED > 0
    }

    /// Since when the connection has had no request under way; `None` while it has one, while it waits for its
    /// client to read, while it ends, and once another protocol took over.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        if self.open.load(Ordering::Acquire) > 0 {
            return None;
        }
        if [&self.blocked, &self.closing, &self.upgraded].iter().any(|stamp| stamp.get().is_some())
        {
            return None;
        }
        let since = match self.head.get() {
            // Until a head is complete there is no request, however long its client takes.
            Some(since) if self.now() < since + HEAD_GRACE => return None,
            Some(since) => since,
            None => self.quiet.get().unwrap_or_default(),
        };
        Some(self.accepted + since)
    }

    /// Evicts an idle connection, unless a request has begun meanwhile.
    pub(super) fn evict(&self) -> Eviction {
        let idle = self.open.compare_exchange(0, EVICTED, Ordering::AcqRel, Ordering::Relaxed);
        if idle.is_err() || self.is_upgraded() {
            return Eviction::Busy;
        }
        self.orders.wake();
        Eviction::Evicted
    }

    /// Whether the connection is evicted.
    pub(super) fn is_evicted(&self) -> bool {
        self.open.load(Ordering::Acquire) & EVICTED > 0
    }

    /// The number of the latest request.
    pub(super) fn begun(&self) -> u32 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Cuts a request, and its connection with it, unless the request is over.
    pub(super) fn cut(&self, request: u32) {
        self.cut.store(request, Ordering::Release);
        self.orders.wake();
    }

    /// Whether the latest request is cut. True even after its response, because its body may still be under way.
    pub(super) fn is_cut(&self) -> bool {
        let cut = self.cut.load(Ordering::Acquire);
        cut > 0 && cut == self.begun()
    }

    /// Wakes a task when the connection is evicted or its request is cut.
    pub(super) fn on_orders(&self, waker: &Waker) {
        self.orders.register(waker);
    }

    /// Whether the next request's head is not complete.
    pub(super) fn awaits_head(&self) -> bool {
        self.head.get().is_some()
    }

    /// Records that a request's head is complete. Returns when the request began.
    pub(super) fn begin(&self) -> Duration {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.uploading.clear();
        let head = self.head.get();
        self.head.clear();
        // The first head is timed from accept, but a connection may be opened long before it is used.
        head.filter(|since| !since.is_zero()).unwrap_or_else(|| self.now())
    }

    /// Records that a response is complete or given up. Returns the duration of the request since `began`.
    pub(super) fn finish(&self, began: Duration) -> Duration {
        let now = self.now();
        self.quiet.set(now);
        self.open.fetch_sub(1, Ordering::Release);
        now.saturating_sub(began)
    }

    /// Records that the latest request has a body.
    pub(super) fn uploads(&self) {
        self.uploading.set(Duration::ZERO);
    }

    /// Records the end of that body.
    pub(super) fn uploaded(&self) {
        self.uploading.clear();
        self.watcher.wake();
    }

    /// Whether the request is complete and its response is not, so that hyper does not read. If the body has more
    /// to come, the calling task is woken at its end. On HTTP/1 only.
    pub(super) fn is_answering(&self, cx: &Context<'_>) -> bool {
        if !self.is_busy(Ordering::Relaxed) {
            return false;
        }
        if self.uploading.get().is_some() {
            self.watcher.register(cx.waker());
        }
        // Checked after registering: the end may have come meanwhile.
        self.uploading.get().is_none()
    }

    /// Records that bytes arrived.
    pub(super) fn received(&self, protocol: Protocol) {
        // On HTTP/2, bytes are not necessarily a request: a client that only sends pings is idle.
        if protocol == Protocol::Http1
            && self.head.get().is_none()
            && !self.is_busy(Ordering::Relaxed)
        {
            self.head.set(self.now());
        }
    }

    /// Records that the socket takes no byte.
    pub(super) fn blocked(&self) {
        if self.blocked.get().is_none() {
            self.blocked.set(self.now());
        }
    }

    /// Records that the socket has taken everything.
    pub(super) fn flushed(&self) {
        if self.blocked.get().is_some() {
            self.blocked.clear();
            self.quiet.set(self.now());
        }
    }

    /// Records that the socket took bytes.
    pub(super) fn wrote(&self) {
        self.flushed();
        if self.half_closed.get().is_some() {
            self.half_closed.set(self.now());
        }
    }

    /// Records that the client has closed its side: it waits for the response, or it is gone.
    pub(super) fn half_closed(&self) {
        self.half_closed.set(self.now());
    }

    /// Whether the client has closed its side.
    pub(super) fn is_half_closed(&self) -> bool {
        self.half_closed.get().is_some()
    }

    /// Records that our side is closed.
    pub(super) fn closing(&self) {
        self.closing.set(self.now());
    }

    /// Records the upgrade to another protocol. The deadlines end with it.
    pub(super) fn upgrade(&self) {
        self.upgraded.set(Duration::ZERO);
    }

    /// Whether the connection is upgraded to another protocol.
    pub(super) fn is_upgraded(&self) -> bool {
        self.upgraded.get().is_some()
    }
}

/// What to do with a connection at its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// It is idle: close it gracefully.
    Leave,
    /// Drop it.
    Cut,
}

/// Watches one connection's deadlines with one timer.
pub(super) struct Watchdog<'a> {
    activity: &'a ConnectionActivity,
    deadlines: Deadlines,
    protocol: Protocol,
    timer: Pin<&'a mut Sleep>,
    /// Since when the connection is closing gracefully.
    leaving: Option<Duration>,
    /// Since when it is evicted.
    evicted: Option<Duration>,
}

impl<'a> Watchdog<'a> {
    pub(super) fn new(
        activity: &'a ConnectionActivity,
        deadlines: Deadlines,
        protocol: Protocol,
        timer: Pin<&'a mut Sleep>,
    ) -> Self {
        Self { activity, deadlines, protocol, timer, leaving: None, evicted: None }
    }

    /// Starts the graceful close: from now on, an idle connection has little time left.
    pub(super) fn leave(&mut self) {
        self.leaving.get_or_insert_with(|| self.activity.now());
    }

    /// Starts the close after an eviction: the time left is very short, because another connection has the permit.
    pub(super) fn evict(&mut self) {
        self.evicted.get_or_insert_with(|| self.activity.now());
    }

    /// Ready at the connection's deadline. Polled whenever hyper has nothing to do.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Expiry> {
        let due = match self.evicted {
            Some(since) => Some((since + EVICTION_GRACE, Expiry::Cut)),
            None => due(self.activity, &self.deadlines, self.leaving),
        };
        if let Some((due, expiry)) = due {
            let due = self.activity.accepted + due;
            return poll_due(self.timer.as_mut(), due, cx).map(|()| expiry);
        }
        // An HTTP/2 response ends in its own task, which does not wake this one: so check again later.
        while self.protocol == Protocol::Http2 && self.timer.as_mut().poll(cx).is_ready() {
            self.timer.as_mut().reset(Instant::now() + self.deadlines.idle.max(CHECK_INTERVAL));
        }
        Poll::Pending
    }
}

/// The time that an evicted connection has to end: enough for a GOAWAY and the client's close. Listeners wait while
/// many of them are ending.
const EVICTION_GRACE: Duration = Duration::from_millis(250);

/// The shortest interval of these checks, in case `keep_alive` is zero.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The deadline that applies now; `None` while requests are open.
fn due(
    activity: &ConnectionActivity,
    deadlines: &Deadlines,
    leaving: Option<Duration>,
) -> Option<(Duration, Expiry)> {
    if let Some(since) = activity.closing.get() {
        return Some((since + deadlines.linger, Expiry::Cut));
    }
    if let Some(since) = activity.blocked.get() {
        return Some((since + deadlines.write, Expiry::Cut));
    }
    if activity.is_busy(Ordering::Acquire) {
        return activity.half_closed.get().map(|since| (since + deadlines.head, Expiry::Cut));
    }
    if let Some(since) = activity.head.get() {
        return Some((since + deadlines.head, Expiry::Cut));
    }
    let quiet = activity.quiet.get().unwrap_or_default();
    Some(match leaving {
        Some(since) => (quiet.max(since) + deadlines.linger, Expiry::Cut),
        None => (quiet + deadlines.idle, Expiry::Leave),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINES: Deadlines = Deadlines {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        write: Duration::from_secs(60),
        linger: Duration::from_secs(2),
    };

    #[track_caller]
    fn check(activity: &ConnectionActivity, expected: Option<(u64, Expiry)>) {
        let due = due(activity, &DEADLINES, None).map(|(due, expiry)| (due.as_secs(), expiry));
        assert_eq!(due, expected);
    }

    #[tokio::test]
    async fn first_head_is_due_from_accept() {
        let activity = ConnectionActivity::new(Instant::now());
        check(&activity, Some((10, Expiry::Cut)));
        activity.received(Protocol::Http1);
        check(&activity, Some((10, Expiry::Cut)));
    }

    #[tokio::test]
    async fn open_request_has_a_deadline_only_while_its_client_takes_nothing() {
        let activity = ConnectionActivity::new(Instant::now());
        activity.begin();
        check(&activity, None);
        activity.blocked();
        check(&activity, Some((60, Expiry::Cut)));
        activity.wrote();
        check(&activity, None);
        activity.half_closed();
        check(&activity, Some((10, Expiry::Cut)));
    }

    #[tokio::test]
    async fn connection_is_evicted_only_while_it_is_idle() {
        let activity = ConnectionActivity::new(Instant::now());
        assert_eq!(activity.idle_since(), None, "its first head may be under way");
        let activity = ConnectionActivity::new(Instant::now() - HEAD_GRACE);
        assert_eq!(activity.idle_since(), Some(activity.accepted));
        let began = activity.begin();
        assert_eq!((activity.idle_since(), activity.evict()), (None, Eviction::Busy));
        activity.finish(began);
        assert!(activity.idle_since().unwrap() >= activity.accepted + HEAD_GRACE);
        activity.blocked();
        assert_eq!(activity.idle_since(), None, "its client has not read the response");
        activity.flushed();
        assert_eq!(activity.evict(), Eviction::Evicted);
        assert!(activity.is_evicted() && activity.idle_since().is_none());
        assert_eq!(activity.evict(), Eviction::Busy, "it is evicted once");
        // A request that begins now is counted nevertheless.
        let began = activity.begin();
        check(&activity, None);
        activity.finish(began);
        assert!(activity.is_evicted() && !activity.is_busy(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn upgraded_connection_is_not_evicted() {
        let activity = ConnectionActivity::new(Instant::now());
        let began = activity.begin();
        activity.upgrade();
        activity.finish(began);
        assert_eq!((activity.idle_since(), activity.evict()), (None, Eviction::Busy));
    }

    #[tokio::test]
    async fn idle_connection_has_longer_than_a_begun_head() {
        let activity = ConnectionActivity::new(Instant::now());
        let began = activity.begin();
        activity.finish(began);
        check(&activity, Some((75, Expiry::Leave)));
        activity.received(Protocol::Http2);
        check(&activity, Some((75, Expiry::Leave)));
        activity.received(Protocol::Http1);
        check(&activity, Some((10, Expiry::Cut)));
    }
}
