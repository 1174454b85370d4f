//! `healthz` and `readyz`: whether the process lives, and whether it should be sent requests.
//! Invariant: a provider that cannot be reached makes nobody unready: public routes and the sessions that
//! there are go on without it, and every replica would be unready at once.

use std::sync::atomic::{AtomicBool, Ordering};

use http::{Response, StatusCode};

use crate::admin::Admin;
use crate::body::Body;
use crate::pages::plain_text;
use crate::providers::{Provider, ProviderHealth};
use crate::server::Shutdown;

/// How the process is.
#[derive(Debug)]
pub struct Health {
    serving: AtomicBool,
    shutdown: Shutdown,
}

/// Where the process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The public listeners do not accept yet.
    Starting,
    /// They do.
    Ready,
    /// The order to stop was given.
    Draining,
}

impl Health {
    /// Starting, until [`Self::serving`]; draining, once `shutdown` begins.
    pub fn new(shutdown: Shutdown) -> Self {
        Self { serving: AtomicBool::new(false), shutdown }
    }

    /// The public listeners accept from now on.
    pub fn serving(&self) {
        self.serving.store(true, Ordering::Relaxed);
    }

    /// Where the process stands.
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
            Stage::Ready => {
                let told = self.party.providers().all().iter().map(|provider| trouble(provider));
                plain_text(StatusCode::OK, format!("ready\n{}", told.collect::<String>()))
            }
        }
    }
}

/// A line about a provider, if there is something to say.
fn trouble(provider: &Provider) -> String {
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
    fn a_process_starts_is_ready_and_drains() {
        let shutdown = Shutdown::new();
        let health = Health::new(shutdown.clone());
        assert_eq!(health.stage(), Stage::Starting);
        health.serving();
        assert_eq!(health.stage(), Stage::Ready);
        shutdown.begin();
        assert_eq!(health.stage(), Stage::Draining);
    }

    #[test]
    fn an_order_to_stop_that_comes_early_is_obeyed() {
        let shutdown = Shutdown::new();
        let health = Health::new(shutdown.clone());
        shutdown.begin();
        health.serving();
        assert_eq!(health.stage(), Stage::Draining);
    }
}
