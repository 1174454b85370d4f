//! Single-flight refresh: one refresh per session at a time, however many requests need it.
//! Invariants: the refresh outlives the request that started it, because a rotated refresh token that is not
//! stored signs the user out; its tokens are stored before any waiter gets the result; every waiter gets a
//! result, even if the refresh panics; a failed refresh is not retried at once.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::clock::{Clock, Moment};
use crate::identity::Identity;
use crate::identity::refresh_baseline::RefreshBaseline;
use crate::oauth::token::TokenSet;
use crate::session::refresh_turn::{NoTurn, Rejected, Replaced};
use crate::session::sessions::RefreshTurn;
use crate::session::size_limit::{SizeLimit, TooLarge};
use crate::session::{
    Freshness, Session, SessionData, Sessions, Settings, StoreUnavailable, Tokens,
};
use crate::single_flight::{SingleFlight, Started, Waiter};
use crate::telemetry::audit;
use crate::telemetry::metrics::{Limit, Metrics};

/// The provider's answer to a refresh.
#[derive(Debug)]
pub enum RefreshOutcome {
    /// New tokens, and new claims if there were any.
    Renewed(Box<RefreshedTokens>),
    /// Without new tokens: the provider still accepts the session. New claims, if there were any.
    Confirmed(Option<Box<ConfirmedClaims>>),
    /// Without a refresh token, the provider has no endpoint to ask.
    NotAsked,
    /// No refresh will succeed: the grant has ended, or the answer is for another user.
    Rejected,
    /// It failed for now.
    Unavailable,
}

/// What a refresh returned.
#[derive(Debug)]
pub struct RefreshedTokens {
    /// New tokens.
    pub tokens: TokenSet,
    /// The identity by the new claims; `None` without new claims.
    pub identity: Option<Identity>,
    /// What the claims of the next refresh are compared with.
    pub baseline: RefreshBaseline,
}

/// What a recheck without new tokens returned.
#[derive(Debug)]
pub struct ConfirmedClaims {
    /// The identity by the new claims.
    pub identity: Identity,
    /// What the claims of the next recheck are compared with.
    pub baseline: RefreshBaseline,
}

/// The effect of a refresh on its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshEffect {
    /// The session holds new tokens.
    Renewed,
    /// The session holds the same tokens as before.
    Kept,
    /// The session has ended.
    Ended,
}

/// Runs the refreshes of all sessions.
#[derive(Clone, Debug)]
pub struct Refresher {
    sessions: Sessions,
    clock: Clock,
    refresh_before: Duration,
    recheck: Option<Duration>,
    size_limit: Arc<SizeLimit>,
    tasks: TaskTracker,
    metrics: Arc<Metrics>,
}

/// A refresh under way, or its effect.
#[derive(Debug)]
pub struct Flight(Result<Waiter<RefreshEffect>, RefreshEffect>);

/// What a refresh came to.
struct Settled {
    effect: RefreshEffect,
    /// No refresh for this long.
    pause: Option<Duration>,
    failed: bool,
}

/// The refresh of one session.
pub(super) type Refreshing = SingleFlight<RefreshState, RefreshEffect>;

/// Decides on the next refresh of a session.
#[derive(Debug, Default)]
pub(super) struct RefreshState {
    /// After a failure: no refresh before this time.
    not_before: Option<Moment>,
    /// Whether the last refresh failed.
    failed: bool,
}

impl Refresher {
    /// `tasks` owns the refreshes; the process waits for it before it ends.
    pub fn new(
        sessions: Sessions,
        clock: Clock,
        settings: &Settings,
        size_limit: Arc<SizeLimit>,
        tasks: TaskTracker,
        metrics: Arc<Metrics>,
    ) -> Self {
        let Settings { refresh_before, recheck, .. } = *settings;
        Self { sessions, clock, refresh_before, recheck, size_limit, tasks, metrics }
    }

    /// Joins the refresh under way, or starts `renew`. `judged` is the data that the caller found due for a
    /// refresh: if the session holds newer data, nothing is done.
    pub fn refresh<F>(
        &self,
        session: &Arc<Session>,
        judged: &Arc<SessionData>,
        renew: impl FnOnce(Arc<SessionData>) -> F + Send + 'static,
    ) -> Flight
    where
        F: Future<Output = RefreshOutcome> + Send + 'static,
    {
        let state = session.refreshing.lock();
        // Under the lock: a sign-out first ends the session and then waits for the refresh under way. So no
        // refresh can start after it and store a token that is never revoked.
        if session.end_signal().is_given() {
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
        let (judged, session, refresher) = (Arc::clone(judged), Arc::clone(session), self.clone());
        self.tasks.spawn(async move {
            let settled = refresher.in_turn(&session, &judged, renew).await;
            refresher.finish(&session, call, settled);
        });
        Flight(Ok(flight))
    }

    /// Refreshes a session, unless another instance does that or has done it.
    async fn in_turn<F>(
        &self,
        session: &Arc<Session>,
        judged: &Arc<SessionData>,
        renew: impl FnOnce(Arc<SessionData>) -> F,
    ) -> Settled
    where
        F: Future<Output = RefreshOutcome>,
    {
        let turn = match self.sessions.refresh_turn(session, judged).await {
            Ok(turn) => turn,
            Err(NoTurn::Refreshed) => return Settled::now(RefreshEffect::Renewed),
            Err(NoTurn::Ended) => return Settled::now(RefreshEffect::Ended),
            Err(NoTurn::Unavailable) => return Settled::failed(PAUSE),
        };
        let renewal = turn.keep_during(renew(Arc::clone(judged))).await;
        let settled = self.settle(session, &turn, renewal).await;
        turn.end().await;
        settled
    }

    /// Ends the refresh: only then the next one can start.
    fn finish(&self, session: &Session, call: Started<RefreshEffect>, settled: Settled) {
        let Settled { effect, pause, failed } = settled;
        // SECURITY: a user who signed out during the refresh is signed out for every waiter, whatever the
        // provider answered.
        let effect = if session.end_signal().is_given() { RefreshEffect::Ended } else { effect };
        session.refreshing.finish(call, |state| {
            state.not_before = pause.map(|pause| self.clock.moment().after(pause));
            state.failed = failed;
            effect
        });
    }

    /// Stores what a refresh returned.
    async fn settle(
        &self,
        session: &Arc<Session>,
        turn: &RefreshTurn,
        renewal: RefreshOutcome,
    ) -> Settled {
        match renewal {
            RefreshOutcome::Renewed(refreshed) => {
                let data = self.renewed(session, *refreshed);
                let settled = self.replace(session, turn, data, RefreshEffect::Renewed).await;
                let freshness = session.data().tokens.freshness(self.clock.moment());
                // A token that has expired on arrival would be refreshed with every request.
                match settled.effect == RefreshEffect::Renewed && freshness == Freshness::Expired {
                    true => Settled { pause: Some(PAUSE), ..settled },
                    false => settled,
                }
            }
            RefreshOutcome::Confirmed(claims) => {
                let data = self.confirmed(session, claims);
                self.replace(session, turn, data, RefreshEffect::Kept).await
            }
            RefreshOutcome::NotAsked => {
                let held = session.data();
                let tokens = Tokens { due: None, ..held.tokens.clone() };
                let (identity, baseline) = (held.identity.clone(), held.baseline.clone());
                let data = SessionData::new(identity, baseline, tokens);
                drop(held);
                self.replace(session, turn, Ok(data), RefreshEffect::Kept).await
            }
            RefreshOutcome::Rejected => self.end(session, turn).await,
            RefreshOutcome::Unavailable => {
                let has_refresh_token = session.data().tokens.refresh_token.is_some();
                Settled::failed(if has_refresh_token { PAUSE } else { self.recheck_pause() })
            }
        }
    }

    /// Stores new data. `effect` is what that means for the session.
    async fn replace(
        &self,
        session: &Arc<Session>,
        turn: &RefreshTurn,
        data: Result<SessionData, TooLarge>,
        effect: RefreshEffect,
    ) -> Settled {
        let data = match data {
            Ok(data) => data,
            // SECURITY: with its old claims the session would keep groups that the user has lost.
            Err(error) => {
                report_too_large(session, error);
                return self.end(session, turn).await;
            }
        };
        match self.sessions.replace(session, data, turn).await {
            Ok(Replaced::Stored) => Settled::now(effect),
            Ok(Replaced::Superseded) => Settled::now(RefreshEffect::Renewed),
            Ok(Replaced::Ended) => Settled::now(RefreshEffect::Ended),
            Err(StoreUnavailable) => Settled::failed(PAUSE),
        }
    }

    /// Ends a session, unless another instance has refreshed it.
    async fn end(&self, session: &Arc<Session>, turn: &RefreshTurn) -> Settled {
        match self.sessions.reject(session, turn).await {
            Rejected::Ended => Settled { pause: Some(PAUSE), ..Settled::now(RefreshEffect::Ended) },
            Rejected::Superseded => Settled::now(RefreshEffect::Renewed),
            Rejected::InDoubt => Settled::failed(PAUSE),
        }
    }

    fn renewed(
        &self,
        session: &Session,
        refreshed: RefreshedTokens,
    ) -> Result<SessionData, TooLarge> {
        let set = refreshed.tokens;
        let answered = set.requested_at;
        let before = session.data();
        let mut tokens = Tokens::new(
            // RFC 6749 §6: without a new refresh token the old one stays valid.
            TokenSet {
                refresh_token: set.refresh_token.or_else(|| before.tokens.refresh_token.clone()),
                ..set
            },
            self.refresh_before,
        )
        .due_within(self.recheck, answered)
        .due_within(refreshed.baseline.stale_since.map(|_| STALE_PAUSE), answered);
        tokens.id_token = tokens.id_token.or_else(|| before.tokens.id_token.clone());
        let identity = refreshed.identity.unwrap_or_else(|| before.identity.clone());
        self.fit(identity, refreshed.baseline, tokens)
    }

    fn recheck_pause(&self) -> Duration {
        self.recheck.map_or(PAUSE, |interval| interval.min(RECHECK_PAUSE))
    }

    /// Keeps the tokens and their expiry.
    fn confirmed(
        &self,
        session: &Session,
        claims: Option<Box<ConfirmedClaims>>,
    ) -> Result<SessionData, TooLarge> {
        let before = session.data();
        let tokens = Tokens { due: None, ..before.tokens.clone() };
        let tokens = tokens.due_within(self.recheck, self.clock.moment());
        let (identity, baseline) = match claims {
            Some(claims) => (claims.identity, claims.baseline),
            None => (before.identity.clone(), before.baseline.clone()),
        };
        self.fit(identity, baseline, tokens)
    }

    fn fit(
        &self,
        identity: Identity,
        baseline: RefreshBaseline,
        tokens: Tokens,
    ) -> Result<SessionData, TooLarge> {
        let subject = Arc::clone(&identity.subject);
        let (data, dropped) = self.size_limit.fit(identity, baseline, tokens)?;
        if !dropped.is_empty() {
            let detail = format_args!("the session of {subject:?} is refreshed without {dropped}");
            self.metrics.limit_hit(Limit::SessionBytes, detail);
        }
        Ok(data)
    }
}

impl Settled {
    fn now(effect: RefreshEffect) -> Self {
        Self { effect, pause: None, failed: false }
    }

    fn failed(pause: Duration) -> Self {
        Self { effect: RefreshEffect::Kept, pause: Some(pause), failed: true }
    }
}

fn report_too_large(session: &Session, error: TooLarge) {
    let (key, held) = (session.key(), Arc::clone(&session.data()));
    let Identity { provider, subject, .. } = &held.identity;
    tracing::warn!(%provider, session = ?key, %error, "session ended: its refresh is over session.max_bytes");
    audit::ended_by_refresh(provider, subject, &key, "too_large");
    session.receipt().reject(&error.to_string());
}

impl Session {
    /// Whether the last refresh failed. A request should start the next one, but not wait long for it.
    pub fn is_in_outage(&self) -> bool {
        self.refreshing.lock().failed
    }

    /// Waits until no refresh of this session is under way.
    pub async fn settled(&self) {
        let under_way = self.refreshing.lock().under_way();
        if let Some(flight) = under_way {
            Flight(Ok(flight)).effect().await;
        }
    }
}

impl Flight {
    /// Waits for the effect.
    pub async fn effect(self) -> RefreshEffect {
        match self.0 {
            Err(effect) => effect,
            Ok(flight) => flight.result().await.unwrap_or(RefreshEffect::Kept),
        }
    }
}

/// After a failure: long enough to spare an overloaded provider, short enough to notice its recovery.
const PAUSE: Duration = Duration::from_secs(5);

/// Likewise without a refresh token, at most: the provider is asked about an access token that is still valid.
const RECHECK_PAUSE: Duration = Duration::from_secs(30);

/// Between refreshes while the claims or groups of a user cannot be fetched.
const STALE_PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{Notify, oneshot};

    use super::*;
    use crate::identity::tests::person;
    use crate::secret::Secret;
    use crate::session::table::{SessionMaps, SessionTable};
    use crate::session::tests::{baseline, session, token_set};
    use crate::session::{CookieSettings, Store};

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
            recheck: Some(Duration::from_secs(100)),
            outage_grace: Duration::from_secs(300),
            cookie: CookieSettings::default(),
            max_sessions: 10,
            max_sessions_per_user: 10,
            max_bytes: 1024,
            secrets: Vec::new(),
            store: Store::Memory,
            snapshot: None,
        };
        let maps = Arc::new(SessionMaps::new(clock.clone()));
        let table = SessionTable::new(&maps, &settings, Arc::new([[0; 8]]));
        let session = Arc::new(session("alice", 0, Some("r1"), clock.moment()));
        table.insert(Arc::clone(&session));
        let limit = SizeLimit { max_bytes: settings.max_bytes, ..SizeLimit::default() };
        let (limit, tasks) = (Arc::new(limit), TaskTracker::new());
        let metrics = Arc::new(Metrics::default());
        let sessions = Sessions::in_memory(table);
        let refresher = Refresher::new(sessions, clock.clone(), &settings, limit, tasks, metrics);
        Bench { refresher, session, clock }
    }

    fn tokens(access: &str, refresh: Option<&str>) -> RefreshOutcome {
        renewed(token_set(access, 300, refresh), None)
    }

    fn renewed(tokens: TokenSet, identity: Option<Identity>) -> RefreshOutcome {
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
            self.refresher.refresh(&self.session, &held, |_| async { renewal }).effect().await
        }
    }

    #[tokio::test]
    async fn concurrent_refreshes_make_one_request_and_get_its_result() {
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
            assert_eq!(flight.effect().await, RefreshEffect::Renewed);
        }
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(bench.session.data().tokens.access_token.as_ref().unwrap().expose(), "new");
        // A request that found the old token due, and starts after the refresh, sends no second one.
        let late =
            bench.refresher.refresh(&bench.session, &held, |_| async { RefreshOutcome::Rejected });
        assert_eq!(late.effect().await, RefreshEffect::Renewed);
    }

    #[tokio::test]
    async fn refresh_outlives_the_request_that_started_it() {
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
    async fn tokens_that_a_refresh_leaves_out_stay() {
        let bench = bench();
        let id_token = Some(Secret::new("i1"));
        let first = TokenSet { id_token, ..token_set("new", 300, Some("r2")) };
        for set in [first, token_set("newer", 300, None)] {
            assert_eq!(bench.refresh_with(renewed(set, None)).await, RefreshEffect::Renewed);
        }
        let held = bench.held();
        assert_eq!(held.tokens.access_token.as_ref().unwrap().expose(), "newer");
        assert_eq!(held.tokens.refresh_token.as_ref().unwrap().expose(), "r2");
        assert_eq!(held.tokens.id_token.as_ref().unwrap().expose(), "i1");
    }

    #[tokio::test]
    async fn failed_refresh_is_not_retried_at_once() {
        let bench = bench();
        assert_eq!(bench.refresh_with(RefreshOutcome::Unavailable).await, RefreshEffect::Kept);
        assert_eq!(bench.refresh_with(tokens("new", None)).await, RefreshEffect::Kept);
        bench.clock.advance(Duration::from_secs(5));
        assert_eq!(bench.refresh_with(tokens("new", None)).await, RefreshEffect::Renewed);
    }

    #[tokio::test]
    async fn token_expired_on_arrival_is_not_refreshed_again_at_once() {
        let bench = bench();
        let expired = || renewed(token_set("expired", 0, Some("r2")), None);
        assert_eq!(bench.refresh_with(expired()).await, RefreshEffect::Renewed);
        assert_eq!(bench.refresh_with(expired()).await, RefreshEffect::Kept);
        bench.clock.advance(PAUSE);
        assert_eq!(bench.refresh_with(expired()).await, RefreshEffect::Renewed);
    }

    /// A session that is checked again each 100 s, without a refresh token.
    fn bench_without_refresh_token() -> Bench {
        let bench = bench();
        let set = token_set("at", 3600, None);
        let tokens = Tokens::new(set, Duration::from_secs(60));
        let tokens = tokens.due_within(bench.refresher.recheck, bench.clock.moment());
        bench.session.replace(SessionData::new(person("alice"), baseline("alice"), tokens));
        bench
    }

    #[tokio::test]
    async fn confirmed_session_keeps_its_tokens_and_is_due_after_the_interval() {
        let bench = bench_without_refresh_token();
        let expires = bench.held().tokens.expires;
        bench.clock.advance(Duration::from_secs(100));
        assert_eq!(bench.held().tokens.freshness(bench.clock.moment()), Freshness::Due);
        let confirmed = RefreshOutcome::Confirmed(None);
        assert_eq!(bench.refresh_with(confirmed).await, RefreshEffect::Kept);
        let held = bench.held();
        assert_eq!(held.tokens.expires, expires);
        assert_eq!(held.tokens.access_token.as_ref().unwrap().expose(), "at");
        for (seconds, expected) in [(99, Freshness::Fresh), (1, Freshness::Due)] {
            bench.clock.advance(Duration::from_secs(seconds));
            assert_eq!(held.tokens.freshness(bench.clock.moment()), expected);
        }
        let mut identity = person("alice");
        identity.name = Some("Alicia".to_owned());
        let claims = ConfirmedClaims { identity, baseline: baseline("alice") };
        let confirmed = RefreshOutcome::Confirmed(Some(Box::new(claims)));
        assert_eq!(bench.refresh_with(confirmed).await, RefreshEffect::Kept);
        assert_eq!(bench.held().identity.name.as_deref(), Some("Alicia"));
    }

    #[tokio::test]
    async fn session_whose_provider_cannot_be_asked_is_not_due_again() {
        let bench = bench_without_refresh_token();
        bench.clock.advance(Duration::from_secs(100));
        assert_eq!(bench.refresh_with(RefreshOutcome::NotAsked).await, RefreshEffect::Kept);
        bench.clock.advance(Duration::from_secs(1000));
        assert_eq!(bench.held().tokens.freshness(bench.clock.moment()), Freshness::Fresh);
    }

    #[tokio::test]
    async fn failed_recheck_is_tried_again_after_a_pause() {
        let bench = bench_without_refresh_token();
        bench.clock.advance(Duration::from_secs(100));
        assert_eq!(bench.refresh_with(RefreshOutcome::Unavailable).await, RefreshEffect::Kept);
        bench.clock.advance(RECHECK_PAUSE - Duration::from_millis(1));
        let held = bench.held();
        let early = bench.refresher.refresh(&bench.session, &held, |_| async {
            panic!("asks again at once");
        });
        assert_eq!(early.effect().await, RefreshEffect::Kept);
        bench.clock.advance(Duration::from_millis(1));
        assert_eq!(bench.refresh_with(RefreshOutcome::Rejected).await, RefreshEffect::Ended);
    }

    #[tokio::test]
    async fn refreshed_session_is_due_after_the_interval() {
        let bench = bench();
        assert_eq!(bench.refresh_with(tokens("new", Some("r2"))).await, RefreshEffect::Renewed);
        bench.clock.advance(Duration::from_secs(99));
        assert_eq!(bench.held().tokens.freshness(bench.clock.moment()), Freshness::Fresh);
        bench.clock.advance(Duration::from_secs(1));
        assert_eq!(bench.held().tokens.freshness(bench.clock.moment()), Freshness::Due);
    }

    /// Otherwise an outage of a second would last until the access token expires.
    #[tokio::test]
    async fn session_whose_claims_are_stale_is_due_after_a_minute() {
        let bench = bench();
        let RefreshOutcome::Renewed(mut refreshed) = tokens("new", Some("r2")) else { panic!() };
        refreshed.baseline.stale_since = Some(bench.clock.unix());
        let stale = RefreshOutcome::Renewed(refreshed);
        assert_eq!(bench.refresh_with(stale).await, RefreshEffect::Renewed);
        bench.clock.advance(Duration::from_secs(59));
        assert_eq!(bench.held().tokens.freshness(bench.clock.moment()), Freshness::Fresh);
        bench.clock.advance(Duration::from_secs(1));
        assert_eq!(bench.held().tokens.freshness(bench.clock.moment()), Freshness::Due);
    }

    #[tokio::test]
    async fn rejected_refresh_ends_the_session() {
        let bench = bench();
        let stream = bench.session.end_signal().token();
        assert_eq!(bench.refresh_with(RefreshOutcome::Rejected).await, RefreshEffect::Ended);
        assert!(stream.is_cancelled() && bench.refresher.sessions.is_empty());
    }

    #[tokio::test]
    async fn session_that_ends_during_a_refresh_stays_ended() {
        for renewal in [tokens("new", None), RefreshOutcome::Unavailable, RefreshOutcome::Rejected]
        {
            let (bench, go) = (bench(), Arc::new(Notify::new()));
            let (held, gone) = (bench.held(), Arc::clone(&go));
            let flight = bench.refresher.refresh(&bench.session, &held, |_| async move {
                gone.notified().await;
                renewal
            });
            bench.refresher.sessions.remove(bench.session.key()).await;
            go.notify_one();
            assert_eq!(flight.effect().await, RefreshEffect::Ended);
            assert!(bench.refresher.sessions.is_empty());
        }
    }

    #[tokio::test]
    async fn session_that_has_ended_is_not_refreshed() {
        let bench = bench();
        bench.refresher.sessions.remove(bench.session.key()).await;
        let held = bench.held();
        let late = bench.refresher.refresh(&bench.session, &held, |_| async {
            panic!("sends a refresh token that was revoked");
        });
        assert_eq!(late.effect().await, RefreshEffect::Ended);
    }

    #[tokio::test]
    async fn panic_ends_the_wait_and_the_next_refresh_can_start() {
        let bench = bench();
        let held = bench.held();
        let flight = bench.refresher.refresh(&bench.session, &held, |_| async {
            panic!("a fault in the client");
        });
        assert_eq!(flight.effect().await, RefreshEffect::Kept);
        assert_eq!(bench.refresh_with(tokens("new", None)).await, RefreshEffect::Renewed);
    }

    #[tokio::test]
    async fn refresh_over_max_bytes_drops_unused_parts_or_ends_the_session() {
        let bench = bench();
        let id_token = Some(Secret::new("i".repeat(1030)));
        let large = TokenSet { id_token, ..token_set("new", 300, Some("r2")) };
        assert_eq!(bench.refresh_with(renewed(large, None)).await, RefreshEffect::Renewed);
        let held = bench.held();
        assert!(held.tokens.id_token.is_none() && held.tokens.access_token.is_some());
        let counted = bench
            .refresher
            .metrics
            .exposition(crate::telemetry::metrics::Gauges::default())
            .unwrap();
        assert!(counted.contains("limit_hits_total{limit=\"session_bytes\"} 1"), "{counted}");
        let larger = token_set("new", 300, Some(&"r".repeat(1024)));
        assert_eq!(bench.refresh_with(renewed(larger, None)).await, RefreshEffect::Ended);
        assert!(bench.refresher.sessions.is_empty());
    }

    #[tokio::test]
    async fn new_claims_replace_the_identity() {
        let bench = bench();
        let mut identity = person("alice");
        let claims = serde_json::json!({"groups": ["staff"]});
        identity.claims = claims.as_object().unwrap().clone().into();
        let renewal = renewed(token_set("new", 60, None), Some(identity));
        assert_eq!(bench.refresh_with(renewal).await, RefreshEffect::Renewed);
        assert!(bench.session.data().identity.groups().eq(["staff"]));
    }
}
