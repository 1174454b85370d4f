//! Keeps metadata and keys of the configured providers fresh.
//! Invariants: what is known of a provider that stays is not requested again because of a reload. After the end of the
//! process has begun, nothing is kept fresh any more.

use std::sync::{Arc, Mutex};

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::lock::lock;
use crate::providers::Provider;

/// The providers that are kept fresh, each with the end of its task.
#[derive(Debug)]
pub(super) struct KeptFresh(Mutex<Option<Kept>>);

type Kept = Vec<(Arc<Provider>, DropGuard)>;

impl Default for KeptFresh {
    fn default() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }
}

impl KeptFresh {
    /// Keeps these providers fresh, and no others.
    pub(super) fn replace(&self, providers: &[Arc<Provider>], tasks: &TaskTracker) {
        let mut kept = lock(&self.0);
        let Some(kept) = &mut *kept else { return };
        let mut before = std::mem::take(kept);
        for provider in providers {
            let known = before.iter().position(|(known, _)| known.has_server_of(provider));
            let guard = match known {
                Some(at) => before.swap_remove(at).1,
                None => begin(provider, tasks),
            };
            kept.push((Arc::clone(provider), guard));
        }
    }

    /// Keeps none fresh from now on.
    pub(super) fn end(&self) {
        *lock(&self.0) = None;
    }
}

fn begin(provider: &Provider, tasks: &TaskTracker) -> DropGuard {
    let ended = CancellationToken::new();
    let (keep_fresh, guard) = (provider.keep_fresh(), ended.clone().drop_guard());
    tasks.spawn(async move {
        tokio::select! {
            () = keep_fresh => {}
            () = ended.cancelled() => {}
        }
    });
    guard
}
