//! What is known of the record of a session in this process.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Moment;
use crate::lock::lock;
use crate::session::StoreUnavailable;
use crate::session::redis::record::Generation;
use crate::single_flight::SingleFlight;

/// When the record of a session was read, and how a change of it would be noticed.
#[derive(Debug)]
pub(in crate::session) struct Reading {
    generation: Mutex<Generation>,
    /// When it was read last, in milliseconds of the clock.
    at: AtomicU64,
    /// The connection that reports changes since then.
    link: AtomicU64,
    /// Whether the record has changed since.
    is_outdated: AtomicBool,
    /// How many changes were reported.
    changes: AtomicU64,
    /// Whether a request uses the session, which is not recorded in Redis yet.
    is_used: AtomicBool,
    /// When its lifetime was extended in Redis last, in milliseconds of the clock.
    extended: AtomicU64,
    /// Reads it again: whether the session still exists.
    pub(super) again: SingleFlight<(), Result<bool, StoreUnavailable>>,
}

/// How far a session can be used without reading its record again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// As good as read now.
    Current,
    /// It can be used, and should be read again.
    Aging,
    /// It has to be read again first.
    Stale,
}

impl Reading {
    /// A record of this generation that was read or written now, over this connection.
    pub(super) fn now(generation: Generation, at: Moment, link: u64) -> Self {
        Self {
            generation: Mutex::new(generation),
            at: AtomicU64::new(at.as_millis()),
            link: AtomicU64::new(link),
            is_outdated: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            is_used: AtomicBool::new(false),
            extended: AtomicU64::new(at.as_millis()),
            again: SingleFlight::new(()),
        }
    }

    /// Notes that the record was read or written, and has this generation: it was so at this moment, and changes since `changes` would have been
    /// reported over this connection. Returns whether it is known now, which it is not if it has changed meanwhile.
    pub(super) fn update(
        &self,
        generation: Generation,
        (at, link): (Moment, u64),
        changes: u64,
    ) -> bool {
        if *lock(&self.generation) != generation {
            return false;
        }
        self.at.store(at.as_millis(), Ordering::Relaxed);
        self.link.store(link, Ordering::Relaxed);
        self.is_outdated.store(false, Ordering::SeqCst);
        let is_known = self.changes() == changes;
        if !is_known {
            self.is_outdated.store(true, Ordering::SeqCst);
        }
        is_known
    }

    /// Puts a value in the place of the one that was read before, unless another one is there already.
    pub(super) fn switch(&self, before: Generation, now: Generation, put: impl FnOnce()) -> bool {
        let mut generation = lock(&self.generation);
        let is_next = *generation == before;
        if is_next {
            *generation = now;
            put();
        }
        is_next
    }

    /// Notes that the record has changed.
    pub(super) fn outdate(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.is_outdated.store(true, Ordering::SeqCst);
    }

    /// How many changes were reported.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// The value that was read or written last.
    pub(super) fn generation(&self) -> Generation {
        *lock(&self.generation)
    }

    /// Its age over the present connection, of which `None` is up. It should be read again after `aging`.
    pub(super) fn age(&self, now: Moment, link: Option<u64>, aging: Duration) -> Age {
        if self.is_outdated.load(Ordering::SeqCst)
            || link != Some(self.link.load(Ordering::Relaxed))
        {
            return Age::Stale;
        }
        let age = now.since(Moment::from_millis(self.at.load(Ordering::Relaxed)));
        if age < aging {
            Age::Current
        } else if age < aging * 2 {
            Age::Aging
        } else {
            Age::Stale
        }
    }

    /// Whether it can be used while it cannot be read again.
    pub(super) fn survives_outage(&self, now: Moment, outage_cache: Duration) -> bool {
        !self.is_outdated() && self.is_within(now, outage_cache)
    }

    /// Whether it was read not longer ago than this.
    pub(super) fn is_within(&self, now: Moment, longest: Duration) -> bool {
        now.since(Moment::from_millis(self.at.load(Ordering::Relaxed))) < longest
    }

    /// Whether it has changed since it was read.
    pub(super) fn is_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::SeqCst)
    }

    /// Notes that a request uses the session.
    pub(super) fn note_use(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// Whether a request has used the session since the last call.
    pub(super) fn take_use(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
    }

    /// Whether a use at `used` should extend the lifetime of the record.
    pub(super) fn extends(&self, used: Moment, interval: Duration) -> bool {
        used.since(Moment::from_millis(self.extended.load(Ordering::Relaxed))) >= interval
    }

    /// Notes that the lifetime of the record was extended by a use then.
    pub(super) fn extended(&self, used: Moment) {
        self.extended.fetch_max(used.as_millis(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_ages_and_is_of_one_connection() {
        let at = |seconds| Moment::from_millis(0).after(Duration::from_secs(seconds));
        let reading = Reading::now([0; 16], at(100), 1);
        let age = |seconds, link| reading.age(at(seconds), link, Duration::from_secs(5));
        assert_eq!(age(104, Some(1)), Age::Current);
        assert_eq!(age(105, Some(1)), Age::Aging);
        assert_eq!(age(109, Some(1)), Age::Aging);
        assert_eq!(age(110, Some(1)), Age::Stale);
        assert_eq!(age(104, Some(2)), Age::Stale);
        assert_eq!(age(104, None), Age::Stale);
    }

    #[test]
    fn change_while_a_record_is_read_is_not_lost() {
        let at = Moment::from_millis(0);
        let reading = Reading::now([0; 16], at, 1);
        let changes = reading.changes();
        reading.outdate();
        assert!(!reading.update([0; 16], (at, 1), changes));
        assert_eq!(reading.age(at, Some(1), Duration::from_secs(5)), Age::Stale);
        assert!(!reading.survives_outage(at, Duration::from_secs(30)));
        assert!(reading.update([0; 16], (at, 1), reading.changes()));
        assert!(!reading.update([1; 16], (at, 1), reading.changes()));
        assert_eq!(reading.age(at, Some(1), Duration::from_secs(5)), Age::Current);
        assert!(reading.survives_outage(at, Duration::from_secs(30)));
    }
}
