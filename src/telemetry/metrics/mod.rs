//! Metrics for Prometheus.
//! Invariants: handles are resolved when a configuration is loaded. Counting a request takes no lock and writes to
//! no cache line of another worker; only the request's handle of its route has a count that all workers share. Label
//! values come from the configuration and the program, never from a client.
//! A name has metrics while a configuration, or a request under way, has its handle. Two configurations that name the
//! same route share its counters, so that these do not fall when one replaces the other.
//! `list` has the metrics, `label` the label values, `count` the counters, `exposition` the text.

mod count;
mod exposition;
mod label;
pub mod list;
mod process;
mod session_store;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use exposition::{CONTENT_TYPE, Gauges};
pub use label::{
    Label, Limit, LogLine, ProviderEndpoint, Refresh, Reload, SignIn, SignOut, SnapshotOutcome,
    StatusClass, StoreOperation, StoreOutcome,
};
pub use session_store::StoreMeter;

use crate::clock::UnixTime;
use crate::lock::lock;
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::count::{Counts, Durations, Sharded};
use crate::weak_map::WeakMap;

/// All counters. They outlive every configuration; those of a name end with its last handle.
#[derive(Debug)]
pub struct Metrics {
    threads: usize,
    /// Requests that began less those that ended. It wraps below zero where a request ends on another thread.
    in_flight: Sharded<AtomicU64>,
    routes: WeakMap<Arc<str>, RouteMeter>,
    own: Arc<RouteMeter>,
    unrouted: Arc<RouteMeter>,
    providers: WeakMap<Arc<str>, ProviderMeter>,
    session_store: WeakMap<(), StoreMeter>,
    sign_outs: Counts<SignOut>,
    snapshots: Counts<SnapshotOutcome>,
    /// Seconds since 1970.
    snapshot_at: AtomicI64,
    snapshot_is_failing: AtomicBool,
    reloads: Counts<Reload>,
    limit_hits: Counts<Limit>,
    /// Rate limits of the log line for each limit.
    reported: [LogThrottle; Limit::ALL.len()],
    generation: AtomicU64,
}

/// Counts the requests of one route.
#[derive(Debug)]
pub struct RouteMeter {
    name: Arc<str>,
    ended: Sharded<Ended>,
    denials: Mutex<BTreeMap<Cow<'static, str>, u64>>,
}

#[derive(Debug, Default)]
struct Ended {
    statuses: Counts<StatusClass>,
    durations: Durations,
}

/// Counts sign-ins, refreshes and requests of one provider.
#[derive(Debug)]
pub struct ProviderMeter {
    id: Arc<str>,
    sign_ins: Counts<SignIn>,
    refreshes: Counts<Refresh>,
    group_failures: AtomicU64,
    /// In the order of [`ProviderEndpoint::ALL`].
    requests: [Durations; ProviderEndpoint::ALL.len()],
}

/// The `route` of the endpoints of the gateway.
pub const OWN_PATHS: &str = "(gateway)";
/// The `route` of requests without a route.
pub const NO_ROUTE: &str = "(none)";

impl Default for Metrics {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Metrics {
    /// New counters for `threads` threads that serve requests.
    pub fn new(threads: usize) -> Self {
        let routes = WeakMap::default();
        Self {
            threads,
            in_flight: Sharded::new(threads),
            own: RouteMeter::of(&routes, &OWN_PATHS.into(), threads),
            unrouted: RouteMeter::of(&routes, &NO_ROUTE.into(), threads),
            routes,
            providers: WeakMap::default(),
            session_store: WeakMap::default(),
            sign_outs: Counts::default(),
            snapshots: Counts::default(),
            snapshot_at: AtomicI64::new(0),
            snapshot_is_failing: AtomicBool::new(false),
            reloads: Counts::default(),
            limit_hits: Counts::default(),
            reported: Default::default(),
            generation: AtomicU64::new(0),
        }
    }

    /// The handle of a route, by its name in the configuration.
    pub fn route(&self, name: &Arc<str>) -> Arc<RouteMeter> {
        RouteMeter::of(&self.routes, name, self.threads)
    }

    /// The handle for the endpoints of the gateway.
    pub fn own(&self) -> &Arc<RouteMeter> {
        &self.own
    }

    /// The handle for requests without a route.
    pub fn unrouted(&self) -> &Arc<RouteMeter> {
        &self.unrouted
    }

    /// The handle of a provider, by its ID in the configuration.
    pub fn provider(&self, id: &Arc<str>) -> Arc<ProviderMeter> {
        self.providers.get_or_insert(Arc::clone(id), || ProviderMeter::new(id))
    }

    /// The handle of the server on which sessions are stored. Only while there is one, a scrape shows its metrics.
    pub fn session_store(&self) -> Arc<StoreMeter> {
        self.session_store.get_or_insert((), StoreMeter::new)
    }

    /// Counts the start of a request. A call of [`Self::request_ended`] follows.
    pub fn request_began(&self) {
        self.in_flight.mine().fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the end of a request, at its route if it has one.
    pub fn request_ended(&self, route: Option<&RouteMeter>, status: u16, took: Duration) {
        self.in_flight.mine().fetch_sub(1, Ordering::Relaxed);
        route.unwrap_or(&self.unrouted).ended(status, took);
    }

    /// The requests under way. A sum that is read while requests move between threads can be off by these.
    fn in_flight(&self) -> i64 {
        let counts = self.in_flight.all().map(|count| count.load(Ordering::Relaxed));
        counts.fold(0, u64::wrapping_add).cast_signed().max(0)
    }

    /// Counts a sign-out.
    pub fn signed_out(&self, kind: SignOut) {
        self.sign_outs.count(kind);
    }

    /// Counts a written snapshot.
    pub fn snapshot_written(&self, UnixTime(at): UnixTime) {
        self.snapshots.count(SnapshotOutcome::Success);
        self.snapshot_at.store(at, Ordering::Relaxed);
        self.snapshot_is_failing.store(false, Ordering::Relaxed);
    }

    /// Counts a snapshot that could not be written.
    pub fn snapshot_failed(&self) {
        self.snapshots.count(SnapshotOutcome::Failure);
        self.snapshot_is_failing.store(true, Ordering::Relaxed);
    }

    /// Whether the last attempt to write a snapshot failed.
    pub fn is_snapshot_failing(&self) -> bool {
        self.snapshot_is_failing.load(Ordering::Relaxed)
    }

    /// Counts a configuration that takes effect. Returns how many did, with it.
    pub fn configured(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts a reload.
    pub fn reloaded(&self, outcome: Reload) {
        self.reloads.count(outcome);
    }

    /// Counts a reached limit, and logs it with a rate limit.
    pub fn limit_hit(&self, limit: Limit, detail: impl fmt::Display) {
        let hits = self.limit_hits.count(limit) + 1;
        if self.reported.get(limit.place()).is_some_and(LogThrottle::allow) {
            tracing::warn!(limit = limit.as_str(), hits, "limit reached: {detail}");
        }
    }
}

impl RouteMeter {
    fn of(routes: &WeakMap<Arc<str>, Self>, name: &Arc<str>, threads: usize) -> Arc<Self> {
        routes.get_or_insert(Arc::clone(name), || Self {
            name: Arc::clone(name),
            ended: Sharded::new(threads),
            denials: Mutex::default(),
        })
    }

    /// The route's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn ended(&self, status: u16, took: Duration) {
        let ended = self.ended.mine();
        ended.statuses.count(StatusClass::of(status));
        ended.durations.record(took);
    }

    /// Counts a denied request. `reason` has only words of the program.
    pub fn denied(&self, reason: Cow<'static, str>) {
        *lock(&self.denials).entry(reason).or_default() += 1;
    }
}

impl ProviderMeter {
    fn new(id: &Arc<str>) -> Self {
        Self {
            id: Arc::clone(id),
            sign_ins: Counts::default(),
            refreshes: Counts::default(),
            group_failures: AtomicU64::new(0),
            requests: Default::default(),
        }
    }

    /// Counts a finished sign-in.
    pub fn signed_in(&self, outcome: SignIn) {
        self.sign_ins.count(outcome);
    }

    /// Counts a finished refresh.
    pub fn refreshed(&self, outcome: Refresh) {
        self.refreshes.count(outcome);
    }

    fn group_failures(&self) -> u64 {
        self.group_failures.load(Ordering::Relaxed)
    }

    /// Counts a failure to fetch a user's groups.
    pub fn groups_failed(&self) {
        self.group_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request to the provider that has ended.
    pub fn requested(&self, endpoint: ProviderEndpoint, took: Duration) {
        if let Some(durations) = self.requests.get(endpoint.place()) {
            durations.record(took);
        }
    }
}

#[cfg(test)]
mod tests;
