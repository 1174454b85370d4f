//! The signal that a session has ended, for its open upgraded streams, uploads and endless responses.

use std::sync::OnceLock;

use tokio_util::sync::CancellationToken;

/// Signals the end of a session. Costs nothing until something waits for it.
#[derive(Debug, Default)]
pub struct EndSignal(OnceLock<CancellationToken>);

impl EndSignal {
    /// A token that is cancelled when the session ends; already cancelled if it has ended.
    pub fn token(&self) -> CancellationToken {
        self.0.get_or_init(CancellationToken::new).clone()
    }

    /// Whether the session has ended.
    pub fn is_given(&self) -> bool {
        self.0.get().is_some_and(CancellationToken::is_cancelled)
    }

    /// Signals that the session has ended.
    pub(super) fn give(&self) {
        // Also if nothing waits yet: a stream that opens a moment later must not outlive the session.
        self.0.get_or_init(CancellationToken::new).cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_cancelled_with_the_session_even_if_taken_after() {
        let signal = EndSignal::default();
        assert!(!signal.is_given());
        let before = signal.token();
        assert!(!signal.is_given());
        signal.give();
        assert!(signal.is_given());
        assert!(before.is_cancelled() && signal.token().is_cancelled());
    }
}
