//! One line per request.
//! Invariant: no query string, no header value but the host, and nothing of the body ever gets here.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::telemetry::metrics::RouteMeter;

/// What whoever answered knows of the request.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The route, by the handle that counts its requests; set where the route is found.
    pub route: Option<&'static RouteMeter>,
    /// What was decided, in one word.
    pub decision: Option<&'static str>,
    /// Why, where it was refused.
    pub reason: Option<Cow<'static, str>>,
    /// Who asked, where known.
    pub subject: Option<Arc<str>>,
}

/// All of one line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// As sent.
    pub method: &'a str,
    /// The effective host.
    pub host: &'a str,
    /// Without query.
    pub path: &'a str,
    /// 499 where the client left before its answer.
    pub status: u16,
    /// Of the answer's body, as far as it was handed over.
    pub bytes: u64,
    /// From the head's first byte until the answer was handed over.
    pub duration: Duration,
    /// The effective address.
    pub client: &'a str,
    /// The request's name.
    pub request_id: &'a str,
    /// What the answering side adds.
    pub outcome: &'a Outcome,
}

/// Writes a line, if anybody listens.
pub fn record(line: &Line<'_>) {
    let outcome = line.outcome;
    tracing::info!(
        target: "access",
        method = line.method,
        host = line.host,
        path = line.path,
        status = line.status,
        bytes = line.bytes,
        duration_us = u64::try_from(line.duration.as_micros()).unwrap_or(u64::MAX),
        client = line.client,
        request_id = line.request_id,
        route = outcome.route.map(RouteMeter::name),
        decision = outcome.decision,
        reason = outcome.reason.as_deref(),
        subject = outcome.subject.as_deref(),
    );
}
