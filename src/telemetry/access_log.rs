//! One line per request.
//! Invariant: no query string, no header value but the host, and nothing of the body ever gets here.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::telemetry::json::{Json, Members, key};
use crate::telemetry::metrics::{LogLine, RouteMeter};
use crate::telemetry::target::ACCESS;
use crate::telemetry::writer::Lines;

/// What whoever answered knows of the request.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The route, by the handle that counts its requests; set where the route is found.
    pub route: Option<&'static RouteMeter>,
    /// What was decided.
    pub decision: Option<LoggedDecision>,
    /// Why, where it was refused or its answer was cut short.
    pub reason: Option<Cow<'static, str>>,
    /// Who asked, where known.
    pub subject: Option<Arc<str>>,
}

/// What was decided on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggedDecision {
    /// The rules allow it: it was forwarded, or the proxy that asked was answered so.
    Allow,
    /// The rules deny it.
    Deny,
    /// The visitor has to sign in first.
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

/// All of one line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// A token (RFC 9110 §9.1), as sent.
    pub method: &'a str,
    /// The effective host, of the characters of a name or an address.
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

/// Where lines go straight to, once the log has started as JSON: there are so many of them that the way
/// through an event would double their price.
static STRAIGHT: OnceLock<(Json, Lines)> = OnceLock::new();

/// Lets the lines go straight to where the log goes. Only the first call counts.
pub(super) fn go_straight(json: Json, lines: Lines) {
    // Fails where another log started first, which has the process's lines then.
    drop(STRAIGHT.set((json, lines)));
}

/// Writes a line, if anybody listens.
pub fn record(line: &Line<'_>) {
    match STRAIGHT.get() {
        Some((json, lines)) => {
            json.line("INFO", ACCESS, |members| line.tell(members), |text| lines.add(KIND, text));
        }
        None => line.event(),
    }
}

impl Line<'_> {
    /// The members of [`Self::event`], in the same order.
    fn tell(&self, members: &mut Members<'_>) {
        // A method is a token, host and address are checked, and the rest of the plain ones is ours.
        members.plain(key!("method"), self.method);
        members.plain(key!("host"), self.host);
        members.text(key!("path"), self.path);
        members.number(key!("status"), self.status);
        members.number(key!("bytes"), self.bytes);
        members.number(key!("duration_us"), self.duration_us());
        members.plain(key!("client"), self.client);
        members.plain(key!("request_id"), self.request_id);
        let outcome = self.outcome;
        if let Some(route) = outcome.route {
            members.text(key!("route"), route.name());
        }
        if let Some(decision) = outcome.decision {
            members.plain(key!("decision"), decision.as_str());
        }
        if let Some(reason) = &outcome.reason {
            members.text(key!("reason"), reason);
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
            route = outcome.route.map(RouteMeter::name),
            decision = outcome.decision.map(LoggedDecision::as_str),
            reason = outcome.reason.as_deref(),
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
    fn a_line_says_the_same_straight_and_as_an_event() {
        let outcome = Outcome {
            route: Some(Metrics::default().route(&"wiki".into())),
            decision: Some(LoggedDecision::Deny),
            reason: Some("\u{e4}".repeat(9000).into()),
            subject: Some("\"".repeat(9000).into()),
        };
        let line = Line {
            method: "GET",
            host: "wiki.example",
            path: &format!("/\"{}", "x".repeat(300)),
            status: 403,
            bytes: 7,
            duration: Duration::from_millis(2),
            client: "192.0.2.1",
            request_id: "r-1",
            outcome: &outcome,
        };
        for line in [line, Line { outcome: &Outcome::default(), ..line }] {
            let json = Json::new(Clock::system());
            let straight = json.line("INFO", ACCESS, |members| line.tell(members), str::to_owned);
            let mut both: [Value; 2] =
                [logged(|| line.event()), serde_json::from_str(&straight).unwrap()];
            for told in &mut both {
                told.as_object_mut().unwrap().remove("timestamp").unwrap();
            }
            assert_eq!(both[0].to_string(), both[1].to_string());
            assert!(straight.len() < 2500, "{straight}");
        }
    }
}
