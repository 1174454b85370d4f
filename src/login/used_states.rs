//! States whose code was sent, kept for as long as they could be used again.
//! Invariants: at most `MAX` are kept. When full, the oldest whose exchange failed is removed first, so that codes
//! that fail never make a state of a successful sign-in usable again.
//! Source: RFC 9700 §4.7.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

use crate::clock::UnixTime;
use crate::lock::lock;

/// The hash of a state.
pub(super) type StateHash = [u8; 16];

/// Remembers which states were used.
#[derive(Debug, Default)]
pub struct UsedStates(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    /// How many were inserted so far. Each state has its number.
    count: u64,
    numbers: HashMap<StateHash, u64>,
    /// Those whose exchange succeeded or is in progress, by number, and so by time.
    good: BTreeMap<u64, (UnixTime, StateHash)>,
    /// Those whose exchange failed, by number.
    failed: BTreeMap<u64, (UnixTime, StateHash)>,
}

impl UsedStates {
    pub(super) fn contains(&self, state: &StateHash) -> bool {
        self.lock().numbers.contains_key(state)
    }

    /// Inserts a state that is used now, and removes those that were used before `oldest`. Returns `false` if it
    /// was used before.
    pub(super) fn insert(&self, state: StateHash, now: UnixTime, oldest: UnixTime) -> bool {
        self.lock().insert(state, now, oldest)
    }

    /// Records that the exchange of a state has failed.
    pub(super) fn exchange_failed(&self, state: StateHash) {
        let used = &mut *self.lock();
        if let Some(number) = used.numbers.get(&state)
            && let Some(entry) = used.good.remove(number)
        {
            used.failed.insert(*number, entry);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        lock(&self.0)
    }
}

impl Used {
    fn insert(&mut self, state: StateHash, now: UnixTime, oldest: UnixTime) -> bool {
        for part in [&mut self.failed, &mut self.good] {
            while part.first_key_value().is_some_and(|(_, (taken, _))| *taken < oldest) {
                Self::remove_first(part, &mut self.numbers);
            }
        }
        if self.numbers.contains_key(&state) {
            return false;
        }
        if self.numbers.len() >= MAX {
            let remove_from =
                if self.failed.is_empty() { &mut self.good } else { &mut self.failed };
            Self::remove_first(remove_from, &mut self.numbers);
        }
        let number = self.count;
        self.count += 1;
        self.numbers.insert(state, number);
        self.good.insert(number, (now, state));
        true
    }

    fn remove_first(
        part: &mut BTreeMap<u64, (UnixTime, StateHash)>,
        numbers: &mut HashMap<StateHash, u64>,
    ) {
        if let Some((_, (_, state))) = part.pop_first() {
            numbers.remove(&state);
        }
    }
}

const MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn state(number: usize) -> StateHash {
        let mut hash = [0; 16];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    const START: UnixTime = UnixTime(1_800_000_000);

    fn insert(used: &UsedStates, number: usize) -> bool {
        used.insert(state(number), START, START)
    }

    #[test]
    fn used_states_are_bounded_and_removed_in_time() {
        let used = UsedStates::default();
        for number in 0..=MAX {
            assert!(insert(&used, number));
        }
        assert!(!used.contains(&state(0)) && used.contains(&state(1)), "the oldest was removed");
        assert_eq!(used.lock().numbers.len(), MAX);
        used.exchange_failed(state(7));
        assert!(!insert(&used, 7));
        let later = UnixTime(START.0 + 1);
        assert!(used.insert(state(7), later, later));
        let used = used.lock();
        assert_eq!((used.numbers.len(), used.good.len(), used.failed.len()), (1, 1, 0));
    }

    #[test]
    fn state_with_failed_exchange_is_removed_before_one_of_a_successful_sign_in() {
        let used = UsedStates::default();
        assert!(insert(&used, 0));
        for number in 1..=2 * MAX {
            assert!(insert(&used, number));
            used.exchange_failed(state(number));
        }
        assert!(!insert(&used, 0), "usable again");
        assert!(!used.contains(&state(MAX)) && used.contains(&state(2 * MAX)));
        assert_eq!(used.lock().numbers.len(), MAX);
    }
}
