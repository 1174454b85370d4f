//! `/healthz` and `/readyz`: whether the process lives, and whether to send it requests.
//! Invariant: a provider that cannot be reached does not make the process unready. Public routes and existing
//! sessions work without it, and all replicas would be unready at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Response, StatusCode};

use crate::admin::Admin;
use crate::body::Body;
use crate::lock::lock;
use crate::pages::plain_text;
use crate::providers::{Provider, ProviderHealth};
use crate::server::Shutdown;
use crate::session::redis::StoreHealth;

/// The state of the process, from start to drain.
#[derive(Debug)]
pub struct Health {
    serving: AtomicBool,
    shutdown: Shutdown,
    /// What was wrong at the last reload.
    failed_reload: Mutex<Option<String>>,
}

/// A stage in the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The public listeners do not accept connections yet.
    Starting,
    /// The public listeners accept connections.
    Ready,
    /// A signal to stop arrived.
    Draining,
}

impl Health {
    /// Starting until [`Self::serving`] is called, draining as soon as `shutdown` begins.
    pub fn new(shutdown: Shutdown) -> Self {
        Self { serving: AtomicBool::new(false), shutdown, failed_reload: Mutex::default() }
    }

    /// Notes that the public listeners accept connections.
    pub fn serving(&self) {
        self.serving.store(true, Ordering::Relaxed);
    }

    /// Notes the result of a reload: what was wrong.
    pub fn reloaded(&self, failure: Option<String>) {
        *lock(&self.failed_reload) = failure;
    }

    /// The current stage.
    pub fn stage(&self) -> Stage {
        if self.shutdown.is_begun() {
            Stage::Draining
        } else if self.serving.load(Ordering::Relaxed) {
            Stage::Ready
        } else {
            Stage::Starting
        }
    }
}

impl Admin {
    /// `GET /healthz`
    pub(super) fn healthz(&self) -> Response<Body> {
        plain_text(StatusCode::OK, "ok\n")
    }

    /// `GET /readyz`
    pub(super) fn readyz(&self) -> Response<Body> {
        match self.health.stage() {
            Stage::Starting => plain_text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
            Stage::Draining => plain_text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            Stage::Ready if self.store_health() == Some(StoreHealth::Waiting) => plain_text(
                StatusCode::SERVICE_UNAVAILABLE,
                "starting: session.store has not answered yet\n",
            ),
            Stage::Ready => {
                let providers = self.party.providers().all().iter();
                let problems: String = providers.map(|provider| problem(provider)).collect();
                let snapshot = match self.metrics.is_snapshot_failing() {
                    true => "session.snapshot cannot be written\n",
                    false => "",
                };
                let store = match self.store_health() {
                    Some(StoreHealth::Lost) => "session.store cannot be reached\n",
                    Some(StoreHealth::Up | StoreHealth::Waiting) | None => "",
                };
                let failed = lock(&self.health.failed_reload).clone();
                let reload =
                    failed.map_or_else(String::new, |why| format!("last reload failed: {why}\n"));
                plain_text(StatusCode::OK, format!("ready\n{problems}{store}{snapshot}{reload}"))
            }
        }
    }
}

impl Admin {
    fn store_health(&self) -> Option<StoreHealth> {
        self.party.sessions().in_redis().map(|shared| shared.store().health())
    }
}

/// A line about a provider that is not usable; empty for one that is.
fn problem(provider: &Provider) -> String {
    let id = provider.id();
    match provider.health() {
        ProviderHealth::Up => String::new(),
        ProviderHealth::Unreachable => format!("provider {id} cannot be reached\n"),
        ProviderHealth::Unusable(error) => format!("provider {id} cannot be used: {error}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_is_starting_then_ready_then_draining() {
        let shutdown = Shutdown::new();
        let health = Health::new(shutdown.clone());
        assert_eq!(health.stage(), Stage::Starting);
        health.serving();
        assert_eq!(health.stage(), Stage::Ready);
        shutdown.begin();
        assert_eq!(health.stage(), Stage::Draining);
    }

    #[test]
    fn signal_to_stop_during_start_makes_the_process_drain() {
        let shutdown = Shutdown::new();
        let health = Health::new(shutdown.clone());
        shutdown.begin();
        health.serving();
        assert_eq!(health.stage(), Stage::Draining);
    }
}
