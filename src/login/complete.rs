//! The callback: authorization response -> tokens -> `Identity` -> `Session` with a new id.
//! Invariants: no code is exchanged without a `state` that this browser may use, and none twice; a
//! visitor with a live session is never stranded by an old tab.

use std::sync::Arc;

use http::HeaderMap;

use crate::login::pending::{Opened, Target};
use crate::login::return_to::ReturnTo;
use crate::login::wish::Wish;
use crate::login::{Error, Failure, Login, Redirect, StateFault};
use crate::oauth::authorization::AuthorizationResponse;
use crate::providers::{self, Provider};
use crate::secret::Secret;
use crate::session::cookie::{Name, Sent};
use crate::session::table::Displaced;
use crate::session::{Holding, Session, SessionId, SessionKey, Tokens};
use crate::telemetry::audit;
use crate::telemetry::metrics::{Limit, SignIn};

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
    pub asked: audit::Asked<'a>,
}

impl Login {
    /// Completes a sign-in.
    pub async fn complete(&self, callback: Callback<'_>) -> Result<Redirect, Failure> {
        self.try_complete(callback).await.inspect_err(|failure| {
            let provider = failure.provider.as_deref().and_then(|id| self.provider(id));
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
        let provider = self.providers.iter().find(|p| p.fingerprint() == opened.pending.provider);
        let failed = |error| Failure {
            error,
            target: target.clone(),
            provider: provider.map(|provider| Arc::clone(provider.id())),
        };
        let Some(provider) = provider else {
            return Err(failed(Error::State(StateFault::UnknownProvider)));
        };
        let session = self.session(callback.headers);
        if let Err(fault) = self.check_state(&opened, callback.headers) {
            return self
                .recover(fault, &opened, provider, session, &target, callback.headers)
                .map_err(failed);
        }
        if self.signed_in_meanwhile(&opened, provider, session.as_deref()) {
            return Ok(target.clone().into());
        }
        let code = self.code(provider, &response, callback).await.map_err(failed)?;
        let id = self.exchange(provider, code, &opened, callback.asked).await.map_err(failed)?;
        // SECURITY: every id from before the sign-in is dead, whoever planted it (T85).
        let before = self.cookies.all_sent(callback.headers, Name::Session);
        for key in before.filter_map(SessionKey::of_cookie) {
            self.sessions.remove(key);
        }
        let cookie =
            self.cookies.set(Name::Session, id.expose().to_owned(), Some(self.settings.lifetime));
        Ok(Redirect { location: target.as_str().to_owned(), cookies: vec![cookie] })
    }

    /// Whether this browser may use the state, now; from here on nobody may again.
    fn check_state(&self, opened: &Opened, headers: &HeaderMap) -> Result<(), StateFault> {
        let now = self.clock.unix();
        if opened.pending.is_old(now) {
            return Err(StateFault::Old);
        }
        match self.cookies.sent(headers, Name::Login) {
            Sent::Value(login) if opened.pending.is_of(login) => {}
            Sent::Value(_) | Sent::Nothing | Sent::Conflict => {
                return Err(StateFault::OtherBrowser);
            }
        }
        // SECURITY: taken before the code leaves, so that of two callbacks only one sends it (T72).
        if self.states.take(opened, now) { Ok(()) } else { Err(StateFault::Used) }
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
        let has_login_cookie = self.cookies.sent(headers, Name::Login) != Sent::Nothing;
        if opened.pending.restarted || !has_login_cookie {
            return Err(Error::State(fault));
        }
        let again = Wish { restarted: true, ..Wish::at(Some(provider.id())) };
        Ok(format!("{}{}", self.prefix, again.start(target.as_str())).into())
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
                && session.holding().identity.provider == *provider.id()
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
        if self.failures.are_too_many(callback.asked.client, self.clock.moment()) {
            return Err(Error::TooManyFailures);
        }
        response.outcome.as_ref().map_err(|refusal| providers::Error::from(refusal.clone()).into())
    }

    async fn exchange(
        &self,
        provider: &Provider,
        code: &Secret,
        opened: &Opened,
        asked: audit::Asked<'_>,
    ) -> Result<SessionId, Error> {
        let redirect_uri = provider.redirect_uri(&self.public_url, self.prefix.as_str());
        let signed_in =
            provider.complete(code, &redirect_uri, &opened.code_verifier, &opened.nonce).await;
        let signed_in = signed_in.inspect_err(|error| {
            // A guess comes back refused; trouble over there is nobody's guess.
            if matches!(error, providers::Error::Refused(_)) {
                self.failures.count(asked.client, self.clock.moment());
            }
        })?;
        let (id, now) = (SessionId::generate(), self.clock.moment());
        let tokens = Tokens::new(signed_in.tokens, self.settings.refresh_before);
        let holding = Holding::new(signed_in.identity, signed_in.prior, tokens);
        let session = Session::new(&id, holding, now, self.settings.lifetime);
        self.insert(provider, session, asked);
        Ok(id)
    }

    /// Puts a new session into the table, and says so.
    fn insert(&self, provider: &Provider, session: Session, asked: audit::Asked<'_>) {
        let subject = session.holding().identity.subject.clone();
        provider.meter().signed_in(SignIn::Success);
        let (key, holding) = (session.key(), Arc::clone(&session.holding()));
        audit::signed_in(provider.id(), holding.identity.person(), &key, asked);
        let Displaced { of_all, of_user } = self.sessions.insert(Arc::new(session));
        if of_all > 0 {
            let detail = format_args!("{of_all} long-unused sessions ended for a new one");
            self.metrics.limit_hit(Limit::Sessions, detail);
        }
        if of_user > 0 {
            let detail = format_args!("{of_user} session of {subject:?} ended for a new one");
            self.metrics.limit_hit(Limit::SessionsPerUser, detail);
        }
    }

    /// Where the browser wanted to go. Parsed anew: the configuration may have changed since.
    fn target(&self, opened: &Opened, headers: &HeaderMap) -> ReturnTo {
        let text = match &opened.pending.target {
            Target::Here(target) => target.clone(),
            Target::InCookie(shorter) => match self.cookies.sent(headers, Name::LoginTarget) {
                Sent::Value(cookie) => self.states.open_target(opened, cookie),
                Sent::Nothing | Sent::Conflict => None,
            }
            .unwrap_or_else(|| shorter.clone()),
        };
        self.places.parse_or_root(Some(&text))
    }
}
