//! The list of all metrics: name, type, labels, meaning.
//! Invariant: a scrape shows these and nothing else; the README has the same list, held by a test.

use prometheus_client::metrics::MetricType::{self, Counter, Gauge, Histogram};

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name with all that its type adds, but without `portcullis_`.
    pub name: &'static str,
    pub(super) kind: MetricType,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// All of them.
pub const ALL: [Metric; 17] = [
    REQUESTS,
    REQUEST_DURATION,
    REQUESTS_IN_FLIGHT,
    CONNECTIONS,
    DENIALS,
    SESSIONS,
    SIGN_INS,
    REFRESHES,
    SIGN_OUTS,
    PROVIDER_UP,
    PROVIDER_REQUEST_DURATION,
    UPSTREAM_CONNECTIONS,
    LIMIT_HITS,
    CERTIFICATE_EXPIRY,
    CONFIG_GENERATION,
    LOG_LINES_LOST,
    BUILD_INFO,
];

pub(super) const REQUESTS: Metric = metric(
    "requests_total",
    Counter,
    &["route", "status"],
    "Requests that ended, by route and class of status",
);

pub(super) const REQUEST_DURATION: Metric = metric(
    "request_duration_seconds",
    Histogram,
    &["route"],
    "From the first byte of a request to the last of its answer",
);

pub(super) const REQUESTS_IN_FLIGHT: Metric =
    metric("requests_in_flight", Gauge, &[], "Requests whose answer is under way");

pub(super) const CONNECTIONS: Metric =
    metric("connections", Gauge, &[], "Open connections of clients");

pub(super) const DENIALS: Metric = metric(
    "denials_total",
    Counter,
    &["route", "reason"],
    "Requests that the rules refused, by the keys that failed",
);

pub(super) const SESSIONS: Metric = metric("sessions", Gauge, &[], "Signed-in browsers");

pub(super) const SIGN_INS: Metric =
    metric("sign_ins_total", Counter, &["provider", "outcome"], "Sign-ins that ended");

pub(super) const REFRESHES: Metric =
    metric("refreshes_total", Counter, &["provider", "outcome"], "Refreshes of sessions");

pub(super) const SIGN_OUTS: Metric =
    metric("sign_outs_total", Counter, &["kind"], "Sessions that were signed out");

pub(super) const PROVIDER_UP: Metric = metric(
    "provider_up",
    Gauge,
    &["provider"],
    "Whether a provider is known and has answered when it was last asked",
);

pub(super) const PROVIDER_REQUEST_DURATION: Metric = metric(
    "provider_request_duration_seconds",
    Histogram,
    &["provider", "endpoint"],
    "Requests to a provider, failed ones too",
);

pub(super) const UPSTREAM_CONNECTIONS: Metric = metric(
    "upstream_connections",
    Gauge,
    &["upstream", "state"],
    "Open connections to an upstream, idle or busy",
);

pub(super) const LIMIT_HITS: Metric =
    metric("limit_hits_total", Counter, &["limit"], "How often a bound was met");

pub(super) const CERTIFICATE_EXPIRY: Metric = metric(
    "certificate_expiry_timestamp_seconds",
    Gauge,
    &["name"],
    "Until when a certificate is good",
);

pub(super) const CONFIG_GENERATION: Metric =
    metric("config_generation", Gauge, &[], "How many configurations were put to work so far");

pub(super) const LOG_LINES_LOST: Metric =
    metric("log_lines_lost_total", Counter, &["kind"], "Log lines that could not be written");

pub(super) const BUILD_INFO: Metric =
    metric("build_info", Gauge, &["version"], "Always 1; the version is in the label");

const fn metric(
    name: &'static str,
    kind: MetricType,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind, labels, help }
}
