//! Circuit breaker of requests to a provider.
//! Invariant: after `FAILURES` temporary failures in a row at most one request is allowed in each `PAUSE`. A
//! request that is dropped without a report blocks no later one.

use std::sync::Mutex;
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::lock::lock;
use crate::oauth::error::Error;

/// Counts consecutive failures of one kind of request.
#[derive(Debug)]
pub(super) struct Breaker {
    clock: Clock,
    circuit: Mutex<Circuit>,
}

/// The state of a circuit breaker.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    failures: u32,
    /// When the next trial is allowed, once there are `FAILURES`.
    next_trial: Option<Moment>,
}

/// An allowed request, whose result must be reported.
#[derive(Debug)]
pub(super) struct Trial<'a>(&'a Breaker);

impl Breaker {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, circuit: Mutex::default() }
    }

    /// Allows a request, or returns [`Error::CircuitOpen`].
    pub(super) fn allow(&self) -> Result<Trial<'_>, Error> {
        let mut circuit = lock(&self.circuit);
        if circuit.allow(self.clock.moment()) { Ok(Trial(self)) } else { Err(Error::CircuitOpen) }
    }
}

impl Trial<'_> {
    /// Counts the result.
    pub(super) fn report<T>(self, result: &Result<T, Error>) {
        let now = self.0.clock.moment();
        lock(&self.0.circuit).report(result, now);
    }
}

impl Circuit {
    /// Whether a request can be sent now. While the circuit is open, it is a trial.
    pub(super) fn allow(&mut self, now: Moment) -> bool {
        if self.failures < FAILURES {
            return true;
        }
        let allowed = self.next_trial.is_none_or(|next| now >= next);
        if allowed {
            self.next_trial = Some(now.after(PAUSE));
        }
        allowed
    }

    /// Counts a result. An error response of the standard is no failure.
    pub(super) fn report<T>(&mut self, result: &Result<T, Error>, now: Moment) {
        if result.as_ref().is_err_and(Error::is_temporary) {
            self.failures = self.failures.saturating_add(1);
            self.next_trial = Some(now.after(PAUSE));
        } else {
            *self = Self::default();
        }
    }

    /// Whether the last result was no failure.
    pub(super) fn is_clean(&self) -> bool {
        self.failures == 0
    }
}

const FAILURES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::error::ErrorResponse;

    fn broken() -> (Clock, Breaker) {
        let clock = Clock::manual();
        let breaker = Breaker::new(clock.clone());
        for _ in 0..FAILURES {
            breaker.allow().unwrap().report::<()>(&Err(Error::Garbage("x")));
        }
        (clock, breaker)
    }

    #[test]
    fn fifth_failure_in_a_row_opens_circuit_for_five_seconds() {
        let (clock, breaker) = broken();
        assert_eq!(breaker.allow().unwrap_err(), Error::CircuitOpen);
        clock.advance(PAUSE);
        assert!(breaker.allow().is_ok());
        assert_eq!(breaker.allow().unwrap_err(), Error::CircuitOpen, "one trial only");
    }

    #[test]
    fn trial_that_succeeds_closes_circuit() {
        let (clock, breaker) = broken();
        clock.advance(PAUSE);
        breaker.allow().unwrap().report(&Ok(()));
        assert!(breaker.allow().is_ok() && breaker.allow().is_ok());
    }

    #[test]
    fn trial_without_report_blocks_nothing() {
        let (clock, breaker) = broken();
        clock.advance(PAUSE);
        breaker.allow().unwrap();
        clock.advance(PAUSE);
        assert!(breaker.allow().is_ok());
    }

    #[test]
    fn error_response_is_no_failure() {
        let breaker = Breaker::new(Clock::manual());
        for _ in 0..20 {
            let rejected = Error::Rejected(ErrorResponse::new("invalid_grant", ""));
            breaker.allow().unwrap().report::<()>(&Err(rejected));
        }
        assert!(breaker.allow().is_ok());
    }
}
