//! The callback: authorization response -> tokens -> `Identity` -> `Session` with a new id.
//! Invariants:
//! - A code is exchanged only with a `state` that belongs to this browser, and only once.
//! - A callback without a code stores nothing.
//! - A session is kept only if the browser receives its id.
//! - A browser with a live session gets no error page because of an old tab.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::login::pending::{OpenedState, PendingTarget};
use crate::login::redirect_cycle::RedirectCycle;
use crate::login::return_to::ReturnTo;
use crate::login::sign_in_rounds::Completed;
use crate::login::{
    Error, FailedSignIn, Login, OtherMethod, OtherRedirectUri, Redirect, StateFault, log_failure,
};
use crate::oauth::authorization::AuthorizationResponse;
use crate::providers::{self, Code, Provider, ResponseCode, ResponseMode, SignedIn};
use crate::session::cookie::{Name, Sent};
use crate::session::table::Evicted;
use crate::session::{Session, SessionId, SessionKey, StoreUnavailable};
use crate::telemetry::audit;
use crate::telemetry::metrics::{Label as _, Limit, SignIn};

/// A request at the callback.
#[derive(Clone, Copy)]
pub struct Callback<'a> {
    /// How the response came.
    pub mode: ResponseMode,
    /// Its parameters: the query, as in the request target, or the body.
    pub parameters: &'a str,
    /// The ID in the path, for a callback at `/callback/ID`.
    pub path_id: Option<&'a str>,
    /// The header fields of the request, for its cookies.
    pub headers: &'a HeaderMap,
    /// The host and the path of the request.
    pub place: (&'a str, &'a str),
    /// The client's address, and the request for the log.
    pub request: audit::RequestRef<'a>,
    /// Whether the client has closed its side of the connection by now.
    pub has_left: &'a (dyn Fn() -> bool + Send + Sync),
}

impl Login {
    /// Completes a sign-in.
    pub async fn complete(&self, callback: Callback<'_>) -> Result<Redirect, FailedSignIn> {
        self.try_complete(callback).await.inspect_err(|failure| {
            let provider =
                failure.provider.as_deref().and_then(|id| self.party.providers().by_id(id));
            self.failed(&failure.error, provider.map(|p| &**p), callback.request);
        })
    }

    async fn try_complete(&self, callback: Callback<'_>) -> Result<Redirect, FailedSignIn> {
        let lost = |error| FailedSignIn {
            error,
            target: ReturnTo::root(),
            provider: None,
            cookies: Vec::new(),
        };
        let response = AuthorizationResponse::parse(callback.parameters)
            .map_err(|error| lost(error.into()))?;
        let opened = self.states.open(&response.state);
        let opened = opened.map_err(|_| lost(Error::State(StateFault::Forged)))?;
        let target = self.target(&opened, callback.headers);
        let provider = self.party.providers().by_fingerprint(&opened.pending.provider);
        let failed = |error| FailedSignIn {
            error,
            target: target.clone(),
            provider: provider.map(|provider| Arc::clone(provider.id())),
            cookies: Vec::new(),
        };
        check_method(&opened, callback.mode).map_err(failed)?;
        let Some(provider) = provider else {
            return Err(failed(Error::State(StateFault::UnknownProvider)));
        };
        let session = self.session_of_sign_in(callback.headers).await;
        let session = session.map_err(Error::from).map_err(failed)?;
        let fault = self.state_fault(&opened, callback.headers).await;
        if let Some(fault) = fault.map_err(Error::from).map_err(failed)? {
            return self.recover(fault, &opened, provider, session, &target).map_err(failed);
        }
        let known = match &session {
            Some(session) => Ok(Some(Arc::clone(session))),
            None => self.session_not_sent(&opened).await,
        };
        let known = known.map_err(Error::from).map_err(failed)?;
        if self.signed_in_meanwhile(&opened, provider, known.as_deref()) {
            return Ok(target.clone().into());
        }
        self.check_cycle(&opened, callback)
            .map_err(|(cycle, cookies)| FailedSignIn { cookies, ..failed(cycle.into()) })?;
        let code = match self.code(provider, &response, callback).await {
            // The provider asks for another try (RFC 6749 §4.1.2.1).
            Err(Error::Provider(error))
                if error.is_temporarily_unavailable() && !opened.pending.restarted =>
            {
                return Ok(self.restart(provider, &target));
            }
            code => code.map_err(failed)?,
        };
        let id = match self.exchange(provider, code, &opened, callback).await {
            Ok(id) => id,
            // Another callback with the same state sent its code while this one waited.
            Err(Error::State(fault)) => {
                return self.recover(fault, &opened, provider, session, &target).map_err(failed);
            }
            Err(error) => return Err(failed(error)),
        };
        let cookie = self.replace_sessions(&id, &opened, callback.headers).await;
        Ok(Redirect { location: target.as_str().to_owned(), cookies: vec![cookie] })
    }

    /// The cookie of the new session, which replaces those of the browser.
    async fn replace_sessions(
        &self,
        id: &SessionId,
        opened: &OpenedState,
        headers: &HeaderMap,
    ) -> HeaderValue {
        // SECURITY: a sign-in ends every session whose id the browser had before, also one that an attacker set
        // (session fixation).
        let before = self.party.cookies().all_sent(headers, Name::Session);
        for key in before.filter_map(SessionKey::of_cookie) {
            self.party.sessions().remove(key).await;
        }
        match opened.pending.response_mode {
            ResponseMode::Query => {}
            ResponseMode::FormPost => self.replace_session_not_sent(id, opened).await,
        }
        self.party.cookies().set_session(id.expose().to_owned(), self.settings.lifetime)
    }

    /// Ends the session that `start` saw, and the last one that this browser got by a POST.
    async fn replace_session_not_sent(&self, id: &SessionId, opened: &OpenedState) {
        let (sessions, browser) = (self.party.sessions(), opened.pending.login);
        if let Some(key) = self.browsers.sessions.last(&browser) {
            sessions.remove(key).await;
        }
        if let Some(half) = &opened.pending.session {
            sessions.remove_by_half(half).await;
        }
        self.browsers.sessions.completed(browser, id.key(), self.party.clock().since_epoch());
    }

    /// Checks that this sign-in is not a further round of a redirect cycle. If it is, returns the cookies to clear too.
    fn check_cycle(
        &self,
        opened: &OpenedState,
        callback: Callback<'_>,
    ) -> Result<(), (RedirectCycle, Vec<HeaderValue>)> {
        let (host, path) = callback.place;
        let (pending, now) = (&opened.pending, self.party.clock().since_epoch());
        let checked =
            self.browsers.cycles.check(&pending.login, &pending.requested, pending.begun, now);
        checked.map_err(|cycle| (cycle, self.party.cookies().clear_all(host, path)))
    }

    /// The code of the response, if it is from this provider and not an error.
    async fn code(
        &self,
        provider: &Provider,
        response: &AuthorizationResponse,
        callback: Callback<'_>,
    ) -> Result<ResponseCode, Error> {
        // SECURITY: a response at the redirect_uri of another provider is a mix-up attack (RFC 9700 §4.4.2).
        let expected = provider.has_distinct_redirect_uri().then(|| provider.id().as_ref());
        if callback.path_id != expected {
            return Err(Error::WrongRedirectUri(OtherRedirectUri {
                found: callback.path_id.map(|id| id.chars().take(64).collect()),
                expected: expected.map(str::to_owned),
            }));
        }
        Ok(provider.code_of(response).await?)
    }

    /// Exchanges the code for a session.
    async fn exchange(
        &self,
        provider: &Arc<Provider>,
        code: ResponseCode,
        opened: &OpenedState,
        callback: Callback<'_>,
    ) -> Result<SessionId, Error> {
        let abandonment = Abandonment { provider, request: callback.request };
        let signed_in = self.send(provider, code, opened, callback.request).await;
        // If the browser has left, this future is dropped here: the first yield lets the runtime see it, the
        // second the connection.
        yield_now().await;
        yield_now().await;
        std::mem::forget(abandonment);
        let SignedIn { identity, baseline, tokens, .. } = signed_in?;
        let (id, now) = (SessionId::generate(), self.party.clock().moment());
        let tokens = self.tokens(provider, tokens, now);
        let subject = Arc::clone(&identity.subject);
        let (data, dropped) = self.size_limit.fit(identity, baseline, tokens)?;
        if !dropped.is_empty() {
            let detail = format_args!("the session of {subject:?} is stored without {dropped}");
            self.party.metrics().limit_hit(Limit::SessionBytes, detail);
        }
        let session = Session::new(&id, provider.fingerprint(), data, now, self.settings.lifetime);
        let session = Arc::new(session);
        self.insert(provider, Arc::clone(&session), callback.request).await?;
        let completed = Completed {
            begun: opened.pending.begun,
            now: self.party.clock().since_epoch(),
            target: opened.pending.requested,
            earlier: opened.pending.earlier,
            receipt: session.receipt(),
        };
        self.browsers.cycles.completed(opened.pending.login, &completed);
        // Another instance may get the next request.
        if (callback.has_left)() && self.party.sessions().in_redis().is_none() {
            self.end_unless_used(session);
        }
        Ok(id)
    }

    /// Waits until the code may be sent, exchanges it, and verifies the response.
    async fn send(
        &self,
        provider: &Arc<Provider>,
        code: ResponseCode,
        opened: &OpenedState,
        request: audit::RequestRef<'_>,
    ) -> Result<SignedIn, Error> {
        let turn = provider.turn(request.client).await?;
        // SECURITY: the state is marked as used before the code is sent, so that only one of two callbacks sends
        // it, and not earlier, so that callbacks which send no code fill no memory.
        let taken = self.states.take(opened, self.party.clock().unix()).await?;
        let state = taken.ok_or(Error::State(StateFault::Used))?;
        let code = Code {
            response: code,
            redirect_uri: provider.redirect_uri(self.party.site().own_url("/callback")),
            code_verifier: opened.code_verifier.clone(),
            nonce: opened.nonce.clone(),
        };
        let (provider, states) = (Arc::clone(provider), Arc::clone(&self.states));
        // SECURITY: the exchange is a separate task. The provider handles a code that it has received also if the
        // browser leaves, so a browser that leaves must not free a slot or lower a count.
        let (result, exchanged) = oneshot::channel();
        let request_id = request.request_id.to_owned();
        self.tasks.spawn(async move {
            let signed_in = provider.complete(turn, &code).await;
            if signed_in.is_err() {
                states.exchange_failed(state);
            }
            // The browser has left, so nothing else logs the failure.
            if let Err(Err(error)) = result.send(signed_in) {
                log_failure(provider.id(), &error, &request_id);
            }
        });
        Ok(exchanged.await.map_err(providers::Error::from)??)
    }

    /// Ends a new session if no request uses it soon. The client has closed its side of the connection: a client
    /// that still waits for its response uses the session at once, a browser that left never does.
    // The tokens are dropped but not revoked: at some providers a revocation ends the user's other sessions.
    fn end_unless_used(&self, session: Arc<Session>) {
        let sessions = self.party.sessions().clone();
        self.tasks.spawn(async move {
            tokio::time::sleep(FIRST_USE).await;
            if !session.receipt().is_received() {
                sessions.remove(session.key()).await;
            }
        });
    }

    /// Stores a new session; counts and logs that.
    async fn insert(
        &self,
        provider: &Provider,
        session: Arc<Session>,
        request: audit::RequestRef<'_>,
    ) -> Result<(), StoreUnavailable> {
        let (key, data) = (session.key(), Arc::clone(&session.data()));
        let Evicted { of_all, of_user } = self.party.sessions().insert(session).await?;
        provider.meter().signed_in(SignIn::Success);
        let subject = &data.identity.subject;
        audit::signed_in(provider.id(), data.identity.person(), &key, request);
        if of_all > 0 {
            let detail = format_args!("{of_all} idle sessions evicted for a new one");
            self.party.metrics().limit_hit(Limit::Sessions, detail);
        }
        if of_user > 0 {
            let detail = format_args!("{of_user} session of {subject:?} evicted for a new one");
            self.party.metrics().limit_hit(Limit::SessionsPerUser, detail);
        }
        Ok(())
    }

    /// Where the browser goes now. The target is checked again, as the configuration may have changed.
    fn target(&self, opened: &OpenedState, headers: &HeaderMap) -> ReturnTo {
        let text = match &opened.pending.target {
            PendingTarget::Here(target) => target.clone(),
            PendingTarget::InCookie(shorter) => {
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

/// Checks that the response came as the sign-in had requested it.
// SECURITY: a code that was requested by POST is not accepted in a URL, where logs and pages could see it.
fn check_method(opened: &OpenedState, found: ResponseMode) -> Result<(), Error> {
    let expected = opened.pending.response_mode;
    match found == expected {
        true => Ok(()),
        false => Err(Error::WrongMethod(OtherMethod { found, expected })),
    }
}

/// Counts and logs a browser that leaves while its code is exchanged. Dropped with the future of its request,
/// which would have made the session.
struct Abandonment<'a> {
    provider: &'a Provider,
    request: audit::RequestRef<'a>,
}

impl Drop for Abandonment<'_> {
    fn drop(&mut self) {
        let outcome = SignIn::Abandoned;
        self.provider.meter().signed_in(outcome);
        audit::sign_in_failed(Some(self.provider.id()), outcome.as_str(), self.request);
    }
}

/// How soon a client that waits for its response uses the new session.
const FIRST_USE: Duration = Duration::from_secs(3);
