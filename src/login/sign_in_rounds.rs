//! Completed sign-ins whose session no page has accepted, by browser: the rounds of a redirect cycle.
//! Invariants: a sign-in counts only if it began after the one before had completed, so tabs that sign in at once do
//! not count; a request that is decided on with a session, or ends it, ends the row; three rounds of the same target are
//! a cycle, and of several targets, as of a browser that restores its tabs and loses some responses, only twice as many
//! whose session no request brought. Nothing is kept for a sign-in that does not complete, so a flood of visitors costs
//! no memory, and of those that do few are kept, for about a minute: about 500 bytes each, and more where sessions ended
//! with a reason.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::lock::lock;
use crate::login::generations::{BrowserHash, Generations};
use crate::session::cookie_receipt::CookieReceipt;

/// The hash of the requested target of a sign-in, as it was written. In a cycle it is always the same.
pub type TargetHash = [u8; 16];

/// How long before a sign-in began the two before it with the same target had completed, in milliseconds: what another
/// instance has to know of the row, as a part of the state.
pub type EarlierRounds = [Option<u16>; ROUNDS - 1];

/// The last sign-ins of each browser.
#[derive(Debug, Default)]
pub struct SignInRounds(Mutex<Rows>);

#[derive(Debug, Default)]
struct Rows(Generations<Vec<Round>>);

/// A completed sign-in.
#[derive(Clone, Debug)]
struct Round {
    /// When, since 1970.
    completed: Duration,
    /// Its target, and what became of its session; `None` if it completed at another instance.
    known: Option<(TargetHash, Arc<CookieReceipt>)>,
}

/// What became of the sessions of a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostSessions {
    /// No request brought one of them here.
    NotReceived,
    /// Only requests that sign in brought them.
    AtSignInOnly,
    /// A request brought the last such one, and it was of no use.
    Unusable(Box<str>),
}

/// A sign-in that completes.
#[derive(Debug)]
pub(super) struct Completed<'a> {
    /// When it began, since 1970.
    pub begun: Duration,
    /// When it completes.
    pub now: Duration,
    /// The requested target.
    pub target: TargetHash,
    /// The row that its `start` saw.
    pub earlier: EarlierRounds,
    /// What becomes of its session.
    pub receipt: &'a Arc<CookieReceipt>,
}

impl SignInRounds {
    /// What became of the sessions of a browser that has completed so many sign-ins in a row that the next one, which
    /// `begun` at this time, would not help either. Of many tabs, most have begun before the first of them completes.
    pub(super) fn cycle(
        &self,
        browser: &BrowserHash,
        target: &TargetHash,
        begun: Duration,
        now: Duration,
    ) -> Option<LostSessions> {
        let mut row = lock(&self.0).row(browser, now);
        row.retain(|round| round.completed <= begun);
        let of_target = row.iter().filter(|round| round.has_target(target)).count();
        let lost = row.iter().filter(|round| !round.is_received()).count();
        if of_target < ROUNDS && lost < LONGEST {
            return None;
        }
        let receipts = || row.iter().rev().filter_map(Round::receipt);
        Some(match receipts().find_map(CookieReceipt::unusable) {
            Some(reason) => LostSessions::Unusable(reason.into()),
            None if receipts().any(CookieReceipt::is_received) => LostSessions::AtSignInOnly,
            None => LostSessions::NotReceived,
        })
    }

    /// The rounds of a browser with this target, for the state of a sign-in that begins now.
    pub(super) fn earlier(
        &self,
        browser: &BrowserHash,
        target: &TargetHash,
        now: Duration,
    ) -> EarlierRounds {
        let mut ages = [None; ROUNDS - 1];
        let row = lock(&self.0).row(browser, now);
        let of_target = row.iter().rev().filter(|round| round.has_target(target));
        for (age, round) in ages.iter_mut().zip(of_target) {
            *age = u16::try_from(in_millis(now).saturating_sub(round.completed).as_millis()).ok();
        }
        ages
    }

    /// Adds a sign-in to the row of its browser.
    pub(super) fn completed(&self, browser: BrowserHash, sign_in: &Completed<'_>) {
        let now = in_millis(sign_in.now);
        let mut rows = lock(&self.0);
        let own = rows.row(&browser, now);
        // Another instance may have completed more of the row than this one.
        let mut theirs = sign_in.earlier_rounds();
        // What `start` saw may have changed since: a request was decided on with one of these sessions.
        let accepted = rows.last_accepted(&browser);
        theirs.retain(|round| accepted.is_none_or(|accepted| round.completed > accepted));
        let of_target = own.iter().filter(|round| round.has_target(&sign_in.target)).count();
        let mut row = if theirs.len() > of_target { theirs } else { own };
        if row.last().is_some_and(|last| last.completed > sign_in.begun) {
            return;
        }
        let known = Some((sign_in.target, Arc::clone(sign_in.receipt)));
        row.push(Round { completed: now, known });
        let surplus = row.len().saturating_sub(LONGEST);
        row.drain(..surplus);
        rows.0.insert(browser, row, now, WINDOW);
    }
}

impl Completed<'_> {
    fn earlier_rounds(&self) -> Vec<Round> {
        let ages = self.earlier.iter().rev().flatten();
        let completed =
            ages.map(|age| self.begun.saturating_sub(Duration::from_millis((*age).into())));
        let rounds = completed.map(|completed| Round { completed, known: None });
        rounds.filter(|round| round.is_recent(self.now)).collect()
    }
}

impl Round {
    fn is_recent(&self, now: Duration) -> bool {
        now.saturating_sub(self.completed) <= WINDOW
    }

    fn receipt(&self) -> Option<&CookieReceipt> {
        self.known.as_ref().map(|(_, receipt)| &**receipt)
    }

    fn is_accepted(&self) -> bool {
        self.receipt().is_some_and(CookieReceipt::is_accepted)
    }

    fn is_received(&self) -> bool {
        self.receipt().is_some_and(CookieReceipt::is_received)
    }

    /// Another instance tells only of rounds with the target of the sign-in that began there.
    fn has_target(&self, target: &TargetHash) -> bool {
        self.known.as_ref().is_none_or(|(its, _)| its == target)
    }
}

impl Rows {
    /// The recent sign-ins after the last one whose session was accepted, oldest first.
    fn row(&self, browser: &BrowserHash, now: Duration) -> Vec<Round> {
        let rounds = self.0.get(browser).map_or(&[][..], Vec::as_slice);
        let newest_first = rounds.iter().rev();
        let row = newest_first.take_while(|round| !round.is_accepted() && round.is_recent(now));
        let mut row: Vec<Round> = row.cloned().collect();
        row.reverse();
        row
    }

    /// When the last sign-in completed whose session was accepted.
    fn last_accepted(&self, browser: &BrowserHash) -> Option<Duration> {
        let accepted = self.0.get(browser)?.iter().rev().find(|round| round.is_accepted());
        accepted.map(|round| round.completed)
    }
}

/// Whole milliseconds, as in a state, so that the same time is equal on both ways.
fn in_millis(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// So many sign-ins in a row to one target, without a request that is decided on with one of their sessions, are a cycle.
pub(super) const ROUNDS: usize = 3;
/// The longest row that is kept: two tabs with a cycle each alternate. So many lost sessions are a cycle of any target.
const LONGEST: usize = 2 * ROUNDS;
/// A cycle goes as fast as the browser follows redirects, or as a user fills in the form of the provider.
const WINDOW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: BrowserHash = [1; 16];
    const TARGET: TargetHash = [3; 16];
    const START: Duration = Duration::from_secs(1_800_000_000);

    /// A moment of a test.
    fn at(seconds: u64) -> Duration {
        START + Duration::from_secs(seconds)
    }

    impl SignInRounds {
        /// What a sign-in that begins now meets.
        fn cycle_at(
            &self,
            browser: &BrowserHash,
            target: &TargetHash,
            now: Duration,
        ) -> Option<LostSessions> {
            self.cycle(browser, target, now, now)
        }
    }

    /// Completes a sign-in that began at the first time, at the second one.
    fn sign_in(rounds: &SignInRounds, begun: u64, now: u64) -> Arc<CookieReceipt> {
        let earlier = rounds.earlier(&BROWSER, &TARGET, at(begun));
        sign_in_after(rounds, earlier, begun, now)
    }

    fn sign_in_after(
        rounds: &SignInRounds,
        earlier: EarlierRounds,
        begun: u64,
        now: u64,
    ) -> Arc<CookieReceipt> {
        let receipt = Arc::default();
        let completed = Completed {
            begun: at(begun),
            now: at(now),
            target: TARGET,
            earlier,
            receipt: &receipt,
        };
        rounds.completed(BROWSER, &completed);
        receipt
    }

    #[test]
    fn third_sign_in_in_a_row_whose_session_no_request_brings_is_a_cycle() {
        let rounds = SignInRounds::default();
        for round in 0..3 {
            assert!(rounds.cycle_at(&BROWSER, &TARGET, at(round)).is_none(), "{round}");
            sign_in(&rounds, round, round + 1);
        }
        assert!(
            rounds.cycle_at(&BROWSER, &TARGET, at(3)).is_some()
                && rounds.cycle_at(&[2; 16], &TARGET, at(3)).is_none()
        );
        assert!(
            rounds.cycle_at(&BROWSER, &TARGET, at(61)).is_some()
                && rounds.cycle_at(&BROWSER, &TARGET, at(62)).is_none()
        );
    }

    #[test]
    fn request_that_is_decided_on_with_a_session_ends_the_row() {
        let rounds = SignInRounds::default();
        sign_in(&rounds, 0, 1);
        sign_in(&rounds, 1, 2).accept();
        sign_in(&rounds, 2, 3);
        sign_in(&rounds, 3, 4);
        assert!(rounds.cycle_at(&BROWSER, &TARGET, at(4)).is_none());
        let last = sign_in(&rounds, 4, 5);
        assert!(rounds.cycle_at(&BROWSER, &TARGET, at(5)).is_some());
        last.accept();
        assert!(rounds.cycle_at(&BROWSER, &TARGET, at(5)).is_none());
    }

    #[test]
    fn sign_ins_that_bring_the_session_before_are_a_cycle_only_with_the_same_target() {
        let rounds = SignInRounds::default();
        for round in 0..3 {
            sign_in(&rounds, round, round + 1).receive();
        }
        assert!(rounds.cycle_at(&BROWSER, &TARGET, at(3)).is_some());
        assert!(rounds.cycle_at(&BROWSER, &[4; 16], at(3)).is_none());
        // Two tabs that both go round in a circle, in turn.
        for round in 3..9 {
            let receipt = Arc::default();
            let target = [4 + u8::try_from(round % 2).unwrap(); 16];
            let earlier = rounds.earlier(&BROWSER, &target, at(round));
            let (begun, now) = (at(round), at(round + 1));
            let completed = Completed { begun, now, target, earlier, receipt: &receipt };
            rounds.completed(BROWSER, &completed);
            receipt.receive();
        }
        for target in [[4; 16], [5; 16]] {
            assert!(rounds.cycle_at(&BROWSER, &target, at(9)).is_some());
        }
    }

    #[test]
    fn cycle_says_what_became_of_its_sessions() {
        let rounds = SignInRounds::default();
        let receipts = [0, 1, 2].map(|round| sign_in(&rounds, round, round + 1));
        let cycle = || rounds.cycle_at(&BROWSER, &TARGET, at(3)).unwrap();
        assert_eq!(cycle(), LostSessions::NotReceived);
        receipts[1].receive();
        assert_eq!(cycle(), LostSessions::AtSignInOnly);
        receipts[0].reject("first");
        receipts[1].reject("why");
        receipts[1].reject("later");
        assert_eq!(cycle(), LostSessions::Unusable("why".into()));
    }

    #[test]
    fn session_that_is_accepted_during_the_next_sign_in_does_not_count() {
        let rounds = SignInRounds::default();
        for round in 0..9 {
            let earlier = rounds.earlier(&BROWSER, &TARGET, at(round));
            let before = rounds.0.lock().unwrap().row(&BROWSER, at(round)).pop();
            if let Some(Round { known: Some((_, receipt)), .. }) = before {
                receipt.accept();
            }
            sign_in_after(&rounds, earlier, round, round + 1);
            assert!(rounds.cycle_at(&BROWSER, &TARGET, at(round + 1)).is_none(), "{round}");
        }
    }

    #[test]
    fn sign_ins_that_overlap_do_not_count() {
        let rounds = SignInRounds::default();
        for tab in 0..10 {
            sign_in(&rounds, 0, 1 + tab);
        }
        assert!(rounds.cycle_at(&BROWSER, &TARGET, at(10)).is_none());
        // Two tabs that both go round in a circle do not hide each other's rounds.
        for round in [11, 21] {
            sign_in(&rounds, round, round + 2);
            sign_in(&rounds, round + 1, round + 3);
        }
        assert!(rounds.cycle_at(&BROWSER, &TARGET, at(24)).is_some());
    }

    #[test]
    fn sign_in_that_began_before_the_last_rounds_completed_is_no_further_one() {
        let rounds = SignInRounds::default();
        // Three responses are lost, and fifty tabs have begun in between.
        for round in 0..3 {
            sign_in(&rounds, 2 * round, 2 * round + 1);
        }
        let cycle = |begun| rounds.cycle(&BROWSER, &TARGET, at(begun), at(6));
        assert!([0, 2, 4].into_iter().all(|begun| cycle(begun).is_none()));
        assert!([5, 6].into_iter().all(|begun| cycle(begun).is_some()));
    }

    #[test]
    fn lost_sessions_of_several_targets_are_a_cycle_only_when_they_are_many() {
        let rounds = SignInRounds::default();
        let receipt = Arc::default();
        // Restored tabs, each with its own target, that lose their responses when the network changes.
        for tab in 0..6 {
            let (begun, now) = (at(tab.into()), at(u64::from(tab) + 1));
            for target in [[10 + tab; 16], [99; 16]] {
                assert!(rounds.cycle_at(&BROWSER, &target, begun).is_none(), "{tab}");
            }
            let target = [10 + tab; 16];
            let earlier = rounds.earlier(&BROWSER, &target, begun);
            let completed = Completed { begun, now, target, earlier, receipt: &receipt };
            rounds.completed(BROWSER, &completed);
        }
        assert_eq!(rounds.cycle_at(&BROWSER, &[99; 16], at(6)), Some(LostSessions::NotReceived));
    }

    #[test]
    fn rounds_at_two_instances_are_one_row() {
        let [one, other] = [(); 2].map(|()| SignInRounds::default());
        // A round robin: each sign-in starts at the instance at which the one before has completed.
        sign_in_after(&one, [None; 2], 0, 1);
        sign_in_after(&other, one.earlier(&BROWSER, &TARGET, at(1)), 1, 2);
        sign_in_after(&one, other.earlier(&BROWSER, &TARGET, at(2)), 2, 3);
        assert!(
            one.cycle_at(&BROWSER, &TARGET, at(3)).is_some()
                && other.cycle_at(&BROWSER, &TARGET, at(3)).is_none()
        );
    }
}
