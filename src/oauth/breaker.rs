//! A provider that fails again and again is left alone for a moment, then tried once.
//! Invariant: after `FAILURES` temporary failures in a row at most one request passes in each
//! `REST`, and nobody has to hand anything back: a trial whose asker went away blocks nothing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::error::Error;
use crate::clock::{Clock, Moment};

/// Counts failures in a row.
#[derive(Debug)]
pub(super) struct Breaker {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// When the next trial may start; meaningful once there are `FAILURES`.
    next_trial: Option<Moment>,
}

/// A request that was let through, and whose result is to be reported.
#[derive(Debug)]
pub(super) struct Trial<'a>(&'a Breaker);

impl Breaker {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Lets a request through, or refuses it at once.
    pub(super) fn admit(&self) -> Result<Trial<'_>, Error> {
        let now = self.clock.moment();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failures >= FAILURES {
            if state.next_trial.is_some_and(|next| now < next) {
                return Err(Error::Resting);
            }
            state.next_trial = Some(now.after(REST));
        }
        Ok(Trial(self))
    }
}

impl Trial<'_> {
    /// Counts the result: a refusal in the standard's words is a sign of life.
    pub(super) fn report<T>(self, result: &Result<T, Error>) {
        let next_trial = self.0.clock.moment().after(REST);
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if result.as_ref().is_err_and(Error::is_temporary) {
            state.failures = state.failures.saturating_add(1);
            state.next_trial = Some(next_trial);
        } else {
            *state = State::default();
        }
    }
}

const FAILURES: u32 = 5;
const REST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::error::Refusal;

    fn broken() -> (Clock, Breaker) {
        let clock = Clock::standing();
        let breaker = Breaker::new(clock.clone());
        for _ in 0..FAILURES {
            breaker.admit().unwrap().report::<()>(&Err(Error::Garbage("x")));
        }
        (clock, breaker)
    }

    #[test]
    fn five_failures_in_a_row_close_the_door_for_five_seconds() {
        let (clock, breaker) = broken();
        assert_eq!(breaker.admit().unwrap_err(), Error::Resting);
        clock.advance(REST);
        assert!(breaker.admit().is_ok());
        assert_eq!(breaker.admit().unwrap_err(), Error::Resting, "one trial only");
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
        let breaker = Breaker::new(Clock::standing());
        for _ in 0..20 {
            let refused = Error::Refused(Refusal::new("invalid_grant", ""));
            breaker.admit().unwrap().report::<()>(&Err(refused));
        }
        assert!(breaker.admit().is_ok());
    }
}
