//! One line per request.
//! Invariant: no query string, no header value but the host, and nothing of the body ever gets here.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::telemetry::json::{Json, Members};
use crate::telemetry::metrics::RouteMeter;
use crate::telemetry::writer::Lines;

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
            json.line("INFO", TARGET, |members| line.tell(members), |text| lines.add(text));
        }
        None => line.event(),
    }
}

impl Line<'_> {
    /// The members of [`Self::event`], in the same order.
    fn tell(&self, members: &mut Members<'_>) {
        members.text("method", self.method);
        members.text("host", self.host);
        members.text("path", self.path);
        members.number("status", self.status);
        members.number("bytes", self.bytes);
        members.number("duration_us", self.duration_us());
        members.text("client", self.client);
        members.text("request_id", self.request_id);
        let outcome = self.outcome;
        let told = [
            ("route", outcome.route.map(RouteMeter::name)),
            ("decision", outcome.decision),
            ("reason", outcome.reason.as_deref()),
            ("subject", outcome.subject.as_deref()),
        ];
        for (name, value) in told {
            if let Some(value) = value {
                members.text(name, value);
            }
        }
    }

    fn event(&self) {
        let outcome = self.outcome;
        tracing::info!(
            target: TARGET,
            method = self.method,
            host = self.host,
            path = self.path,
            status = self.status,
            bytes = self.bytes,
            duration_us = self.duration_us(),
            client = self.client,
            request_id = self.request_id,
            route = outcome.route.map(RouteMeter::name),
            decision = outcome.decision,
            reason = outcome.reason.as_deref(),
            subject = outcome.subject.as_deref(),
        );
    }

    fn duration_us(&self) -> u64 {
        u64::try_from(self.duration.as_micros()).unwrap_or(u64::MAX)
    }
}

const TARGET: &str = "access";

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
            decision: Some("refuse"),
            reason: Some("groups".into()),
            subject: Some("1".into()),
        };
        let line = Line {
            method: "GET",
            host: "wiki.example",
            path: "/\"",
            status: 403,
            bytes: 7,
            duration: Duration::from_millis(2),
            client: "192.0.2.1",
            request_id: "r-1",
            outcome: &outcome,
        };
        for line in [line, Line { outcome: &Outcome::default(), ..line }] {
            let json = Json::new(Clock::system());
            let straight = json.line("INFO", TARGET, |members| line.tell(members), str::to_owned);
            let mut both: [Value; 2] =
                [logged(|| line.event()), serde_json::from_str(&straight).unwrap()];
            for told in &mut both {
                told.as_object_mut().unwrap().remove("timestamp").unwrap();
            }
            assert_eq!(both[0].to_string(), both[1].to_string());
        }
    }
}
