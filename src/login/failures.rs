//! Codes that a provider refused, by client address: who guesses them is slowed down.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Moment;

/// Counts refused codes within the last second, by client address.
#[derive(Debug, Default)]
pub struct Failures(Mutex<HashMap<IpAddr, (Moment, u32)>>);

impl Failures {
    /// Whether an address has failed as often as it may in this second.
    pub fn are_too_many(&self, address: IpAddr, now: Moment) -> bool {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted
            .get(&network(address))
            .is_some_and(|(since, count)| now.since(*since) < SECOND && *count >= MOST)
    }

    /// Counts a failure.
    pub fn count(&self, address: IpAddr, now: Moment) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.len() >= MOST_ADDRESSES {
            counted.retain(|_, (since, _)| now.since(*since) < SECOND);
        }
        if counted.len() >= MOST_ADDRESSES {
            return;
        }
        let entry = counted.entry(network(address)).or_insert((now, 0));
        if now.since(entry.0) >= SECOND {
            *entry = (now, 0);
        }
        entry.1 += 1;
    }
}

/// One IPv6 customer has a /64: its addresses count as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
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
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        for _ in 0..10 {
            assert!(!failures.are_too_many(address, start));
            failures.count(address, start);
        }
        assert!(failures.are_too_many("2001:db8::2".parse().unwrap(), start));
        assert!(!failures.are_too_many("2001:db8:0:1::1".parse().unwrap(), start));
        assert!(!failures.are_too_many(address, start.after(SECOND)));
    }
}
