//! The list of all metrics: name, type, labels, meaning.
//! Invariant: a scrape shows exactly these, those of `session_store` only where sessions are on a server. The README has the same list, as a test checks.
//! A new metric is a row here, a counter in `Metrics` or a gauge in `Gauges`, its line in `exposition`, its label values
//! in `label`, and a row in the README.

use prometheus_client::metrics::MetricType::{self, Counter, Gauge, Histogram};

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name with the suffix of its type; in [`ALL`] without `portcullis_`.
    pub name: &'static str,
    pub(super) kind: MetricType,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// Its help text.
    pub help: &'static str,
}

/// All metrics of the gateway.
pub const ALL: [Metric; 24] = [
    REQUESTS,
    REQUEST_DURATION,
    REQUESTS_IN_FLIGHT,
    CONNECTIONS,
    DENIALS,
    SESSIONS,
    SIGN_INS,
    REFRESHES,
    GROUP_FAILURES,
    SIGN_OUTS,
    SESSION_SNAPSHOTS,
    SESSION_SNAPSHOT_TIME,
    SESSION_STORE_UP,
    SESSION_STORE_EVICTS,
    SESSION_STORE_OPERATIONS,
    PROVIDER_UP,
    PROVIDER_REQUEST_DURATION,
    UPSTREAM_CONNECTIONS,
    LIMIT_HITS,
    CERTIFICATE_EXPIRY,
    CONFIG_RELOADS,
    CONFIG_GENERATION,
    LOG_LINES_LOST,
    BUILD_INFO,
];

/// Metrics of the process. Their names are those of Prometheus client libraries, and have no prefix.
pub const PROCESS: [Metric; 7] =
    [CPU_SECONDS, RESIDENT_MEMORY, VIRTUAL_MEMORY, THREADS, START_TIME, OPEN_FILES, MAX_FILES];

pub(super) const REQUESTS: Metric = metric(
    "requests_total",
    Counter,
    &["route", "status"],
    "Finished requests, by route and status class",
);

pub(super) const REQUEST_DURATION: Metric = metric(
    "request_duration_seconds",
    Histogram,
    &["route"],
    "Time from the start of a request to the last byte of its response",
);

pub(super) const REQUESTS_IN_FLIGHT: Metric =
    metric("requests_in_flight", Gauge, &[], "Requests in progress");

pub(super) const CONNECTIONS: Metric = metric("connections", Gauge, &[], "Open client connections");

pub(super) const DENIALS: Metric = metric(
    "denials_total",
    Counter,
    &["route", "reason"],
    "Requests denied by rules, by the rule keys that did not match",
);

pub(super) const SESSIONS: Metric = metric("sessions", Gauge, &[], "Sessions");

pub(super) const SIGN_INS: Metric =
    metric("sign_ins_total", Counter, &["provider", "outcome"], "Finished sign-ins, by outcome");

pub(super) const REFRESHES: Metric =
    metric("refreshes_total", Counter, &["provider", "outcome"], "Token refreshes, by outcome");

pub(super) const GROUP_FAILURES: Metric = metric(
    "group_failures_total",
    Counter,
    &["provider"],
    "Failures to fetch the groups of a user from the provider's API",
);

pub(super) const SIGN_OUTS: Metric = metric("sign_outs_total", Counter, &["kind"], "Sign-outs");

pub(super) const SESSION_SNAPSHOTS: Metric = metric(
    "session_snapshots_total",
    Counter,
    &["outcome"],
    "Attempts to write session.snapshot, and failures to record a session that ended",
);

pub(super) const SESSION_SNAPSHOT_TIME: Metric = metric(
    "session_snapshot_timestamp_seconds",
    Gauge,
    &[],
    "When session.snapshot was last written; 0 if not since the start",
);

pub(super) const SESSION_STORE_UP: Metric = metric(
    "session_store_up",
    Gauge,
    &[],
    "Whether there is a connection to the server on which sessions are stored",
);

pub(super) const SESSION_STORE_EVICTS: Metric = metric(
    "session_store_evicts",
    Gauge,
    &[],
    "Whether that server may remove sessions when its memory is full",
);

pub(super) const SESSION_STORE_OPERATIONS: Metric = metric(
    "session_store_operations_total",
    Counter,
    &["operation", "outcome"],
    "Operations on that server, by outcome",
);

pub(super) const PROVIDER_UP: Metric = metric(
    "provider_up",
    Gauge,
    &["provider"],
    "Whether the metadata of a provider is known and the last request to it was answered",
);

pub(super) const PROVIDER_REQUEST_DURATION: Metric = metric(
    "provider_request_duration_seconds",
    Histogram,
    &["provider", "endpoint"],
    "Time of requests to a provider, including failed ones",
);

pub(super) const UPSTREAM_CONNECTIONS: Metric = metric(
    "upstream_connections",
    Gauge,
    &["upstream", "state"],
    "Open connections to an upstream, idle or busy",
);

pub(super) const LIMIT_HITS: Metric =
    metric("limit_hits_total", Counter, &["limit"], "How often a limit was reached");

pub(super) const CERTIFICATE_EXPIRY: Metric =
    metric("certificate_expiry_timestamp_seconds", Gauge, &["name"], "When a certificate expires");

pub(super) const CONFIG_RELOADS: Metric =
    metric("config_reloads_total", Counter, &["outcome"], "Reloads of the configuration");

pub(super) const CONFIG_GENERATION: Metric =
    metric("config_generation", Gauge, &[], "Number of configurations loaded since the start");

pub(super) const LOG_LINES_LOST: Metric =
    metric("log_lines_lost_total", Counter, &["kind"], "Lost log lines");

pub(super) const BUILD_INFO: Metric =
    metric("build_info", Gauge, &["version"], "Always 1, with the version as a label");

pub(super) const CPU_SECONDS: Metric =
    metric("process_cpu_seconds_total", Counter, &[], "User and system CPU time in seconds");

pub(super) const RESIDENT_MEMORY: Metric =
    metric("process_resident_memory_bytes", Gauge, &[], "Resident memory in bytes");

pub(super) const VIRTUAL_MEMORY: Metric =
    metric("process_virtual_memory_bytes", Gauge, &[], "Virtual memory in bytes");

pub(super) const THREADS: Metric = metric("process_threads", Gauge, &[], "Threads");

pub(super) const START_TIME: Metric = metric(
    "process_start_time_seconds",
    Gauge,
    &[],
    "Start time of the process, in seconds since 1970",
);

pub(super) const OPEN_FILES: Metric =
    metric("process_open_fds", Gauge, &[], "Open file descriptors");

pub(super) const MAX_FILES: Metric =
    metric("process_max_fds", Gauge, &[], "Limit of open file descriptors");

const fn metric(
    name: &'static str,
    kind: MetricType,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind, labels, help }
}
