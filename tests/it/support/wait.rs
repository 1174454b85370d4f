//! Waits for a condition: checked again and again, until a deadline that only a fault reaches.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Asks again and again until it is so: until `what`, as it stands in a sentence.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let patience = Patience::until(what);
    while !is_so().await {
        patience.pause().await;
    }
}

/// Patience with one thing that will come.
pub(crate) struct Patience {
    until: Instant,
    pause: Duration,
    what: String,
}

impl Patience {
    /// Begins to wait until `what`, as it stands in a sentence.
    pub(crate) fn until(what: impl Into<String>) -> Self {
        Self::longer(Duration::ZERO, what)
    }

    /// The same for what comes only after this time.
    pub(crate) fn longer(time: Duration, what: impl Into<String>) -> Self {
        let pause = PAUSE.max(time / 100);
        Self { until: Instant::now() + time + DEADLINE, pause, what: what.into() }
    }

    /// Waits a moment before the next check; fails after the deadline.
    pub(crate) async fn pause(&self) {
        assert!(Instant::now() < self.until, "waited in vain until {}", self.what);
        sleep(self.pause).await;
    }
}

const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);
