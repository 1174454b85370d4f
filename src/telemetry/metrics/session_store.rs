//! Counters of the server on which sessions are stored.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::telemetry::metrics::count::Counts;
use crate::telemetry::metrics::label::{Label, StoreOperation, StoreOutcome};

/// Counts operations of `session.store`.
#[derive(Debug)]
pub struct StoreMeter {
    is_up: AtomicBool,
    is_evicting: AtomicBool,
    /// In the order of [`StoreOperation::ALL`].
    operations: [Counts<StoreOutcome>; StoreOperation::ALL.len()],
}

impl StoreMeter {
    pub(super) fn new() -> Self {
        Self {
            is_up: AtomicBool::new(false),
            is_evicting: AtomicBool::new(false),
            operations: Default::default(),
        }
    }

    /// Counts an operation.
    pub fn operated(&self, operation: StoreOperation, outcome: StoreOutcome) {
        if let Some(outcomes) = self.operations.get(operation.place()) {
            outcomes.count(outcome);
        }
    }

    /// Records whether there is a connection.
    pub fn set_up(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Relaxed);
    }

    /// Records whether the server may remove sessions when its memory is full.
    pub fn set_evicting(&self, is_evicting: bool) {
        self.is_evicting.store(is_evicting, Ordering::Relaxed);
    }

    pub(super) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    pub(super) fn is_evicting(&self) -> bool {
        self.is_evicting.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, operation: StoreOperation, outcome: StoreOutcome) -> u64 {
        self.operations.get(operation.place()).map_or(0, |outcomes| outcomes.get(outcome))
    }
}
