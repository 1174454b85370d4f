//! Codes that a provider refused, by client address: who guesses them is slowed down.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::client_address::ClientAddress;
use crate::clock::Moment;

/// Counts refused codes within the last second, by client address.
#[derive(Debug, Default)]
pub struct Failures(Mutex<HashMap<ClientAddress, (Moment, u32)>>);

impl Failures {
    /// Whether an address has failed as often as it may in this second.
    pub fn are_too_many(&self, address: ClientAddress, now: Moment) -> bool {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted
            .get(&address.network())
            .is_some_and(|(since, count)| now.since(*since) < SECOND && *count >= MOST)
    }

    /// Counts a failure.
    pub fn count(&self, address: ClientAddress, now: Moment) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.len() >= MOST_ADDRESSES {
            counted.retain(|_, (since, _)| now.since(*since) < SECOND);
        }
        if counted.len() >= MOST_ADDRESSES {
            return;
        }
        let entry = counted.entry(address.network()).or_insert((now, 0));
        if now.since(entry.0) >= SECOND {
            *entry = (now, 0);
        }
        entry.1 += 1;
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MOST: u32 = 10;
const MOST_ADDRESSES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_in_a_second_are_enough() {
        let (failures, start) = (Failures::default(), Moment::from_millis(0));
        let known = |text: &str| ClientAddress::Known(text.parse().unwrap());
        let address = known("2001:db8::1");
        for _ in 0..10 {
            assert!(!failures.are_too_many(address, start));
            failures.count(address, start);
        }
        assert!(failures.are_too_many(known("2001:db8::2"), start));
        assert!(!failures.are_too_many(known("2001:db8:0:1::1"), start));
        assert!(!failures.are_too_many(address, start.after(SECOND)));
        let unknown = ClientAddress::Unknown;
        (0..10).for_each(|_| failures.count(unknown, start));
        assert!(failures.are_too_many(unknown, start));
    }
}
