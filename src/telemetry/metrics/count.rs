//! Counters without contention between threads.
//! Invariant: counting a request writes to a cache line that no other worker writes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::telemetry::metrics::label::Label;

/// One `T` per worker. A scrape adds them up.
#[derive(Debug)]
pub(super) struct Sharded<T>(Box<[Line<T>]>);

/// Two cache lines of 64 bytes, because processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

impl<T: Default> Sharded<T> {
    /// One for each of `threads` threads. More threads share them.
    pub(super) fn new(threads: usize) -> Self {
        let shards = threads.clamp(1, MOST_SHARDS).next_power_of_two();
        Self((0..shards).map(|_| Line::default()).collect())
    }

    /// That of this thread.
    pub(super) fn mine(&self) -> &T {
        let at = THREAD.with(|number| *number) & (self.0.len() - 1);
        #[expect(clippy::indexing_slicing, reason = "masked by a length that is a power of two")]
        &self.0[at].0
    }

    /// Those of all threads.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|line| &line.0)
    }
}

thread_local! {
    /// Threads are numbered in order, so that workers, which start together, share no shard.
    static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

const MOST_SHARDS: usize = 64;

/// A counter for each word of a list.
#[derive(Debug)]
pub(super) struct Counts<L: Label>(L::Cells);

impl<L: Label> Default for Counts<L> {
    fn default() -> Self {
        Self(L::Cells::default())
    }
}

impl<L: Label> Counts<L> {
    /// Counts one. Returns the count before.
    pub(super) fn count(&self, label: L) -> u64 {
        self.0.as_ref().get(label.place()).map_or(0, |count| count.fetch_add(1, Ordering::Relaxed))
    }

    /// The count.
    pub(super) fn get(&self, label: L) -> u64 {
        self.0.as_ref().get(label.place()).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

/// A histogram of durations.
#[derive(Debug, Default)]
pub(super) struct Durations {
    /// Counts up to each of [`BOUNDS`], and above.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Durations {
    pub(super) fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS.iter().filter(|bound| micros > **bound).count();
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// Added-up [`Durations`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    buckets: [u64; BOUNDS.len() + 1],
    micros: u64,
}

impl Tally {
    pub(super) fn of<'d>(parts: impl IntoIterator<Item = &'d Durations>) -> Self {
        let mut tally = Self::default();
        for part in parts {
            tally.micros = tally.micros.wrapping_add(part.micros.load(Ordering::Relaxed));
            for (sum, bucket) in tally.buckets.iter_mut().zip(&part.buckets) {
                *sum += bucket.load(Ordering::Relaxed);
            }
        }
        tally
    }

    /// The sum in seconds.
    pub(super) fn sum(&self) -> f64 {
        Duration::from_micros(self.micros).as_secs_f64()
    }

    /// The number of durations.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Each bound in seconds, with the number of durations between the previous bound and this one.
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(|bound| Duration::from_micros(*bound).as_secs_f64());
        bounds.chain([f64::INFINITY]).zip(self.buckets).collect()
    }
}

/// Bounds in microseconds.
const BOUNDS: [u64; 13] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::label::StatusClass;

    #[test]
    fn what_many_threads_count_adds_up() {
        let sharded: Sharded<Counts<StatusClass>> = Sharded::new(3);
        assert_eq!(sharded.all().count(), 4);
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        sharded.mine().count(StatusClass::Successful);
                    }
                });
            }
        });
        let of = |class| sharded.all().map(|counts| counts.get(class)).sum::<u64>();
        assert_eq!((of(StatusClass::Successful), of(StatusClass::ClientError)), (10_000, 0));
    }

    #[test]
    fn shards_share_no_line() {
        let sharded: Sharded<AtomicU64> = Sharded::new(2);
        let at: Vec<_> = sharded.all().map(|shard| std::ptr::from_ref(shard) as usize).collect();
        assert_eq!((at[0] % 128, at[1] - at[0]), (0, 128));
    }

    #[track_caller]
    fn check(micros: u64, bound: f64) {
        let durations = Durations::default();
        durations.record(Duration::from_micros(micros));
        let tally = Tally::of([&durations]);
        let of = tally.buckets().into_iter().find(|(_, count)| *count == 1).unwrap().0;
        assert_eq!(of, bound, "{micros} µs");
        assert_eq!(tally.count(), 1);
        assert!((tally.sum() - micros as f64 / 1e6).abs() < 1e-9);
    }

    #[test]
    fn a_duration_falls_into_the_bucket_that_ends_with_it() {
        check(0, 0.001);
        check(1_000, 0.001);
        check(1_001, 0.0025);
        check(10_000_000, 10.0);
        check(10_000_001, f64::INFINITY);
    }
}
