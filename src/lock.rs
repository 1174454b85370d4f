//! Locking of mutexes that a panic may have poisoned.
//! Invariant: a panic fails one request, not all that follow. Every value behind a lock is valid between two
//! statements, so the next holder can use it.

use std::sync::{LockResult, Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, even if its last holder panicked.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    unpoisoned(mutex.lock())
}

/// The guard in `result`, even after a panic. For a wait on a condition variable, which locks by itself.
pub fn unpoisoned<G>(result: LockResult<G>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_after_panic_of_holder_returns_last_value() {
        let mutex = Mutex::new(1);
        let holder = std::thread::scope(|scope| {
            let panics = || {
                *lock(&mutex) = 2;
                let _guard = lock(&mutex);
                panic!("the holder panics");
            };
            scope.spawn(panics).join()
        });
        assert!(holder.is_err() && mutex.is_poisoned());
        assert_eq!(*lock(&mutex), 2);
    }
}
