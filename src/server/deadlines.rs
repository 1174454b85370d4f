//! How long a connection may take: what its parts report, and the keeper that ends it.
//! Invariant: whatever hyper is doing, a connection without an open request ends at a deadline, and so does
//! one whose client takes nothing of its answer. hyper's own timers stay off.

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
    /// From accept, or from a later request's first byte, to the end of its head.
    pub(super) head: Duration,
    /// Without a request.
    pub(super) idle: Duration,
    /// With bytes to send and none taken.
    pub(super) write: Duration,
    /// From our last byte until the client has closed, too.
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

/// What the parts of one connection report while it lives. Times count from accept.
#[derive(Debug)]
pub(super) struct ConnectionActivity {
    accepted: Instant,
    /// Requests whose answer has not been handed over, and [`EVICTED`].
    open: AtomicU32,
    /// The connection's task, which has to hear that it is evicted or its request cut.
    orders: AtomicWaker,
    /// Requests that have begun so far, and which of them is cut. On HTTP/1, where one follows another.
    begun: AtomicU32,
    cut: AtomicU32,
    /// Set to any time while a request's body has more to come. On HTTP/1 only.
    uploading: AtomicTime,
    /// The connection's task, while it waits for the end of a request's body: only then is there somebody to
    /// watch, and hyper need not hear of an end that the body's reader meets in a task of its own.
    watcher: AtomicWaker,
    /// Since when no request is open.
    quiet: AtomicTime,
    /// Since when a head is being read: from accept, later from its first byte.
    head: AtomicTime,
    /// Since when the socket takes no byte.
    blocked: AtomicTime,
    /// Since when a client that closed its side has taken no byte.
    half_closed: AtomicTime,
    /// Since when we have said all.
    closing: AtomicTime,
    /// Set to any time once another protocol took over.
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

/// Set in the count of open requests: one word, so that no request begins unseen while a connection is evicted.
const EVICTED: u32 = 1 << 31;

/// For how long a head may be under way before the connection counts as idle: less than the deadline of a head,
/// because connections that never send one must not keep others out.
const HEAD_GRACE: Duration = Duration::from_millis(100);

/// A time, or none. Who else than the connection's task sets or reads it orders that by something beside: by
/// `open` for HTTP/2's streams, by `watcher` for a request's body.
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

    /// Tells an idle connection to end, unless a request has begun meanwhile.
    pub(super) fn evict(&self) -> Eviction {
        let idle = self.open.compare_exchange(0, EVICTED, Ordering::AcqRel, Ordering::Relaxed);
        if idle.is_err() || self.is_upgraded() {
            return Eviction::Busy;
        }
        self.orders.wake();
        Eviction::Evicted
    }

    /// Whether the connection has been told to end to make room for another.
    pub(super) fn is_evicted(&self) -> bool {
        self.open.load(Ordering::Acquire) & EVICTED > 0
    }

    /// The number of the request that has begun last.
    pub(super) fn begun(&self) -> u32 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Tells the connection to drop a request, unless it has ended: with all that the connection has.
    pub(super) fn cut(&self, request: u32) {
        self.cut.store(request, Ordering::Release);
        self.orders.wake();
    }

    /// Whether the latest request is to be dropped. Also where it has its answer: its body may still be
    /// under way.
    pub(super) fn is_cut(&self) -> bool {
        let cut = self.cut.load(Ordering::Acquire);
        cut > 0 && cut == self.begun()
    }

    /// Wakes a task when the connection is evicted or its request cut.
    pub(super) fn on_orders(&self, waker: &Waker) {
        self.orders.register(waker);
    }

    /// Whether a request's head is awaited, or under way.
    pub(super) fn awaits_head(&self) -> bool {
        self.head.get().is_some()
    }

    /// A request's head is complete. Returns when the request began.
    pub(super) fn begin(&self) -> Duration {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.uploading.clear();
        let head = self.head.get();
        self.head.clear();
        // The first head is timed from accept, but a connection may be opened long before it is used.
        head.filter(|since| !since.is_zero()).unwrap_or_else(|| self.now())
    }

    /// An answer is handed over, or given up. Returns how long the request took since `began`.
    pub(super) fn finish(&self, began: Duration) -> Duration {
        let now = self.now();
        self.quiet.set(now);
        self.open.fetch_sub(1, Ordering::Release);
        now.saturating_sub(began)
    }

    /// The request that began has a body.
    pub(super) fn uploads(&self) {
        self.uploading.set(Duration::ZERO);
    }

    /// Its body has come to its end.
    pub(super) fn uploaded(&self) {
        self.uploading.clear();
        self.watcher.wake();
    }

    /// Whether the whole request is here and its answer is not: nothing else is to be read. Where its body has
    /// more to come, the asking task is woken at the end of that. On HTTP/1 only.
    pub(super) fn is_answering(&self, cx: &Context<'_>) -> bool {
        if !self.is_busy(Ordering::Relaxed) {
            return false;
        }
        if self.uploading.get().is_some() {
            self.watcher.register(cx.waker());
        }
        // Asked after that, for the end may have come meanwhile.
        self.uploading.get().is_none()
    }

    /// Bytes came.
    pub(super) fn heard(&self, protocol: Protocol) {
        // On HTTP/2 bytes need not be a request: a client that only pings is idle.
        if protocol == Protocol::Http1
            && self.head.get().is_none()
            && !self.is_busy(Ordering::Relaxed)
        {
            self.head.set(self.now());
        }
    }

    /// The socket takes no byte.
    pub(super) fn blocked(&self) {
        if self.blocked.get().is_none() {
            self.blocked.set(self.now());
        }
    }

    /// The socket has taken what there was.
    pub(super) fn flushed(&self) {
        if self.blocked.get().is_some() {
            self.blocked.clear();
            self.quiet.set(self.now());
        }
    }

    /// The socket took bytes.
    pub(super) fn wrote(&self) {
        self.flushed();
        if self.half_closed.get().is_some() {
            self.half_closed.set(self.now());
        }
    }

    /// The client has closed its side: it waits for its answer, or it is gone.
    pub(super) fn half_closed(&self) {
        self.half_closed.set(self.now());
    }

    /// Whether the client has closed its side.
    pub(super) fn is_half_closed(&self) -> bool {
        self.half_closed.get().is_some()
    }

    /// Our side is closed.
    pub(super) fn closing(&self) {
        self.closing.set(self.now());
    }

    /// Another protocol takes over, and with it these deadlines end.
    pub(super) fn upgrade(&self) {
        self.upgraded.set(Duration::ZERO);
    }

    /// Whether another protocol has taken over.
    pub(super) fn is_upgraded(&self) -> bool {
        self.upgraded.get().is_some()
    }
}

/// What to do with a connection whose time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Nobody uses it: say so, then close.
    Leave,
    /// Drop it as it stands.
    Cut,
}

/// Watches one connection's deadlines with one timer.
pub(super) struct Watchdog<'a> {
    activity: &'a ConnectionActivity,
    deadlines: Deadlines,
    protocol: Protocol,
    timer: Pin<&'a mut Sleep>,
    /// Since when the connection has been told to end.
    leaving: Option<Duration>,
    /// The same, where another connection has its place already.
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

    /// The connection has been told to end: idle, it now has little time left.
    pub(super) fn leave(&mut self) {
        self.leaving.get_or_insert_with(|| self.activity.now());
    }

    /// The connection has been told to end, and another one has its place: it has hardly any time left.
    pub(super) fn evict(&mut self) {
        self.evicted.get_or_insert_with(|| self.activity.now());
    }

    /// Ready when the connection's time is up; asked whenever hyper has nothing to do.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Expiry> {
        let due = match self.evicted {
            Some(since) => Some((since + FAREWELL, Expiry::Cut)),
            None => due(self.activity, &self.deadlines, self.leaving),
        };
        if let Some((due, expiry)) = due {
            let due = self.activity.accepted + due;
            return poll_due(self.timer.as_mut(), due, cx).map(|()| expiry);
        }
        // An HTTP/2 answer ends in its own task, after this one last looked: so look again later.
        while self.protocol == Protocol::Http2 && self.timer.as_mut().poll(cx).is_ready() {
            self.timer.as_mut().reset(Instant::now() + self.deadlines.idle.max(LOOK));
        }
        Poll::Pending
    }
}

/// How long an evicted connection may take to end: enough for a GOAWAY and its answer. Too many of them at a time
/// hold up the listeners.
const FAREWELL: Duration = Duration::from_millis(250);

/// How soon an HTTP/2 connection may be looked at again: with no patience for idle ones it would be always.
const LOOK: Duration = Duration::from_secs(1);

/// When a connection's time is up, as things stand; `None` while requests are open.
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

    const PATIENCE: Deadlines = Deadlines {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        write: Duration::from_secs(60),
        linger: Duration::from_secs(2),
    };

    #[track_caller]
    fn check(activity: &ConnectionActivity, expected: Option<(u64, Expiry)>) {
        let due = due(activity, &PATIENCE, None).map(|(due, expiry)| (due.as_secs(), expiry));
        assert_eq!(due, expected);
    }

    #[tokio::test]
    async fn the_first_head_is_due_from_accept() {
        let activity = ConnectionActivity::new(Instant::now());
        check(&activity, Some((10, Expiry::Cut)));
        activity.heard(Protocol::Http1);
        check(&activity, Some((10, Expiry::Cut)));
    }

    #[tokio::test]
    async fn an_open_request_has_no_deadline_unless_its_client_takes_nothing() {
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
        assert_eq!(activity.idle_since(), None, "its first head may be on its way");
        let activity = ConnectionActivity::new(Instant::now() - HEAD_GRACE);
        assert_eq!(activity.idle_since(), Some(activity.accepted));
        let began = activity.begin();
        assert_eq!((activity.idle_since(), activity.evict()), (None, Eviction::Busy));
        activity.finish(began);
        assert!(activity.idle_since().unwrap() >= activity.accepted + HEAD_GRACE);
        activity.blocked();
        assert_eq!(activity.idle_since(), None, "its client still reads");
        activity.flushed();
        assert_eq!(activity.evict(), Eviction::Evicted);
        assert!(activity.is_evicted() && activity.idle_since().is_none());
        assert_eq!(activity.evict(), Eviction::Busy, "one place is given away once");
        // A request that begins now is counted as ever.
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
    async fn an_idle_connection_may_wait_but_a_begun_head_may_not() {
        let activity = ConnectionActivity::new(Instant::now());
        let began = activity.begin();
        activity.finish(began);
        check(&activity, Some((75, Expiry::Leave)));
        activity.heard(Protocol::Http2);
        check(&activity, Some((75, Expiry::Leave)));
        activity.heard(Protocol::Http1);
        check(&activity, Some((10, Expiry::Cut)));
    }
}
