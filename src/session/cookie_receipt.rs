//! How far the cookie of a session has come since the sign-in: it tells a session that is used from one that no page of
//! an application sees.
//! Invariant: it may outlive its session, so that a later sign-in knows what became of it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of the cookie of a session.
#[derive(Debug, Default)]
pub struct CookieReceipt {
    /// A request brought it.
    received: AtomicBool,
    /// A request was decided on with its session.
    accepted: AtomicBool,
    /// Why a request that brought it was not decided on with its session.
    unusable: OnceLock<Box<str>>,
}

impl CookieReceipt {
    /// Records a request that brought the cookie.
    pub fn receive(&self) {
        set(&self.received);
    }

    /// Records a request whose user the session is.
    pub fn accept(&self) {
        set(&self.accepted);
    }

    /// Records why the session is of no use to a request that brought the cookie. The first reason counts.
    pub fn reject(&self, reason: &str) {
        let kept: String = reason.chars().take(MAX_REASON).collect();
        // The first reason may have been the cause of the second one.
        drop(self.unusable.set(kept.into()));
    }

    /// Whether a request brought the cookie.
    pub fn is_received(&self) -> bool {
        self.received.load(Ordering::Relaxed)
    }

    /// Whether a request was decided on with the session.
    pub fn is_accepted(&self) -> bool {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Why the session was of no use.
    pub fn unusable(&self) -> Option<&str> {
        self.unusable.get().map(|reason| &**reason)
    }
}

/// Reads first: the requests of a session share the flag, and a write would take it from their processors.
fn set(flag: &AtomicBool) {
    if !flag.load(Ordering::Relaxed) {
        flag.store(true, Ordering::Relaxed);
    }
}

/// The most characters of a reason.
const MAX_REASON: usize = 200;
