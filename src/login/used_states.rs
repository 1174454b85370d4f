//! States whose code was sent, remembered as long as they could be used again.
//! Invariants: at most `MOST`; when full, those whose exchange failed leave first, the oldest before the
//! others, so that codes which come to nothing never make a state usable that somebody signed in with.
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
    /// How many were used so far: each has its number.
    count: u64,
    numbers: HashMap<StateHash, u64>,
    /// By number, and so by time: those whose exchange succeeded, or is under way still.
    good: BTreeMap<u64, (UnixTime, StateHash)>,
    /// Those whose exchange failed.
    failed: BTreeMap<u64, (UnixTime, StateHash)>,
}

impl UsedStates {
    pub(super) fn contains(&self, state: &StateHash) -> bool {
        self.lock().numbers.contains_key(state)
    }

    /// Notes a state that is used now, and forgets those that were used before `oldest`; `false` where it
    /// is noted already.
    pub(super) fn insert(&self, state: StateHash, now: UnixTime, oldest: UnixTime) -> bool {
        self.lock().insert(state, now, oldest)
    }

    /// The exchange of a noted state has failed.
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
                Self::forget_first(part, &mut self.numbers);
            }
        }
        if self.numbers.contains_key(&state) {
            return false;
        }
        if self.numbers.len() >= MOST {
            let leaving = if self.failed.is_empty() { &mut self.good } else { &mut self.failed };
            Self::forget_first(leaving, &mut self.numbers);
        }
        let number = self.count;
        self.count += 1;
        self.numbers.insert(state, number);
        self.good.insert(number, (now, state));
        true
    }

    fn forget_first(
        part: &mut BTreeMap<u64, (UnixTime, StateHash)>,
        numbers: &mut HashMap<StateHash, u64>,
    ) {
        if let Some((_, (_, state))) = part.pop_first() {
            numbers.remove(&state);
        }
    }
}

const MOST: usize = 100_000;

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
    fn used_states_are_bounded_and_forgotten_in_time() {
        let used = UsedStates::default();
        for number in 0..=MOST {
            assert!(insert(&used, number));
        }
        assert!(!used.contains(&state(0)) && used.contains(&state(1)), "the oldest left");
        assert_eq!(used.lock().numbers.len(), MOST);
        used.exchange_failed(state(7));
        assert!(!insert(&used, 7));
        let later = UnixTime(START.0 + 1);
        assert!(used.insert(state(7), later, later));
        let used = used.lock();
        assert_eq!((used.numbers.len(), used.good.len(), used.failed.len()), (1, 1, 0));
    }

    #[test]
    fn failed_exchanges_leave_before_any_state_that_somebody_signed_in_with() {
        let used = UsedStates::default();
        assert!(insert(&used, 0));
        for number in 1..=2 * MOST {
            assert!(insert(&used, number));
            used.exchange_failed(state(number));
        }
        assert!(!insert(&used, 0), "usable again");
        assert!(!used.contains(&state(MOST)) && used.contains(&state(2 * MOST)));
        assert_eq!(used.lock().numbers.len(), MOST);
    }
}
