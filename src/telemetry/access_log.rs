//! The access log: one line per request.
//! Invariant: no line has a query string, a header value except the host, or any part of a body.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use tracing::level_filters::LevelFilter;

use crate::telemetry::LogFormat;
use crate::telemetry::audit::DeniedClaims;
use crate::telemetry::json::{Json, Members, key};
use crate::telemetry::metrics::{LogLine, RouteMeter};
use crate::telemetry::target::ACCESS;
use crate::telemetry::writer::Lines;

/// What the handler of the request adds to its line.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The decision.
    pub decision: Option<LoggedDecision>,
    /// Why the request was denied or rejected, or its response ended early.
    pub reason: Option<Cow<'static, str>>,
    /// The `sub` of the user, if known.
    pub subject: Option<Arc<str>>,
    /// The claims because of which the rules may have denied the request. Boxed, because that is rare.
    pub claims: Option<Box<DeniedClaims>>,
    /// The status that the visitor gets, where that of the response is another one: a denial over gRPC is a call that
    /// succeeds.
    pub visitor_status: Option<StatusCode>,
}

impl Outcome {
    fn absent_claims(&self) -> Option<&str> {
        self.claims.as_ref()?.absent.as_deref()
    }

    fn incomplete_claims(&self) -> Option<&str> {
        self.claims.as_ref()?.incomplete.as_deref()
    }
}

/// The decision on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggedDecision {
    /// The rules allow it. It was forwarded, or its auth subrequest was allowed.
    Allow,
    /// The rules deny it.
    Deny,
    /// The visitor must sign in first.
    SignIn,
    /// The request was rejected, or the gateway, the provider or the upstream failed.
    Error,
}

impl LoggedDecision {
    /// The word in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::SignIn => "sign_in",
            Self::Error => "error",
        }
    }
}

/// The content of one line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The method, a token (RFC 9110 §9.1), as received.
    pub method: &'a str,
    /// The effective host. It has only characters of names and addresses.
    pub host: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// The status; 499 if the client disconnected before the response.
    pub status: u16,
    /// Bytes of the response body that were sent.
    pub bytes: u64,
    /// From the first byte of the request until the response was sent.
    pub duration: Duration,
    /// The effective client address.
    pub client: &'a str,
    /// The request ID.
    pub request_id: &'a str,
    /// The route, as the handle that counts its requests.
    pub route: Option<&'a RouteMeter>,
    /// What the handler adds.
    pub outcome: &'a Outcome,
}

/// Where lines are written directly, once the log has started. An event per line would double its cost.
static DIRECT: OnceLock<(Json, Lines)> = OnceLock::new();
/// Whether they are, now.
static IS_DIRECT: AtomicBool = AtomicBool::new(false);

/// Lets lines be written directly to the log. Only the first call has an effect.
pub(super) fn can_write_directly(json: Json, lines: Lines) {
    // Fails if another log has started first, which then gets the lines.
    drop(DIRECT.set((json, lines)));
}

/// Follows the format and the level of the log.
pub(super) fn follow(format: LogFormat, level: LevelFilter) {
    IS_DIRECT.store(is_direct(format, level), Ordering::Relaxed);
}

/// Whether lines need no event: its format is JSON, and its level is logged.
fn is_direct(format: LogFormat, level: LevelFilter) -> bool {
    match format {
        LogFormat::Json => level >= LevelFilter::INFO,
        LogFormat::Text => false,
    }
}

/// Writes a line, if the log has started.
pub fn record(line: &Line<'_>) {
    match DIRECT.get().filter(|_| IS_DIRECT.load(Ordering::Relaxed)) {
        Some((json, lines)) => {
            json.line(
                "INFO",
                ACCESS,
                |members| line.write_to(members),
                |text| lines.add(KIND, text),
            );
        }
        None => line.event(),
    }
}

impl Line<'_> {
    /// The members of [`Self::event`], in the same order.
    fn write_to(&self, members: &mut Members<'_>) {
        // `plain` members need no escapes: a method is a token, host and address are checked, the others come
        // from the program.
        members.plain(key!("method"), self.method);
        members.plain(key!("host"), self.host);
        members.text(key!("path"), self.path);
        members.number(key!("status"), self.status);
        members.number(key!("bytes"), self.bytes);
        members.number(key!("duration_us"), self.duration_us());
        members.plain(key!("client"), self.client);
        members.plain(key!("request_id"), self.request_id);
        let outcome = self.outcome;
        if let Some(route) = self.route {
            members.text(key!("route"), route.name());
        }
        if let Some(decision) = outcome.decision {
            members.plain(key!("decision"), decision.as_str());
        }
        if let Some(reason) = &outcome.reason {
            members.text(key!("reason"), reason);
        }
        if let Some(claims) = outcome.absent_claims() {
            members.text(key!("absent_claims"), claims);
        }
        if let Some(claims) = outcome.incomplete_claims() {
            members.text(key!("incomplete_claims"), claims);
        }
        if let Some(subject) = &outcome.subject {
            members.text(key!("subject"), subject);
        }
    }

    fn event(&self) {
        let outcome = self.outcome;
        tracing::info!(
            target: ACCESS,
            method = self.method,
            host = self.host,
            path = self.path,
            status = self.status,
            bytes = self.bytes,
            duration_us = self.duration_us(),
            client = self.client,
            request_id = self.request_id,
            route = self.route.map(RouteMeter::name),
            decision = outcome.decision.map(LoggedDecision::as_str),
            reason = outcome.reason.as_deref(),
            absent_claims = outcome.absent_claims(),
            incomplete_claims = outcome.incomplete_claims(),
            subject = outcome.subject.as_deref(),
        );
    }

    fn duration_us(&self) -> u64 {
        u64::try_from(self.duration.as_micros()).unwrap_or(u64::MAX)
    }
}

const KIND: LogLine = LogLine::Access;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::clock::Clock;
    use crate::telemetry::json::tests::logged;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn lines_are_written_directly_as_json_if_their_level_is_logged() {
        assert!(is_direct(LogFormat::Json, LevelFilter::INFO));
        assert!(is_direct(LogFormat::Json, LevelFilter::TRACE));
        assert!(!is_direct(LogFormat::Json, LevelFilter::WARN));
        assert!(!is_direct(LogFormat::Text, LevelFilter::INFO));
    }

    #[test]
    fn line_is_the_same_written_directly_and_as_event() {
        let outcome = Outcome {
            decision: Some(LoggedDecision::Deny),
            reason: Some("\u{e4}".repeat(9000).into()),
            subject: Some("\"".repeat(9000).into()),
            claims: Some(Box::new(DeniedClaims {
                absent: Some("groups, /realm_access/\"roles\"".into()),
                incomplete: Some("roles".into()),
            })),
            visitor_status: None,
        };
        let route = Metrics::default().route(&"wiki".into());
        let line = Line {
            method: "GET",
            host: "wiki.example",
            path: &format!("/\"{}", "x".repeat(300)),
            status: 403,
            bytes: 7,
            duration: Duration::from_millis(2),
            client: "192.0.2.1",
            request_id: "r-1",
            route: Some(&route),
            outcome: &outcome,
        };
        for line in [line, Line { route: None, outcome: &Outcome::default(), ..line }] {
            let json = Json::new(Clock::system());
            let direct = json.line("INFO", ACCESS, |members| line.write_to(members), str::to_owned);
            let mut both: [Value; 2] =
                [logged(|| line.event()), serde_json::from_str(&direct).unwrap()];
            for line in &mut both {
                line.as_object_mut().unwrap().remove("timestamp").unwrap();
            }
            assert_eq!(both[0].to_string(), both[1].to_string());
            assert!(direct.len() < 2500, "{direct}");
        }
    }
}
