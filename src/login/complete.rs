//! The callback: authorization response -> tokens -> `Identity` -> `Session` with a new id.
//! Invariants: no code is exchanged without a `state` that this browser may use, and none twice; a
//! callback that sends no code leaves nothing behind; a session is kept only for a browser that is there
//! to hear of it; a visitor with a live session is never stranded by an old tab.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::task::yield_now;

use crate::login::pending::{Opened, Target};
use crate::login::return_to::ReturnTo;
use crate::login::sign_in_options::SignInOptions;
use crate::login::{Error, Failure, Login, Redirect, StateFault};
use crate::oauth::authorization::AuthorizationResponse;
use crate::providers::{self, Code, Provider, SignedIn};
use crate::secret::Secret;
use crate::session::cookie::{Name, Sent};
use crate::session::table::Evicted;
use crate::session::{Session, SessionId, SessionKey, Tokens};
use crate::telemetry::audit;
use crate::telemetry::metrics::{Label as _, Limit, SignIn};

/// A callback as it came.
#[derive(Clone, Copy)]
pub struct Callback<'a> {
    /// The query, as it stands in the request target.
    pub query: &'a str,
    /// The ID in the path, where the callback came at `/callback/ID`.
    pub path_id: Option<&'a str>,
    /// The request's fields, for the cookies in them.
    pub headers: &'a HeaderMap,
    /// Who asks, and the request for the log.
    pub asked: audit::RequestRef<'a>,
    /// Whether the client has closed its side of the connection meanwhile.
    pub has_left: &'a (dyn Fn() -> bool + Send + Sync),
}

impl Login {
    /// Completes a sign-in.
    pub async fn complete(&self, callback: Callback<'_>) -> Result<Redirect, Failure> {
        self.try_complete(callback).await.inspect_err(|failure| {
            let provider =
                failure.provider.as_deref().and_then(|id| self.party.providers().by_id(id));
            self.failed(&failure.error, provider.map(|p| &**p), callback.asked);
        })
    }

    async fn try_complete(&self, callback: Callback<'_>) -> Result<Redirect, Failure> {
        let lost = |error| Failure { error, target: ReturnTo::root(), provider: None };
        let response =
            AuthorizationResponse::parse(callback.query).map_err(|error| lost(error.into()))?;
        let opened = self.states.open(&response.state);
        let opened = opened.map_err(|_| lost(Error::State(StateFault::Forged)))?;
        let target = self.target(&opened, callback.headers);
        let provider = self.party.providers().by_fingerprint(&opened.pending.provider);
        let failed = |error| Failure {
            error,
            target: target.clone(),
            provider: provider.map(|provider| Arc::clone(provider.id())),
        };
        let Some(provider) = provider else {
            return Err(failed(Error::State(StateFault::UnknownProvider)));
        };
        let session = self.party.session(callback.headers);
        if let Err(fault) = self.check_state(&opened, callback.headers) {
            return self
                .recover(fault, &opened, provider, session, &target, callback.headers)
                .map_err(failed);
        }
        if self.signed_in_meanwhile(&opened, provider, session.as_deref()) {
            return Ok(target.clone().into());
        }
        let code = self.code(provider, &response, callback).await.map_err(failed)?;
        let id = match self.exchange(provider, code, &opened, callback).await {
            Ok(id) => id,
            // Another callback of the same state sent its code while this one waited for its turn.
            Err(Error::State(fault)) => {
                return self
                    .recover(fault, &opened, provider, session, &target, callback.headers)
                    .map_err(failed);
            }
            Err(error) => return Err(failed(error)),
        };
        // SECURITY: every id from before the sign-in is dead, whoever planted it (T85).
        let before = self.party.cookies().all_sent(callback.headers, Name::Session);
        for key in before.filter_map(SessionKey::of_cookie) {
            self.party.sessions().remove(key);
        }
        let cookie = self.party.cookies().set(
            Name::Session,
            id.expose().to_owned(),
            Some(self.settings.lifetime),
        );
        Ok(Redirect { location: target.as_str().to_owned(), cookies: vec![cookie] })
    }

    /// Whether this browser may use the state, now.
    fn check_state(&self, opened: &Opened, headers: &HeaderMap) -> Result<(), StateFault> {
        if opened.pending.is_old(self.party.clock().unix()) {
            return Err(StateFault::Old);
        }
        match self.party.cookies().sent(headers, Name::Login) {
            Sent::Value(login) if opened.pending.is_of(login) => {}
            Sent::Value(_) | Sent::Nothing | Sent::Conflict => {
                return Err(StateFault::OtherBrowser);
            }
        }
        if self.states.is_used(opened) { Err(StateFault::Used) } else { Ok(()) }
    }

    /// An authentic state that cannot be used: the visitor may be signed in already, or two tabs that
    /// started together took the login cookie from each other, and beginning anew mends it.
    fn recover(
        &self,
        fault: StateFault,
        opened: &Opened,
        provider: &Provider,
        session: Option<Arc<Session>>,
        target: &ReturnTo,
        headers: &HeaderMap,
    ) -> Result<Redirect, Error> {
        if session.is_some() {
            return Ok(target.clone().into());
        }
        let has_login_cookie = self.party.cookies().sent(headers, Name::Login) != Sent::Nothing;
        if opened.pending.restarted || !has_login_cookie {
            return Err(Error::State(fault));
        }
        let again = SignInOptions { restarted: true, ..SignInOptions::at(Some(provider.id())) };
        Ok(self.party.site().own_path(&again.start(target.as_str())).into())
    }

    /// Whether the browser signed in elsewhere since this state was made: tabs do not end each other's
    /// sessions. Who asked to be prompted gets the new session.
    fn signed_in_meanwhile(
        &self,
        opened: &Opened,
        provider: &Provider,
        session: Option<&Session>,
    ) -> bool {
        let pending = &opened.pending;
        session.is_some_and(|session| {
            !pending.prompted
                && pending.session != Some(session.key().half())
                && session.data().identity.provider == *provider.id()
        })
    }

    /// The code, if the response is this provider's and it gave one.
    async fn code<'r>(
        &self,
        provider: &Provider,
        response: &'r AuthorizationResponse,
        callback: Callback<'_>,
    ) -> Result<&'r Secret, Error> {
        // SECURITY: a response at another provider's redirect_uri is a mix-up (RFC 9700 §4.4.2).
        let expected = provider.has_distinct_redirect_uri().then(|| provider.id().as_ref());
        if callback.path_id != expected {
            return Err(Error::WrongRedirectUri);
        }
        provider.check_response(response).await?;
        response.outcome.as_ref().map_err(|refusal| providers::Error::from(refusal.clone()).into())
    }

    /// Exchanges the code, in its turn, for a session.
    async fn exchange(
        &self,
        provider: &Arc<Provider>,
        code: &Secret,
        opened: &Opened,
        callback: Callback<'_>,
    ) -> Result<SessionId, Error> {
        let departure = Departure { provider, asked: callback.asked };
        let signed_in = self.send(provider, code, opened, callback.asked).await;
        // Whether the browser has left meanwhile is heard first: once by the runtime, once by the
        // connection.
        yield_now().await;
        yield_now().await;
        std::mem::forget(departure);
        let signed_in = signed_in?;
        let (id, now) = (SessionId::generate(), self.party.clock().moment());
        let tokens = Tokens::new(signed_in.tokens, self.settings.refresh_before);
        let SignedIn { identity, baseline, .. } = signed_in;
        let subject = Arc::clone(&identity.subject);
        let (data, dropped) = self.size_limit.fit(identity, baseline, tokens)?;
        if !dropped.is_empty() {
            let detail = format_args!("the session of {subject:?} is without {dropped}");
            self.party.metrics().limit_hit(Limit::SessionBytes, detail);
        }
        let session = Arc::new(Session::new(&id, data, now, self.settings.lifetime));
        self.insert(provider, Arc::clone(&session), callback.asked);
        if (callback.has_left)() {
            self.end_unless_brought(session);
        }
        Ok(id)
    }

    /// Sends the code when its turn comes, and verifies what it brings.
    async fn send(
        &self,
        provider: &Arc<Provider>,
        code: &Secret,
        opened: &Opened,
        asked: audit::RequestRef<'_>,
    ) -> Result<SignedIn, Error> {
        let turn = provider.turn(asked.client).await?;
        // SECURITY: taken before the code leaves, so that of two callbacks only one sends it (T72); and no
        // sooner, so that callbacks which send none fill no memory.
        let taken = self.states.take(opened, self.party.clock().unix());
        let state = taken.ok_or(Error::State(StateFault::Used))?;
        let code = Code {
            code: code.clone(),
            redirect_uri: provider.redirect_uri(self.party.site().own_url("/callback")),
            code_verifier: opened.code_verifier.clone(),
            nonce: opened.nonce.clone(),
        };
        let (provider, states) = (Arc::clone(provider), Arc::clone(&self.states));
        // SECURITY: in a task of its own. The provider works on a code that it has whether or not the
        // browser is still there, so leaving early frees no slot and takes nothing off a count.
        let exchange = self.tasks.spawn(async move {
            let signed_in = provider.complete(turn, &code).await;
            if signed_in.is_err() {
                states.exchange_failed(state);
            }
            signed_in
        });
        Ok(exchange.await.map_err(providers::Error::from)??)
    }

    /// Ends a session whose client has closed its side of the connection: one that waits for its answer all
    /// the same brings the session at once, a browser that left never does.
    // Its tokens are dropped and not revoked: at some providers that would end the browser's other sessions.
    fn end_unless_brought(&self, session: Arc<Session>) {
        let sessions = self.party.sessions().clone();
        self.tasks.spawn(async move {
            tokio::time::sleep(AT_ONCE).await;
            if !session.is_cookie_received() {
                sessions.remove(session.key());
            }
        });
    }

    /// Puts a new session into the table, and says so.
    fn insert(&self, provider: &Provider, session: Arc<Session>, asked: audit::RequestRef<'_>) {
        let subject = session.data().identity.subject.clone();
        provider.meter().signed_in(SignIn::Success);
        let (key, data) = (session.key(), Arc::clone(&session.data()));
        audit::signed_in(provider.id(), data.identity.person(), &key, asked);
        let Evicted { of_all, of_user } = self.party.sessions().insert(session);
        if of_all > 0 {
            let detail = format_args!("{of_all} long-unused sessions ended for a new one");
            self.party.metrics().limit_hit(Limit::Sessions, detail);
        }
        if of_user > 0 {
            let detail = format_args!("{of_user} session of {subject:?} ended for a new one");
            self.party.metrics().limit_hit(Limit::SessionsPerUser, detail);
        }
    }

    /// Where the browser wanted to go. Parsed anew: the configuration may have changed since.
    fn target(&self, opened: &Opened, headers: &HeaderMap) -> ReturnTo {
        let text = match &opened.pending.target {
            Target::Here(target) => target.clone(),
            Target::InCookie(shorter) => {
                match self.party.cookies().sent(headers, Name::LoginTarget) {
                    Sent::Value(cookie) => self.states.open_target(opened, cookie),
                    Sent::Nothing | Sent::Conflict => None,
                }
                .unwrap_or_else(|| shorter.clone())
            }
        };
        self.targets.parse_or_root(Some(&text))
    }
}

/// Counts and logs a browser that leaves while its code is exchanged: dropped with its request, and with it
/// the session that nobody would hear of.
struct Departure<'a> {
    provider: &'a Provider,
    asked: audit::RequestRef<'a>,
}

impl Drop for Departure<'_> {
    fn drop(&mut self) {
        let outcome = SignIn::Abandoned;
        self.provider.meter().signed_in(outcome);
        audit::sign_in_failed(Some(self.provider.id()), outcome.as_str(), self.asked);
    }
}

/// How soon a client that waits for its answer brings the session of it.
const AT_ONCE: Duration = Duration::from_secs(3);
