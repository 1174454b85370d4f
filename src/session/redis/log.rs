//! Log lines about a server that fails.
//! Invariant: each cause is logged at most once in a minute, with what an operator can do.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::lock::lock;
use crate::session::redis::connect::ServerInfo;
use crate::session::redis::error::{ConnectError, RedisError};

/// What was logged last, and when.
#[derive(Debug)]
pub(super) struct RedisLog {
    /// The server, as the log names it.
    server: String,
    /// By what to do about it.
    last: Mutex<BTreeMap<&'static str, Instant>>,
    /// Whether the log does not say yet that the server cannot be reached.
    looks_connected: AtomicBool,
}

impl RedisLog {
    pub(super) fn of(server: String) -> Self {
        Self { server, last: Mutex::default(), looks_connected: AtomicBool::new(false) }
    }

    /// Of a new connection.
    pub(super) fn connected(&self, info: &ServerInfo) {
        let (server, version) = (&self.server, &info.version);
        if !self.looks_connected.swap(true, Ordering::Relaxed) {
            tracing::info!(%server, %version, "session.store: connected to Redis");
        }
        if let Some(policy) = info.eviction().filter(|_| self.is_due(EVICTION)) {
            tracing::warn!(%server, %policy, "session.store: {EVICTION}");
        }
    }

    /// Of an attempt to connect.
    pub(super) fn not_connected(&self, error: &ConnectError) {
        let (server, remedy) = (&self.server, error.remedy());
        if self.is_due(remedy) {
            self.looks_connected.store(false, Ordering::Relaxed);
            tracing::error!(%server, %error, "session.store: cannot connect to Redis: {remedy}");
        }
    }

    /// Of the connection that stood.
    pub(super) fn lost(&self, error: &RedisError) {
        let server = &self.server;
        if self.is_due(LOST) {
            self.looks_connected.store(false, Ordering::Relaxed);
            tracing::error!(%server, %error, "session.store: {LOST}");
        }
    }

    /// Of an operation. Where the connection is lost, that is logged instead.
    pub(super) fn failed(&self, error: &RedisError) {
        let remedy = match error {
            RedisError::Replied(reply) => reply.kind.remedy(),
            RedisError::Full => "Redis is too slow for so many requests",
            RedisError::Unexpected => "does another program use its keys?",
            RedisError::Down | RedisError::TimedOut | RedisError::BrokeOff => return,
        };
        let server = &self.server;
        if self.is_due(remedy) {
            tracing::error!(%server, %error, "session.store: {remedy}");
        }
    }

    fn is_due(&self, cause: &'static str) -> bool {
        let (now, mut last) = (Instant::now(), lock(&self.last));
        let due = last.get(cause).is_none_or(|last| now.duration_since(*last) >= QUIET);
        if due {
            last.insert(cause, now);
        }
        due
    }
}

const LOST: &str = "the connection to Redis is lost; the gateway connects again";

const EVICTION: &str = "Redis may remove sessions when its memory is full, which signs users out: set its \
                        maxmemory-policy to noeviction";

const QUIET: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_cause_is_logged_once_in_a_minute() {
        let log = RedisLog::of("redis:6379".to_owned());
        assert_eq!(["a", "b", "a"].map(|cause| log.is_due(cause)), [true, true, false]);
        tokio::time::advance(QUIET).await;
        assert_eq!(["a", "a"].map(|cause| log.is_due(cause)), [true, false]);
    }
}
