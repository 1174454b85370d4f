//! One refresh per session, however many ask.
//! Invariants: the call outlives whoever asked for it, for a rotated refresh token that nobody
//! stores signs the visitor out; what it brought is stored before anyone hears of it; every waiter
//! hears of it, also where the call panics; a failure is not repeated at once.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::clock::{Clock, Moment};
use crate::identity::Identity;
use crate::identity::refresh_baseline::RefreshBaseline;
use crate::oauth::token::TokenSet;
use crate::session::size_limit::{SizeLimit, TooLarge};
use crate::session::table::SessionTable;
use crate::session::{Freshness, Session, SessionData, Settings, Tokens};
use crate::single_flight::{SingleFlight, Started, Waiter};
use crate::telemetry::audit;

/// What the provider said to a refresh.
#[derive(Debug)]
pub enum RefreshOutcome {
    /// New tokens, and who they are about where claims came with them.
    Renewed(Box<RefreshedTokens>),
    /// It will never work again: the grant is gone, or the answer speaks of somebody else.
    Rejected,
    /// It did not work now.
    Unavailable,
}

/// What a refresh brought.
#[derive(Debug)]
pub struct RefreshedTokens {
    /// New tokens.
    pub tokens: TokenSet,
    /// Who it is by the new claims; `None` where none came.
    pub identity: Option<Identity>,
    /// What the next refresh is compared with.
    pub baseline: RefreshBaseline,
}

/// How a refresh ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshEffect {
    /// The session holds new tokens.
    Renewed,
    /// The session holds what it held.
    Kept,
    /// The session has ended.
    Ended,
}

/// Runs the refreshes of all sessions.
#[derive(Clone, Debug)]
pub struct Refresher {
    table: Arc<SessionTable>,
    clock: Clock,
    refresh_before: Duration,
    size_limit: Arc<SizeLimit>,
    tasks: TaskTracker,
}

/// A refresh under way, or its outcome.
#[derive(Debug)]
pub struct Flight(Result<Waiter<RefreshEffect>, RefreshEffect>);

/// The refresh of one session.
pub(super) type Refreshing = SingleFlight<RefreshState, RefreshEffect>;

/// What decides on the next refresh of one session.
#[derive(Debug, Default)]
pub(super) struct RefreshState {
    /// After a failure, the time of the next try.
    not_before: Option<Moment>,
    /// Whether the last try failed, and none has succeeded since.
    failed: bool,
}

impl Refresher {
    /// `tasks` owns the refreshes and is waited for before the process ends.
    pub fn new(
        table: Arc<SessionTable>,
        clock: Clock,
        settings: &Settings,
        size_limit: Arc<SizeLimit>,
        tasks: TaskTracker,
    ) -> Self {
        Self { table, clock, refresh_before: settings.refresh_before, size_limit, tasks }
    }

    /// Joins the refresh under way, or starts one by `renew`. `judged` is what the caller found due:
    /// where the session holds something newer already, there is nothing to do.
    pub fn refresh<F>(
        &self,
        session: &Arc<Session>,
        judged: &Arc<SessionData>,
        renew: impl FnOnce(Arc<SessionData>) -> F,
    ) -> Flight
    where
        F: Future<Output = RefreshOutcome> + Send + 'static,
    {
        let state = session.refreshing.lock();
        // Under the lock: a sign-out takes the session out first and then waits for the refresh under
        // way, so that none begins behind its back and brings a token that nobody revokes.
        if !self.table.contains(session.key()) {
            return Flight(Err(RefreshEffect::Ended));
        }
        if let Some(flight) = state.under_way() {
            return Flight(Ok(flight));
        }
        if !Arc::ptr_eq(&session.data(), judged) {
            return Flight(Err(RefreshEffect::Renewed));
        }
        if state.not_before.is_some_and(|moment| self.clock.moment() < moment) {
            return Flight(Err(RefreshEffect::Kept));
        }
        let (call, flight) = state.start();
        let (renewal, session, refresher) =
            (renew(Arc::clone(judged)), Arc::clone(session), self.clone());
        self.tasks.spawn(async move {
            refresher.settle(&session, call, renewal.await);
        });
        Flight(Ok(flight))
    }

    /// Stores what a refresh brought, and only then lets the next one begin.
    fn settle(&self, session: &Session, call: Started<RefreshEffect>, renewal: RefreshOutcome) {
        let failed = matches!(renewal, RefreshOutcome::Unavailable);
        let (outcome, pause) = match renewal {
            RefreshOutcome::Renewed(brought) => match self.store(session, *brought) {
                Ok(()) => {
                    let freshness = session.data().tokens.freshness(self.clock.moment());
                    // A token that is over as it comes would be asked for anew with every request.
                    let pause = (freshness == Freshness::Expired).then_some(PAUSE);
                    (RefreshEffect::Renewed, pause)
                }
                // SECURITY: with its old claims a session would keep groups that were taken away.
                Err(error) => {
                    self.end_too_large(session, error);
                    (RefreshEffect::Ended, Some(PAUSE))
                }
            },
            RefreshOutcome::Rejected => {
                self.table.remove(session.key());
                (RefreshEffect::Ended, Some(PAUSE))
            }
            RefreshOutcome::Unavailable => (RefreshEffect::Kept, Some(PAUSE)),
        };
        // SECURITY: who signed out while others waited is out for them too, whatever the provider said.
        let alive = self.table.contains(session.key());
        let outcome = if alive { outcome } else { RefreshEffect::Ended };
        session.refreshing.finish(call, |state| {
            state.not_before = pause.map(|pause| self.clock.moment().after(pause));
            state.failed = failed;
            outcome
        });
    }

    fn end_too_large(&self, session: &Session, error: TooLarge) {
        let (key, held) = (session.key(), session.data());
        let Identity { provider, subject, .. } = &held.identity;
        tracing::warn!(%provider, session = ?key, %error, "a session ends with its refresh");
        audit::ended_by_refresh(provider, subject, &key, "too_large");
        self.table.remove(key);
    }

    fn store(&self, session: &Session, brought: RefreshedTokens) -> Result<(), TooLarge> {
        let set = brought.tokens;
        let before = session.data();
        let mut tokens = Tokens::new(
            // RFC 6749 §6: without a new refresh token the old one stays good.
            TokenSet {
                refresh_token: set.refresh_token.or_else(|| before.tokens.refresh_token.clone()),
                ..set
            },
            self.refresh_before,
        );
        tokens.id_token = tokens.id_token.or_else(|| before.tokens.id_token.clone());
        let identity = brought.identity.unwrap_or_else(|| before.identity.clone());
        // What is dropped here was dropped and logged at the sign-in, too.
        let (data, _) = self.size_limit.fit(identity, brought.baseline, tokens)?;
        session.replace(data);
        Ok(())
    }
}

impl Session {
    /// Whether the last refresh failed: the next one is worth trying, and not worth waiting for.
    pub fn is_in_outage(&self) -> bool {
        self.refreshing.lock().failed
    }

    /// Waits until no refresh of this session is under way.
    pub async fn settled(&self) {
        let under_way = self.refreshing.lock().under_way();
        if let Some(flight) = under_way {
            Flight(Ok(flight)).outcome().await;
        }
    }
}

impl Flight {
    /// Waits for the outcome.
    pub async fn outcome(self) -> RefreshEffect {
        match self.0 {
            Err(outcome) => outcome,
            Ok(flight) => flight.result().await.unwrap_or(RefreshEffect::Kept),
        }
    }
}

/// After a failure: long enough to spare a struggling provider, short enough for its recovery.
const PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{Notify, oneshot};

    use super::*;
    use crate::secret::Secret;
    use crate::session::CookieSettings;
    use crate::session::tests::{baseline, person, session, token_set};

    struct Bench {
        refresher: Refresher,
        session: Arc<Session>,
        clock: Clock,
    }

    fn bench() -> Bench {
        let clock = Clock::manual();
        let settings = Settings {
            lifetime: Duration::from_secs(3600),
            idle_timeout: None,
            refresh_before: Duration::from_secs(60),
            outage_grace: Duration::from_secs(300),
            cookie: CookieSettings::default(),
            max_sessions: 10,
            max_sessions_per_user: 10,
            max_bytes: 1024,
            secrets: Vec::new(),
        };
        let table = Arc::new(SessionTable::new(&settings, clock.clone()));
        let session = Arc::new(session("alice", 0, Some("r1"), clock.moment()));
        table.insert(Arc::clone(&session));
        let limit = SizeLimit { max_bytes: settings.max_bytes, ..SizeLimit::default() };
        let (limit, tasks) = (Arc::new(limit), TaskTracker::new());
        let refresher = Refresher::new(table, clock.clone(), &settings, limit, tasks);
        Bench { refresher, session, clock }
    }

    fn tokens(access: &str, refresh: Option<&str>) -> RefreshOutcome {
        brought(token_set(access, 300, refresh), None)
    }

    fn brought(tokens: TokenSet, identity: Option<Identity>) -> RefreshOutcome {
        RefreshOutcome::Renewed(Box::new(RefreshedTokens {
            tokens,
            identity,
            baseline: baseline("alice"),
        }))
    }

    impl Bench {
        fn held(&self) -> Arc<SessionData> {
            Arc::clone(&self.session.data())
        }

        async fn refresh_with(&self, renewal: RefreshOutcome) -> RefreshEffect {
            let held = self.held();
            self.refresher.refresh(&self.session, &held, |_| async { renewal }).outcome().await
        }
    }

    #[tokio::test]
    async fn many_askers_make_one_request_and_all_hear_of_it() {
        let bench = bench();
        let (calls, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let held = bench.held();
        let flights: Vec<Flight> = (0..200)
            .map(|_| {
                let (calls, go) = (Arc::clone(&calls), Arc::clone(&go));
                bench.refresher.refresh(&bench.session, &held, |_| async move {
                    calls.fetch_add(1, Ordering::SeqCst);
                    go.notified().await;
                    tokens("new", Some("r2"))
                })
            })
            .collect();
        go.notify_one();
        for flight in flights {
            assert_eq!(flight.outcome().await, RefreshEffect::Renewed);
        }
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(bench.session.data().tokens.access_token.as_ref().unwrap().expose(), "new");
        // One who judged before it ended and asks after it does not ask the provider again.
        let late =
            bench.refresher.refresh(&bench.session, &held, |_| async { RefreshOutcome::Rejected });
        assert_eq!(late.outcome().await, RefreshEffect::Renewed);
    }

    #[tokio::test]
    async fn a_refresh_outlives_whoever_asked() {
        let bench = bench();
        let (go, gone) = oneshot::channel::<()>();
        let held = bench.held();
        let flight = bench.refresher.refresh(&bench.session, &held, |_| async move {
            drop(gone.await);
            tokens("new", None)
        });
        drop(flight);
        go.send(()).unwrap();
        bench.session.settled().await;
        let held = bench.held();
        assert_eq!(held.tokens.access_token.as_ref().unwrap().expose(), "new");
        assert_eq!(held.tokens.refresh_token.as_ref().unwrap().expose(), "r1");
        assert_eq!(held.tokens.freshness(bench.clock.moment()), Freshness::Fresh);
    }

    /// RFC 6749 §6, OpenID Connect Core §12.2: an ID token may be left out too, and a sign-out needs one.
    #[tokio::test]
    async fn what_a_refresh_does_not_bring_stays() {
        let bench = bench();
        let id_token = Some(Secret::new("i1"));
        let first = TokenSet { id_token, ..token_set("new", 300, Some("r2")) };
        for set in [first, token_set("newer", 300, None)] {
            assert_eq!(bench.refresh_with(brought(set, None)).await, RefreshEffect::Renewed);
        }
        let held = bench.held();
        assert_eq!(held.tokens.access_token.as_ref().unwrap().expose(), "newer");
        assert_eq!(held.tokens.refresh_token.as_ref().unwrap().expose(), "r2");
        assert_eq!(held.tokens.id_token.as_ref().unwrap().expose(), "i1");
    }

    #[tokio::test]
    async fn a_failure_is_told_to_all_and_not_repeated_at_once() {
        let bench = bench();
        assert_eq!(bench.refresh_with(RefreshOutcome::Unavailable).await, RefreshEffect::Kept);
        assert_eq!(bench.refresh_with(tokens("new", None)).await, RefreshEffect::Kept);
        bench.clock.advance(Duration::from_secs(5));
        assert_eq!(bench.refresh_with(tokens("new", None)).await, RefreshEffect::Renewed);
    }

    #[tokio::test]
    async fn a_token_that_is_over_as_it_comes_is_not_asked_for_again_at_once() {
        let bench = bench();
        let over = || brought(token_set("over", 0, Some("r2")), None);
        assert_eq!(bench.refresh_with(over()).await, RefreshEffect::Renewed);
        assert_eq!(bench.refresh_with(over()).await, RefreshEffect::Kept);
        bench.clock.advance(PAUSE);
        assert_eq!(bench.refresh_with(over()).await, RefreshEffect::Renewed);
    }

    #[tokio::test]
    async fn a_refusal_ends_the_session() {
        let bench = bench();
        let stream = bench.session.end_signal().token();
        assert_eq!(bench.refresh_with(RefreshOutcome::Rejected).await, RefreshEffect::Ended);
        assert!(stream.is_cancelled() && bench.refresher.table.is_empty());
    }

    #[tokio::test]
    async fn a_session_that_ended_meanwhile_stays_ended() {
        for renewal in [tokens("new", None), RefreshOutcome::Unavailable, RefreshOutcome::Rejected]
        {
            let (bench, go) = (bench(), Arc::new(Notify::new()));
            let (held, gone) = (bench.held(), Arc::clone(&go));
            let flight = bench.refresher.refresh(&bench.session, &held, |_| async move {
                gone.notified().await;
                renewal
            });
            bench.refresher.table.remove(bench.session.key());
            go.notify_one();
            assert_eq!(flight.outcome().await, RefreshEffect::Ended);
            assert!(bench.refresher.table.is_empty());
        }
    }

    #[tokio::test]
    async fn a_session_that_ended_before_is_not_refreshed() {
        let bench = bench();
        bench.refresher.table.remove(bench.session.key());
        let held = bench.held();
        let late = bench.refresher.refresh(&bench.session, &held, |_| async {
            panic!("its refresh token is spent after it was revoked");
        });
        assert_eq!(late.outcome().await, RefreshEffect::Ended);
    }

    #[tokio::test]
    async fn a_panic_leaves_nobody_waiting_and_the_next_may_try() {
        let bench = bench();
        let held = bench.held();
        let flight = bench.refresher.refresh(&bench.session, &held, |_| async {
            panic!("a fault in the client");
        });
        assert_eq!(flight.outcome().await, RefreshEffect::Kept);
        assert_eq!(bench.refresh_with(tokens("new", None)).await, RefreshEffect::Renewed);
    }

    #[tokio::test]
    async fn refresh_over_max_bytes_drops_what_nothing_uses_and_else_ends_the_session() {
        let bench = bench();
        let id_token = Some(Secret::new("i".repeat(1030)));
        let large = TokenSet { id_token, ..token_set("new", 300, Some("r2")) };
        assert_eq!(bench.refresh_with(brought(large, None)).await, RefreshEffect::Renewed);
        let held = bench.held();
        assert!(held.tokens.id_token.is_none() && held.tokens.access_token.is_some());
        let larger = token_set("new", 300, Some(&"r".repeat(1024)));
        assert_eq!(bench.refresh_with(brought(larger, None)).await, RefreshEffect::Ended);
        assert!(bench.refresher.table.is_empty());
    }

    #[tokio::test]
    async fn new_claims_take_over() {
        let bench = bench();
        let mut identity = person("alice");
        let claims = serde_json::json!({"groups": ["staff"]});
        identity.claims = claims.as_object().unwrap().clone().into();
        let renewal = brought(token_set("new", 60, None), Some(identity));
        assert_eq!(bench.refresh_with(renewal).await, RefreshEffect::Renewed);
        assert!(bench.session.data().identity.groups().eq(["staff"]));
    }
}
