//! A browser that signs in again and again, because no page accepts the session that it has just got.
//! Invariant: a cycle of one target ends in a page instead of its fourth round, and page and log name its causes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::login::generations::BrowserHash;
use crate::login::sign_in_rounds::{
    Completed, EarlierRounds, LostSessions, SignInRounds, TargetHash,
};
use crate::telemetry::log_throttle::LogThrottle;

/// How requests reach the applications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deployment {
    /// Through this gateway only.
    ReverseProxy,
    /// Also through proxies that send auth subrequests. Applications then have hosts of their own.
    ForwardAuth {
        /// `session.cookie.domain`.
        cookie_domain: Option<String>,
    },
}

/// Why a sign-in is not started or completed: it would be a further round of a cycle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RedirectCycle {
    /// What became of the sessions before.
    pub sessions: LostSessions,
    /// How requests reach the applications.
    pub deployment: Deployment,
}

impl fmt::Display for RedirectCycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.sessions, &self.deployment) {
            (LostSessions::Unusable(reason), _) => {
                return write!(f, "a redirect cycle: each session was of no use at its first request: {reason}");
            }
            (LostSessions::NotReceived, _) => f.write_str(
                "a redirect cycle: the browser rejects the session cookie, or another instance answers its requests",
            ),
            (LostSessions::AtSignInOnly, Deployment::ReverseProxy) => f.write_str(
                "a redirect cycle: the session cookie comes with requests to sign in, but not with those for pages: \
                 another instance answers them, or a proxy in front does not pass the header Cookie on",
            ),
            (LostSessions::AtSignInOnly, Deployment::ForwardAuth { .. }) => f.write_str(
                "a redirect cycle: the session cookie comes with requests to sign in, but not with auth subrequests: \
                 the proxy does not pass the header Cookie on, or another instance answers them",
            ),
        }?;
        match &self.deployment {
            Deployment::ReverseProxy => Ok(()),
            Deployment::ForwardAuth { cookie_domain: None } => f.write_str(
                ", or the application has another host and session.cookie.domain is not set",
            ),
            Deployment::ForwardAuth { cookie_domain: Some(domain) } => {
                write!(f, ", or the application's host is not in session.cookie.domain ({domain})")
            }
        }
    }
}

/// The browser was sent to `public_url`, and its request came for another host. It would be sent there again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a redirect cycle: a request for {public_url} came with the host {found}, which a proxy in front must have set"
)]
pub struct ChangedHost {
    /// The host of the request.
    pub found: String,
    /// `server.public_url`.
    pub public_url: String,
}

impl RedirectCycle {
    /// What the operator can do.
    fn hint(&self) -> &'static str {
        match (&self.sessions, &self.deployment) {
            (LostSessions::Unusable(_), _) => {
                "compare the lifetime of access tokens (`expires_in`) and whether the provider lets this client refresh \
                 them; each failure is logged as \"refresh failed\""
            }
            (LostSessions::AtSignInOnly, Deployment::ForwardAuth { .. }) => {
                "let the proxy pass `Cookie` on to Portcullis, in Envoy by `allowed_headers`, in Traefik by leaving \
                 `authRequestHeaders` out or by adding it there; if several instances run, send the requests of a \
                 browser, and their auth subrequests, all to the same one, or let the instances share sessions (`session.store`)"
            }
            (LostSessions::NotReceived, _)
            | (LostSessions::AtSignInOnly, Deployment::ReverseProxy) => {
                "if several instances run, let the load balancer send all requests of a browser to the same one, \
                 whatever their path, or let the instances share sessions (`session.store`)"
            }
        }
    }
}

/// Detects cycles.
#[derive(Debug)]
pub struct CycleDetector {
    rounds: Arc<SignInRounds>,
    deployment: Deployment,
    throttle: LogThrottle,
    changed_hosts: LogThrottle,
}

impl CycleDetector {
    /// A detector that knows these sign-ins.
    pub fn new(rounds: Arc<SignInRounds>, deployment: Deployment) -> Self {
        let (throttle, changed_hosts) = (LogThrottle::default(), LogThrottle::default());
        Self { rounds, deployment, throttle, changed_hosts }
    }

    /// Checks that a sign-in of this browser, which `begun` at this time, is not a further round of a cycle.
    pub(super) fn check(
        &self,
        browser: &BrowserHash,
        target: &TargetHash,
        begun: Duration,
        now: Duration,
    ) -> Result<(), RedirectCycle> {
        let Some(sessions) = self.rounds.cycle(browser, target, begun, now) else {
            return Ok(());
        };
        let cycle = RedirectCycle { sessions, deployment: self.deployment.clone() };
        if self.throttle.allow() {
            warn!(
                error = %cycle,
                hint = cycle.hint(),
                "a browser signed in three times within a minute, and no page accepted one of the sessions"
            );
        }
        Err(cycle)
    }

    /// Reports a request for another host to which the browser was not sent.
    pub(super) fn report_changed_host(&self, changed: &ChangedHost) {
        if self.changed_hosts.allow() {
            warn!(
                error = %changed,
                hint = "let the proxy in front send the Host that it receives, or X-Forwarded-Host, and add its \
                        address to server.trusted_proxies",
                "a browser was redirected to server.public_url, but its request came for another host"
            );
        }
    }

    /// What a sign-in that begins now says of those before it.
    pub(super) fn earlier(
        &self,
        browser: &BrowserHash,
        target: &TargetHash,
        now: Duration,
    ) -> EarlierRounds {
        self.rounds.earlier(browser, target, now)
    }

    /// Records a completed sign-in.
    pub(super) fn completed(&self, browser: BrowserHash, sign_in: &Completed<'_>) {
        self.rounds.completed(browser, sign_in);
    }
}
