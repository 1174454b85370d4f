//! Circuit breaker: a provider that fails again and again is left alone for a moment, then tried once.
//! Invariant: after `FAILURES` temporary failures in a row at most one request passes in each
//! `REST`, and nobody has to hand anything back: a trial whose asker went away blocks nothing.

use std::sync::Mutex;
use std::time::Duration;

use super::error::Error;
use crate::clock::{Clock, Moment};
use crate::lock::lock;

/// Counts failures in a row of one kind of request, whoever it is for.
#[derive(Debug)]
pub(super) struct Breaker {
    clock: Clock,
    circuit: Mutex<Circuit>,
}

/// The state of a circuit breaker.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    failures: u32,
    /// When the next trial may start; meaningful once there are `FAILURES`.
    next_trial: Option<Moment>,
}

/// A request that was let through, and whose result is to be reported.
#[derive(Debug)]
pub(super) struct Trial<'a>(&'a Breaker);

impl Breaker {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, circuit: Mutex::default() }
    }

    /// Lets a request through, or refuses it at once.
    pub(super) fn admit(&self) -> Result<Trial<'_>, Error> {
        let mut circuit = lock(&self.circuit);
        if circuit.admit(self.clock.moment()) { Ok(Trial(self)) } else { Err(Error::CircuitOpen) }
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
    /// Whether a request may be sent now; while the circuit is open, this one is its trial.
    pub(super) fn admit(&mut self, now: Moment) -> bool {
        if self.failures < FAILURES {
            return true;
        }
        let admitted = self.next_trial.is_none_or(|next| now >= next);
        if admitted {
            self.next_trial = Some(now.after(REST));
        }
        admitted
    }

    /// Counts a result: a refusal in the standard's words is a sign of life.
    pub(super) fn report<T>(&mut self, result: &Result<T, Error>, now: Moment) {
        if result.as_ref().is_err_and(Error::is_temporary) {
            self.failures = self.failures.saturating_add(1);
            self.next_trial = Some(now.after(REST));
        } else {
            *self = Self::default();
        }
    }

    /// Whether nothing has failed since the last sign of life.
    pub(super) fn is_clean(&self) -> bool {
        self.failures == 0
    }
}

const FAILURES: u32 = 5;
const REST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::error::ErrorResponse;

    fn broken() -> (Clock, Breaker) {
        let clock = Clock::manual();
        let breaker = Breaker::new(clock.clone());
        for _ in 0..FAILURES {
            breaker.admit().unwrap().report::<()>(&Err(Error::Garbage("x")));
        }
        (clock, breaker)
    }

    #[test]
    fn five_failures_in_a_row_close_the_door_for_five_seconds() {
        let (clock, breaker) = broken();
        assert_eq!(breaker.admit().unwrap_err(), Error::CircuitOpen);
        clock.advance(REST);
        assert!(breaker.admit().is_ok());
        assert_eq!(breaker.admit().unwrap_err(), Error::CircuitOpen, "one trial only");
    }

    #[test]
    fn a_trial_that_succeeds_opens_the_door() {
        let (clock, breaker) = broken();
        clock.advance(REST);
        breaker.admit().unwrap().report(&Ok(()));
        assert!(breaker.admit().is_ok() && breaker.admit().is_ok());
    }

    #[test]
    fn a_trial_that_nobody_reports_blocks_nothing() {
        let (clock, breaker) = broken();
        clock.advance(REST);
        breaker.admit().unwrap();
        clock.advance(REST);
        assert!(breaker.admit().is_ok());
    }

    #[test]
    fn a_refusal_is_a_sign_of_life() {
        let breaker = Breaker::new(Clock::manual());
        for _ in 0..20 {
            let refused = Error::Rejected(ErrorResponse::new("invalid_grant", ""));
            breaker.admit().unwrap().report::<()>(&Err(refused));
        }
        assert!(breaker.admit().is_ok());
    }
}
