//! Locks of the standard library, taken where a panic may have left one poisoned.
//! Invariant: one panic fails one request. Every value behind a lock is whole between two statements, so
//! the next holder goes on with it; passing the poison on would fail every request after the first.

use std::sync::{LockResult, Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also after a panic of its last holder.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    unpoisoned(mutex.lock())
}

/// The guard in `result`, also after a panic: for a wait on a condition variable, which locks by itself.
pub fn unpoisoned<G>(result: LockResult<G>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_after_holder_panicked_gives_last_value() {
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
