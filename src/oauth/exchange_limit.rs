//! Rate limit and circuit breaker of code exchanges, by client address: a client that guesses codes, or sends
//! codes at which the provider fails, slows down no other client.
//! Invariants: an exchange counts as unsuccessful from the moment it is allowed until it succeeds, so a client
//! cannot hide one by disconnecting. The record of an address is removed only after `MEMORY` without an exchange,
//! or after exchanges of `MOST` other addresses.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::client_address::ClientAddress;
use crate::clock::{Clock, Moment};
use crate::lock::lock;
use crate::oauth::breaker::Circuit;
use crate::oauth::error::Error;

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

/// An allowed exchange. It stays counted unless its success is reported, or it is dropped before it is sent.
#[derive(Debug)]
pub struct Attempt {
    limit: Arc<ExchangeLimit>,
    address: ClientAddress,
    number: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Unsent,
    Sent,
}

#[derive(Debug, Default)]
struct State {
    /// Exchanges so far, which number each exchange.
    exchanges: u64,
    records: HashMap<ClientAddress, Record>,
    /// The addresses of `records`, by the number of their last exchange.
    recent: BTreeMap<u64, ClientAddress>,
}

#[derive(Debug)]
struct Record {
    /// The number and the time of its last exchange.
    last: (u64, Moment),
    /// Number and time of the exchanges of the last second that have not succeeded.
    unsuccessful: VecDeque<(u64, Moment)>,
    /// Whether the provider failed at the last one.
    provider_failed: bool,
    circuit: Circuit,
}

impl ExchangeLimit {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Allows an exchange, or returns why not.
    pub(super) fn allow(self: &Arc<Self>, address: ClientAddress) -> Result<Attempt, Error> {
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
        let allowed = record.allow(number, now);
        if allowed.is_ok() {
            state.exchanges += 1;
            state.recent.remove(&before);
            state.recent.insert(number, address);
        }
        allowed.map(|()| Attempt { limit: Arc::clone(self), address, number, stage: Stage::Unsent })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Attempt {
    /// Marks the request as sent. From now on only success takes it off the count.
    pub(super) fn sent(&mut self) {
        self.stage = Stage::Sent;
    }

    /// Reports the result of the token request.
    pub(super) fn ended<T>(self, result: &Result<T, Error>) {
        let now = self.limit.clock.moment();
        let mut state = self.limit.lock();
        if let Some(record) = state.records.get_mut(&self.address) {
            record.provider_failed = result.as_ref().is_err_and(|error| {
                let rejected = matches!(error, Error::Rejected(_) | Error::Unauthenticated(_));
                !rejected || error.is_temporary()
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
        if self.stage == Stage::Unsent {
            self.limit.lock().uncount(self.address, self.number);
        }
    }
}

impl Record {
    fn allow(&mut self, number: u64, now: Moment) -> Result<(), Error> {
        while self.unsuccessful.front().is_some_and(|(_, sent)| now.since(*sent) >= SECOND) {
            self.unsuccessful.pop_front();
        }
        if self.unsuccessful.len() >= MOST_A_SECOND {
            let failed = self.provider_failed;
            return Err(if failed { Error::CircuitOpen } else { Error::TooManyFailures });
        }
        // SECURITY: by address, because the provider may fail at certain codes: one address that sends such codes
        // must not stop the sign-ins of all others.
        if !self.circuit.allow(now) {
            return Err(Error::CircuitOpen);
        }
        self.unsuccessful.push_back((number, now));
        self.last = (number, now);
        Ok(())
    }
}

impl State {
    /// Removes records older than `MEMORY`. If a new address still finds no room, removes the record with the
    /// oldest exchange.
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
/// How long a record is kept; longer than the pause of a circuit breaker.
const MEMORY: Duration = Duration::from_secs(60);
/// Records that are kept. Each new address costs an exchange, and the number of concurrent exchanges is limited,
/// so an attacker cannot use so many addresses within the second of the rate limit.
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

    /// Sends a code whose exchange has this result.
    fn exchange(
        limit: &Arc<ExchangeLimit>,
        from: ClientAddress,
        result: &Result<(), Error>,
    ) -> Result<(), Error> {
        let mut attempt = limit.allow(from)?;
        attempt.sent();
        attempt.ended(result);
        Ok(())
    }

    fn rejected() -> Result<(), Error> {
        Err(Error::Rejected(ErrorResponse::new("invalid_grant", "")))
    }

    const FAILED: Result<(), Error> = Err(Error::Garbage("x"));

    #[test]
    fn eleventh_rejected_code_within_a_second_is_too_many() {
        let (clock, limit) = limit();
        for number in 0..10 {
            exchange(&limit, address(1), &rejected()).unwrap();
            clock.advance(Duration::from_millis(if number == 0 { 500 } else { 0 }));
        }
        assert_eq!(limit.allow(address(1)).unwrap_err(), Error::TooManyFailures);
        assert!(limit.allow(address(2)).is_ok(), "another address");
        clock.advance(Duration::from_millis(500));
        exchange(&limit, address(1), &rejected()).unwrap();
        let again = exchange(&limit, address(1), &rejected());
        assert_eq!(again.unwrap_err(), Error::TooManyFailures, "nine are less than a second old");
        clock.advance(Duration::from_millis(500));
        exchange(&limit, address(1), &rejected()).unwrap();
    }

    #[test]
    fn exchange_counts_from_its_permission_until_it_succeeds() {
        let (_, limit) = limit();
        let mut sent: Vec<_> = (0..10).map(|_| limit.allow(address(1)).unwrap()).collect();
        sent.iter_mut().for_each(Attempt::sent);
        assert!(limit.allow(address(1)).is_err());
        sent.pop().unwrap().ended(&Ok::<_, Error>(()));
        let unsent = limit.allow(address(1)).unwrap();
        assert!(limit.allow(address(1)).is_err());
        drop(unsent);
        assert!(limit.allow(address(1)).is_ok(), "an unsent one does not count");
        // A client that disconnects before the response has sent the code all the same.
        drop(sent.pop().unwrap());
        let mut last = limit.allow(address(1)).unwrap();
        last.sent();
        assert!(limit.allow(address(1)).is_err());
    }

    #[test]
    fn successful_exchanges_are_not_limited_and_leave_no_record() {
        let (_, limit) = limit();
        for _ in 0..100 {
            exchange(&limit, address(1), &Ok(())).unwrap();
        }
        let state = limit.lock();
        assert_eq!((state.records.len(), state.recent.len()), (0, 0));
    }

    #[test]
    fn limit_reached_by_failures_of_provider_reports_open_circuit() {
        let (_, limit) = limit();
        for _ in 0..5 {
            exchange(&limit, address(1), &rejected()).unwrap();
            exchange(&limit, address(1), &FAILED).unwrap();
        }
        assert_eq!(limit.allow(address(1)).unwrap_err(), Error::CircuitOpen);
    }

    #[test]
    fn failures_of_one_address_open_no_circuit_for_others() {
        let (clock, limit) = limit();
        for _ in 0..5 {
            exchange(&limit, address(1), &FAILED).unwrap();
        }
        assert_eq!(limit.allow(address(1)).unwrap_err(), Error::CircuitOpen);
        assert!(limit.allow(address(2)).is_ok());
        clock.advance(Duration::from_secs(5));
        exchange(&limit, address(1), &Ok(())).unwrap();
        assert!(limit.allow(address(1)).is_ok(), "a success closes the circuit");
    }

    #[test]
    fn flood_of_addresses_resets_no_count_and_is_bounded() {
        let (clock, limit) = limit();
        for _ in 0..10 {
            exchange(&limit, address(0), &rejected()).unwrap();
        }
        for number in 1..u32::try_from(MOST).unwrap() {
            exchange(&limit, address(number), &rejected()).unwrap();
        }
        assert_eq!(limit.allow(address(0)).unwrap_err(), Error::TooManyFailures);
        for number in 0..1000 {
            exchange(&limit, address(1 << 20 | number), &rejected()).unwrap();
        }
        assert_eq!(limit.lock().records.len(), MOST);
        clock.advance(MEMORY);
        drop(limit.allow(address(1)).unwrap());
        let state = limit.lock();
        assert_eq!((state.records.len(), state.recent.len()), (0, 0), "removed after a while");
    }
}
