//! Whether there is a connection, and how many there were.
//! Invariant: both are one number, so that no reader sees the one of an older connection with the other of a newer.

use std::sync::atomic::{AtomicU64, Ordering};

/// The connection to the server, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// How many connections there were so far, with this one; 0 before the first.
    pub number: u64,
    /// Whether this one still stands.
    pub up: bool,
}

/// Twice the number, plus one while the connection stands.
#[derive(Debug, Default)]
pub(super) struct Link(AtomicU64);

impl Link {
    /// How it is now.
    pub(super) fn state(&self) -> LinkState {
        let state = self.0.load(Ordering::Acquire);
        LinkState { number: state >> 1, up: state & 1 == 1 }
    }

    /// Counts a connection. Only one task makes connections.
    pub(super) fn connected(&self) -> u64 {
        let number = self.state().number + 1;
        self.0.store(number << 1 | 1, Ordering::Release);
        number
    }

    /// Whether this connection stands.
    pub(super) fn has(&self, number: u64) -> bool {
        self.state() == LinkState { number, up: true }
    }

    /// Ends this connection. Returns whether it stood until now.
    pub(super) fn end(&self, number: u64) -> bool {
        let (up, down) = (number << 1 | 1, number << 1);
        self.0.compare_exchange(up, down, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_end_of_a_connection_does_not_end_the_next() {
        let link = Link::default();
        assert_eq!(link.state(), LinkState { number: 0, up: false });
        let first = link.connected();
        assert!(link.has(first) && link.end(first) && !link.end(first));
        assert_eq!(link.state(), LinkState { number: 1, up: false });
        let second = link.connected();
        assert!(!link.end(first) && !link.has(first) && link.has(second));
        assert_eq!(link.state(), LinkState { number: 2, up: true });
    }
}
