//! The open upgraded streams, uploads and endless responses of a session; cut when it ends.

use std::sync::OnceLock;

use tokio_util::sync::CancellationToken;

/// Tells the streams of a session that it has ended. Costs nothing until there is one.
#[derive(Debug, Default)]
pub struct EndSignal(OnceLock<CancellationToken>);

impl EndSignal {
    /// A token that is cancelled when the session ends; at once when it has ended already.
    pub fn until_end(&self) -> CancellationToken {
        self.0.get_or_init(CancellationToken::new).clone()
    }

    /// Whether the session has ended.
    pub fn have_ended(&self) -> bool {
        self.0.get().is_some_and(CancellationToken::is_cancelled)
    }

    /// The session has ended.
    pub(super) fn cut(&self) {
        // Also where there is no stream yet: one that opens a moment later must not outlive it.
        self.0.get_or_init(CancellationToken::new).cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_end_with_the_session_even_if_opened_after() {
        let streams = EndSignal::default();
        assert!(!streams.have_ended());
        let before = streams.until_end();
        assert!(!streams.have_ended());
        streams.cut();
        assert!(streams.have_ended());
        assert!(before.is_cancelled() && streams.until_end().is_cancelled());
    }
}
