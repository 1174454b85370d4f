//! Metrics for Prometheus.
//! Invariants: handles are resolved when a configuration is loaded. Counting a request takes no lock and writes to
//! no cache line of another worker. Label values come from the configuration and the program, never from a client.
//! `list` has the metrics, `label` the label values, `count` the counters, `exposition` the text.

mod count;
mod exposition;
mod label;
pub mod list;
mod process;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use exposition::{CONTENT_TYPE, Gauges};
pub use label::{Label, Limit, LogLine, ProviderEndpoint, Refresh, SignIn, SignOut, StatusClass};

use crate::lock::lock;
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::count::{Counts, Durations, Sharded};

/// All counters. They and their handles outlive every configuration, so a counter never decreases.
#[derive(Debug)]
pub struct Metrics {
    threads: usize,
    began: Sharded<AtomicU64>,
    routes: Handles<RouteMeter>,
    own: &'static RouteMeter,
    unrouted: &'static RouteMeter,
    providers: Handles<ProviderMeter>,
    sign_outs: Counts<SignOut>,
    limit_hits: Counts<Limit>,
    /// Rate limits of the log line for each limit.
    reported: [LogThrottle; Limit::ALL.len()],
    generation: AtomicU64,
}

/// Handles by name. They live as long as the process, like the few names of its configurations. So a handle is a
/// plain reference, without a reference count that all workers would share.
type Handles<T> = Mutex<BTreeMap<Arc<str>, &'static T>>;

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
        let (own, unrouted) =
            (RouteMeter::leak(OWN_PATHS, threads), RouteMeter::leak(NO_ROUTE, threads));
        let routes = [own, unrouted].map(|meter| (Arc::clone(&meter.name), meter));
        Self {
            threads,
            began: Sharded::new(threads),
            routes: Mutex::new(routes.into()),
            own,
            unrouted,
            providers: Mutex::default(),
            sign_outs: Counts::default(),
            limit_hits: Counts::default(),
            reported: Default::default(),
            generation: AtomicU64::new(0),
        }
    }

    /// The handle of a route, by its name in the configuration.
    pub fn route(&self, name: &Arc<str>) -> &'static RouteMeter {
        let mut routes = lock(&self.routes);
        routes.entry(Arc::clone(name)).or_insert_with(|| RouteMeter::leak(name, self.threads))
    }

    /// The handle for the endpoints of the gateway.
    pub fn own(&self) -> &'static RouteMeter {
        self.own
    }

    /// The handle for requests without a route.
    pub fn unrouted(&self) -> &'static RouteMeter {
        self.unrouted
    }

    /// The handle of a provider, by its ID in the configuration.
    pub fn provider(&self, id: &Arc<str>) -> &'static ProviderMeter {
        lock(&self.providers).entry(Arc::clone(id)).or_insert_with(|| ProviderMeter::leak(id))
    }

    /// Counts the start of a request. A call of [`RouteMeter::ended`] follows.
    pub fn request_began(&self) {
        self.began.mine().fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a sign-out.
    pub fn signed_out(&self, kind: SignOut) {
        self.sign_outs.count(kind);
    }

    /// Counts a loaded configuration.
    pub fn configured(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
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
    fn leak(name: &str, threads: usize) -> &'static Self {
        let (name, ended) = (name.into(), Sharded::new(threads));
        Box::leak(Box::new(Self { name, ended, denials: Mutex::default() }))
    }

    /// The route's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts a finished request.
    pub fn ended(&self, status: u16, took: Duration) {
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
    fn leak(id: &Arc<str>) -> &'static Self {
        Box::leak(Box::new(Self {
            id: Arc::clone(id),
            sign_ins: Counts::default(),
            refreshes: Counts::default(),
            group_failures: AtomicU64::new(0),
            requests: Default::default(),
        }))
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
