//! One instance of the gateway, as far as sessions go.

use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::Clock;
use portcullis::identity::claims::{ClaimNames, identity};
use portcullis::identity::refresh_baseline::{IdTokenBinding, RefreshBaseline};
use portcullis::oauth::token::TokenSet;
use portcullis::secret::Secret;
use portcullis::session::redis::{RedisStore, SharedSessions, StoreHealth};
use portcullis::session::refresh::{
    Flight, RefreshEffect, RefreshOutcome, RefreshedTokens, Refresher,
};
use portcullis::session::size_limit::SizeLimit;
use portcullis::session::table::{Evicted, SessionMaps};
use portcullis::session::{
    Session, SessionData, SessionId, SessionKey, Sessions, Store, StoreUnavailable, Tokens,
};
use portcullis::telemetry::metrics::{Gauges, Metrics};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::world::{LIFETIME, PROVIDER, Setup};
use crate::support::wait::until;

/// The sessions of an instance. Dropping it ends its connection to the server.
pub(super) struct Instance {
    pub(super) sessions: Sessions,
    pub(super) refresher: Refresher,
    clock: Clock,
    metrics: Arc<Metrics>,
    store: Option<(Arc<RedisStore>, JoinHandle<()>)>,
}

impl Instance {
    /// A configuration of the process with these sessions.
    pub(super) fn of_process(maps: &Arc<SessionMaps>, setup: &Setup, clock: &Clock) -> Self {
        let sessions = Sessions::in_memory(setup.table(maps));
        Self::new(sessions, setup, clock, (Arc::default(), TaskTracker::new()), None)
    }

    /// A process with sessions on the server of these settings.
    pub(super) fn of_server(setup: &Setup, clock: &Clock) -> Self {
        let Store::Redis(settings) = &setup.settings.store else { panic!("no server") };
        let (metrics, tasks) = (Arc::<Metrics>::default(), TaskTracker::new());
        let store = Arc::new(RedisStore::new(settings, &metrics));
        let table = setup.table(&Arc::new(SessionMaps::new(clock.clone())));
        let shared = SharedSessions::new(
            Arc::clone(&store),
            table.clone(),
            &setup.settings,
            setup.roots(),
            (clock, &tasks),
        );
        let sessions = Sessions::shared(table, shared);
        let (followed, present, timer) =
            (Arc::clone(&store), sessions.in_redis().cloned(), clock.clone());
        let following =
            tokio::spawn(async move { followed.follow(&timer, || present.clone()).await });
        Self::new(sessions, setup, clock, (metrics, tasks), Some((store, following)))
    }

    fn new(
        sessions: Sessions,
        setup: &Setup,
        clock: &Clock,
        (metrics, tasks): (Arc<Metrics>, TaskTracker),
        store: Option<(Arc<RedisStore>, JoinHandle<()>)>,
    ) -> Self {
        let limit = SizeLimit { max_bytes: setup.settings.max_bytes, ..SizeLimit::default() };
        let refresher = Refresher::new(
            sessions.clone(),
            clock.clone(),
            &setup.settings,
            Arc::new(limit),
            tasks,
            Arc::clone(&metrics),
        );
        Self { sessions, refresher, clock: clock.clone(), metrics, store }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.store.as_ref().is_none_or(|(store, _)| store.health() == StoreHealth::Up)
    }

    pub(super) fn store(&self) -> &Arc<RedisStore> {
        &self.store.as_ref().unwrap().0
    }

    /// The key of a new session of this user.
    pub(super) async fn sign_in(&self, user: &str) -> SessionKey {
        self.insert(user).await.0
    }

    /// The same, and what was evicted for it.
    pub(super) async fn insert(&self, user: &str) -> (SessionKey, Evicted) {
        let session = session(user, &self.clock);
        let key = session.key();
        (key, self.sessions.insert(session).await.unwrap())
    }

    /// Fails if it cannot be looked up.
    pub(super) async fn find(&self, key: SessionKey) -> Option<Arc<Session>> {
        self.sessions.find(key).await.unwrap()
    }

    pub(super) async fn has(&self, key: SessionKey) -> bool {
        self.find(key).await.is_some()
    }

    /// Whether it is found; an error is an error.
    pub(super) async fn look_up(&self, key: SessionKey) -> Result<bool, StoreUnavailable> {
        Ok(self.sessions.find(key).await?.is_some())
    }

    /// A request with the cookie of a session. Returns whether there is that session.
    pub(super) async fn use_once(&self, key: SessionKey) -> bool {
        let session = self.find(key).await;
        session.inspect(|session| session.touch(self.clock.moment())).is_some()
    }

    /// The access token that it has now.
    pub(super) async fn access_token(&self, key: SessionKey) -> String {
        access_token(&self.find(key).await.unwrap())
    }

    /// Waits until it has this access token.
    pub(super) async fn until_access_token(&self, key: SessionKey, expected: &str) {
        until("the session has the new token", async || self.access_token(key).await == expected)
            .await;
    }

    /// Cancelled when the session, which this instance knows from now on, has ended.
    pub(super) async fn end_of(&self, key: SessionKey) -> CancellationToken {
        self.find(key).await.unwrap().end_signal().token()
    }

    /// Refreshes a session; the provider answers this at once.
    pub(super) async fn refresh(&self, key: SessionKey, answer: RefreshOutcome) -> RefreshEffect {
        let (session, data) = self.held(key).await;
        self.refresher.refresh(&session, &data, |_| async { answer }).effect().await
    }

    /// Begins to refresh a session. Returns when the provider is asked, with what sends its answer.
    pub(super) async fn begin_refresh(
        &self,
        key: SessionKey,
    ) -> (Flight, oneshot::Sender<RefreshOutcome>) {
        let (ask, asked) = oneshot::channel();
        let (send, answer) = oneshot::channel();
        let (session, data) = self.held(key).await;
        let flight = self.refresher.refresh(&session, &data, |_| async move {
            ask.send(()).unwrap();
            answer.await.unwrap()
        });
        asked.await.unwrap();
        (flight, send)
    }

    async fn held(&self, key: SessionKey) -> (Arc<Session>, Arc<SessionData>) {
        let session = self.find(key).await.unwrap();
        let data = Arc::clone(&session.data());
        (session, data)
    }

    /// What a scrape shows.
    pub(super) fn exposition(&self) -> String {
        self.metrics.exposition(Gauges::default()).unwrap()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some((_, following)) = &self.store {
            following.abort();
        }
    }
}

/// Waits for the end of a session.
pub(super) async fn is_given(end: &CancellationToken) {
    until("the end of the session is signalled", async || end.is_cancelled()).await;
}

/// A new session of this user.
pub(super) fn session(user: &str, clock: &Clock) -> Arc<Session> {
    let claims = json!({"sub": user, "email": format!("{user}@example.com"), "email_verified": true, "groups": ["staff"]});
    let claims = claims.as_object().cloned().unwrap();
    let identity = identity(&"company".into(), &ClaimNames::default(), true, claims).unwrap();
    let tokens = Tokens::new(token_set("a1", "r1", clock), Duration::from_secs(60));
    let data = SessionData::new(identity, baseline(user), tokens);
    let session = Session::new(&SessionId::generate(), PROVIDER, data, clock.moment(), LIFETIME);
    Arc::new(session)
}

/// The provider's answer with new tokens.
pub(super) fn renewed(access: &str, refresh: &str, clock: &Clock) -> RefreshOutcome {
    let tokens = token_set(access, refresh, clock);
    let refreshed = RefreshedTokens { tokens, identity: None, baseline: baseline("alice") };
    RefreshOutcome::Renewed(Box::new(refreshed))
}

pub(super) fn access_token(session: &Session) -> String {
    session.data().tokens.access_token.as_ref().unwrap().expose().to_owned()
}

fn baseline(user: &str) -> RefreshBaseline {
    let binding = IdTokenBinding { subject: user.into(), nonce: String::new(), auth_time: None };
    RefreshBaseline::of(binding)
}

fn token_set(access: &str, refresh: &str, clock: &Clock) -> TokenSet {
    TokenSet {
        access_token: Secret::new(access),
        requested_at: clock.moment(),
        expires_in: Some(Duration::from_secs(300)),
        refresh_token: Some(Secret::new(refresh)),
        id_token: None,
    }
}
