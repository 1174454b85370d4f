//! Rate limit and circuit breaker of code exchanges, by client address: whoever guesses codes, or sends
//! what the provider fails at, is slowed down, and nobody else.
//! Invariants: an exchange counts as unsuccessful from the moment it is admitted until it succeeds, so
//! leaving before the answer hides none; an address is forgotten only when it has been quiet for
//! `MEMORY`, or after `MOST` others have come since, never because there are many now.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::breaker::Circuit;
use super::error::Error;
use crate::client_address::ClientAddress;
use crate::clock::{Clock, Moment};
use crate::lock::lock;

/// Counts the exchanges of one provider.
pub(super) struct ExchangeLimit {
    clock: Clock,
    state: Mutex<State>,
}

impl fmt::Debug for ExchangeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeLimit").finish_non_exhaustive()
    }
}

/// An exchange that was admitted. Unless its result is reported, or it is dropped unsent, it stays counted.
#[derive(Debug)]
pub struct Attempt {
    limit: Arc<ExchangeLimit>,
    address: ClientAddress,
    number: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Admitted,
    Sent,
}

#[derive(Debug, Default)]
struct State {
    /// Exchanges so far: each has its number.
    exchanges: u64,
    records: HashMap<ClientAddress, Record>,
    /// The addresses of `records`, by the number of their last exchange.
    recent: BTreeMap<u64, ClientAddress>,
}

#[derive(Debug)]
struct Record {
    /// The number and the time of its last exchange.
    last: (u64, Moment),
    /// Exchanges that have not succeeded, of the last second: number and time.
    unsuccessful: VecDeque<(u64, Moment)>,
    /// Whether the last result was that the provider failed.
    provider_failed: bool,
    circuit: Circuit,
}

impl ExchangeLimit {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Admits an exchange, or says why not.
    pub(super) fn admit(self: &Arc<Self>, address: ClientAddress) -> Result<Attempt, Error> {
        let (address, now) = (address.network(), self.clock.moment());
        let mut state = self.lock();
        state.make_room(address, now);
        let number = state.exchanges;
        let record = state.records.entry(address).or_insert_with(|| Record {
            last: (number, now),
            unsuccessful: VecDeque::new(),
            provider_failed: false,
            circuit: Circuit::default(),
        });
        let before = record.last.0;
        let admitted = record.admit(number, now);
        if admitted.is_ok() {
            state.exchanges += 1;
            state.recent.remove(&before);
            state.recent.insert(number, address);
        }
        admitted.map(|()| Attempt {
            limit: Arc::clone(self),
            address,
            number,
            stage: Stage::Admitted,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Attempt {
    /// The request leaves now: from here on only success takes it off the count.
    pub(super) fn sent(&mut self) {
        self.stage = Stage::Sent;
    }

    /// Reports the result of the token request.
    pub(super) fn ended<T>(self, result: &Result<T, Error>) {
        let now = self.limit.clock.moment();
        let mut state = self.limit.lock();
        if let Some(record) = state.records.get_mut(&self.address) {
            record.provider_failed = result.as_ref().is_err_and(|error| {
                let refused = matches!(error, Error::Rejected(_));
                !refused || error.is_temporary()
            });
            record.circuit.report(result, now);
        }
        if result.is_ok() {
            state.uncount(self.address, self.number);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.stage == Stage::Admitted {
            self.limit.lock().uncount(self.address, self.number);
        }
    }
}

impl Record {
    fn admit(&mut self, number: u64, now: Moment) -> Result<(), Error> {
        while self.unsuccessful.front().is_some_and(|(_, sent)| now.since(*sent) >= SECOND) {
            self.unsuccessful.pop_front();
        }
        if self.unsuccessful.len() >= MOST_A_SECOND {
            let failed = self.provider_failed;
            return Err(if failed { Error::CircuitOpen } else { Error::TooManyFailures });
        }
        // SECURITY: by address, for what the provider fails at may be the code: one address with junk
        // must not close the door for all.
        if !self.circuit.admit(now) {
            return Err(Error::CircuitOpen);
        }
        self.unsuccessful.push_back((number, now));
        self.last = (number, now);
        Ok(())
    }
}

impl State {
    /// Forgets whom nobody has to remember, and where there is no place for one more address, the one whose
    /// last exchange is the longest ago.
    fn make_room(&mut self, address: ClientAddress, now: Moment) {
        let is_new = !self.records.contains_key(&address);
        while let Some(entry) = self.recent.first_entry() {
            let record = self.records.get(entry.get());
            let is_quiet = record.is_none_or(|record| now.since(record.last.1) >= MEMORY);
            let is_full = is_new && self.records.len() >= MOST;
            if !is_quiet && !is_full {
                break;
            }
            self.records.remove(&entry.remove());
        }
    }

    /// Takes an exchange off the count.
    fn uncount(&mut self, address: ClientAddress, number: u64) {
        let Some(record) = self.records.get_mut(&address) else { return };
        record.unsuccessful.retain(|(other, _)| *other != number);
        if record.unsuccessful.is_empty() && record.circuit.is_clean() {
            let last = record.last.0;
            self.recent.remove(&last);
            self.records.remove(&address);
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MOST_A_SECOND: usize = 10;
/// How long failures of an address are in a row; longer than a provider rests.
const MEMORY: Duration = Duration::from_secs(60);
/// Addresses that are remembered. As each new one costs an exchange, and a provider has few to answer at a
/// time, nobody brings so many within the second that an address is counted by.
const MOST: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::error::ErrorResponse;

    fn limit() -> (Clock, Arc<ExchangeLimit>) {
        let clock = Clock::manual();
        (clock.clone(), Arc::new(ExchangeLimit::new(clock)))
    }

    fn address(number: u32) -> ClientAddress {
        ClientAddress::Known(std::net::Ipv4Addr::from_bits(number).into())
    }

    /// Sends a code whose exchange ends so.
    fn exchange(
        limit: &Arc<ExchangeLimit>,
        from: ClientAddress,
        result: &Result<(), Error>,
    ) -> Result<(), Error> {
        let mut attempt = limit.admit(from)?;
        attempt.sent();
        attempt.ended(result);
        Ok(())
    }

    fn refused() -> Result<(), Error> {
        Err(Error::Rejected(ErrorResponse::new("invalid_grant", "")))
    }

    const FAILED: Result<(), Error> = Err(Error::Garbage("x"));

    #[test]
    fn eleventh_refused_code_within_a_second_is_too_many() {
        let (clock, limit) = limit();
        for number in 0..10 {
            exchange(&limit, address(1), &refused()).unwrap();
            clock.advance(Duration::from_millis(if number == 0 { 500 } else { 0 }));
        }
        assert_eq!(limit.admit(address(1)).unwrap_err(), Error::TooManyFailures);
        assert!(limit.admit(address(2)).is_ok(), "another address");
        clock.advance(Duration::from_millis(500));
        exchange(&limit, address(1), &refused()).unwrap();
        let again = exchange(&limit, address(1), &refused());
        assert_eq!(again.unwrap_err(), Error::TooManyFailures, "nine are not a second old");
        clock.advance(Duration::from_millis(500));
        exchange(&limit, address(1), &refused()).unwrap();
    }

    #[test]
    fn exchange_counts_from_when_it_is_admitted_until_it_succeeds() {
        let (_, limit) = limit();
        let mut sent: Vec<_> = (0..10).map(|_| limit.admit(address(1)).unwrap()).collect();
        sent.iter_mut().for_each(Attempt::sent);
        assert!(limit.admit(address(1)).is_err());
        sent.pop().unwrap().ended(&Ok::<_, Error>(()));
        let unsent = limit.admit(address(1)).unwrap();
        assert!(limit.admit(address(1)).is_err());
        drop(unsent);
        assert!(limit.admit(address(1)).is_ok(), "what was not sent does not count");
        // Whoever leaves without waiting for the answer has sent it all the same.
        drop(sent.pop().unwrap());
        let mut last = limit.admit(address(1)).unwrap();
        last.sent();
        assert!(limit.admit(address(1)).is_err());
    }

    #[test]
    fn any_number_of_codes_that_succeed_is_admitted_and_leaves_nothing() {
        let (_, limit) = limit();
        for _ in 0..100 {
            exchange(&limit, address(1), &Ok(())).unwrap();
        }
        let state = limit.lock();
        assert_eq!((state.records.len(), state.recent.len()), (0, 0));
    }

    #[test]
    fn limit_that_is_reached_by_the_providers_failures_says_so() {
        let (_, limit) = limit();
        for _ in 0..5 {
            exchange(&limit, address(1), &refused()).unwrap();
            exchange(&limit, address(1), &FAILED).unwrap();
        }
        assert_eq!(limit.admit(address(1)).unwrap_err(), Error::CircuitOpen);
    }

    #[test]
    fn provider_that_fails_for_one_address_is_asked_for_the_others() {
        let (clock, limit) = limit();
        for _ in 0..5 {
            exchange(&limit, address(1), &FAILED).unwrap();
        }
        assert_eq!(limit.admit(address(1)).unwrap_err(), Error::CircuitOpen);
        assert!(limit.admit(address(2)).is_ok());
        clock.advance(Duration::from_secs(5));
        exchange(&limit, address(1), &Ok(())).unwrap();
        assert!(limit.admit(address(1)).is_ok(), "a success closes the circuit");
    }

    #[test]
    fn flood_of_addresses_resets_no_count_and_stays_bounded() {
        let (clock, limit) = limit();
        for _ in 0..10 {
            exchange(&limit, address(0), &refused()).unwrap();
        }
        for number in 1..u32::try_from(MOST).unwrap() {
            exchange(&limit, address(number), &refused()).unwrap();
        }
        assert_eq!(limit.admit(address(0)).unwrap_err(), Error::TooManyFailures);
        for number in 0..1000 {
            exchange(&limit, address(1 << 20 | number), &refused()).unwrap();
        }
        assert_eq!(limit.lock().records.len(), MOST);
        clock.advance(MEMORY);
        drop(limit.admit(address(1)).unwrap());
        let state = limit.lock();
        assert_eq!((state.records.len(), state.recent.len()), (0, 0), "forgotten in time");
    }
}
