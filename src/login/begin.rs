//! The authorization request (RFC 6749 §4.1.1). Its `state` contains the `Pending` sign-in.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};

use crate::login::pending::{Pending, PendingTarget, STATE_LIFETIME, hash};
use crate::login::redirect_cycle::ChangedHost;
use crate::login::return_to::ReturnTo;
use crate::login::sign_in_options::{Prompt, SignInOptions};
use crate::login::{Error, FailedSignIn, Login, Redirect};
use crate::oauth::pkce;
use crate::providers::{Provider, ResponseMode, SignInRequest};
use crate::random;
use crate::session::cookie::{Name, Sent};
use crate::session::{Session, StoreUnavailable};
use crate::telemetry::audit;

/// A request to sign in.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// How to sign in.
    pub options: SignInOptions<'a>,
    /// Where to go afterwards.
    pub target: &'a ReturnTo,
    /// The same as it was requested, valid or not; empty if it was not.
    pub requested: &'a str,
    /// The header fields of the request, for its cookies.
    pub headers: &'a HeaderMap,
    /// The host and the path of the request.
    pub place: (&'a str, &'a str),
    /// The request, for the log.
    pub request: audit::RequestRef<'a>,
}

impl Start<'_> {
    fn failure(&self, error: Error, provider: Option<&Provider>) -> FailedSignIn {
        let provider = provider.map(|provider| Arc::clone(provider.id()));
        FailedSignIn { error, target: self.target.clone(), provider, cookies: Vec::new() }
    }
}

impl Login {
    /// The failure of a sign-in whose browser was sent to `public_url`, and came with this host.
    pub fn changed_host(
        &self,
        host: &str,
        target: ReturnTo,
        request: audit::RequestRef<'_>,
    ) -> FailedSignIn {
        let public_url = self.party.site().public_url().to_string();
        let changed = ChangedHost { found: host.to_owned(), public_url };
        self.browsers.cycles.report_changed_host(&changed);
        let error = changed.into();
        self.failed(&error, None, request);
        FailedSignIn { error, target, provider: None, cookies: Vec::new() }
    }

    /// Sends the browser to the provider's authorization endpoint.
    pub async fn begin(&self, start: Start<'_>) -> Result<Redirect, FailedSignIn> {
        let chosen = self.chosen(start.options.provider);
        let provider = chosen.map_err(|error| start.failure(error, None))?;
        let (host, path) = start.place;
        let mut cookies = self.party.cookies().clear_conflict(start.headers, host, path);
        let login = self.login_cookie(start.headers, provider.response_mode(), &mut cookies);
        let session = self.session_of_sign_in(start.headers).await.map_err(|unavailable| {
            let error = unavailable.into();
            self.failed(&error, Some(provider), start.request);
            start.failure(error, Some(provider))
        })?;
        let (browser, now) = (hash(login.as_bytes()), self.party.clock().since_epoch());
        let requested = hash(start.requested.as_bytes());
        if let Err(cycle) = self.browsers.cycles.check(&browser, &requested, now, now) {
            let error = cycle.into();
            self.failed(&error, Some(provider), start.request);
            let cookies = self.party.cookies().clear_all(host, path);
            return Err(FailedSignIn { cookies, ..start.failure(error, Some(provider)) });
        }
        let target = start.target.as_str();
        let is_in_cookie = target.len() > MAX_IN_STATE;
        let pending = Pending {
            provider: provider.fingerprint(),
            begun: now,
            earlier: self.browsers.cycles.earlier(&browser, &requested, now),
            restarted: start.options.restarted,
            prompted: start.options.prompt.is_some(),
            response_mode: provider.response_mode(),
            login: browser,
            session: session.map(|session| session.key().half()),
            requested,
            target: if is_in_cookie {
                PendingTarget::InCookie(short(start.target))
            } else {
                PendingTarget::Here(target.to_owned())
            },
        };
        let sealed = self.states.seal(&pending, is_in_cookie.then_some(target));
        if let Some(value) = sealed.target_cookie {
            cookies.push(self.party.cookies().set(Name::LoginTarget, value, Some(STATE_LIFETIME)));
        }
        let request = SignInRequest {
            redirect_uri: &provider.redirect_uri(self.party.site().own_url("/callback")),
            state: &sealed.state,
            nonce: &sealed.nonce,
            code_challenge: &pkce::challenge(&sealed.code_verifier),
            prompt: start.options.prompt.map(Prompt::as_str),
            login_hint: start.options.login_hint,
            ui_locales: start.options.ui_locales,
        };
        match provider.authorization_url(&request).await {
            Ok(location) => Ok(Redirect { location: location.into(), cookies }),
            Err(error) => {
                let error = error.into();
                self.failed(&error, Some(provider), start.request);
                Err(start.failure(error, Some(provider)))
            }
        }
    }

    /// The session that the browser of a sign-in has. That it comes here does not show that a page gets it, too.
    pub(super) async fn session_of_sign_in(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<Arc<Session>>, StoreUnavailable> {
        let session = self.party.session(headers).await?;
        Ok(session.inspect(|session| session.receipt().receive()))
    }

    fn chosen(&self, id: Option<&str>) -> Result<&Arc<Provider>, Error> {
        match (id, self.party.providers().all()) {
            (Some(id), _) => self.party.providers().by_id(id).ok_or(Error::UnknownProvider),
            (None, [only]) => Ok(only),
            (None, []) => Err(Error::UnknownProvider),
            (None, _) => Err(Error::ChoiceNeeded),
        }
    }

    /// The login cookie of this browser. The value that it sends is kept, so that all tabs share it.
    fn login_cookie(
        &self,
        headers: &HeaderMap,
        mode: ResponseMode,
        cookies: &mut Vec<HeaderValue>,
    ) -> String {
        let sent = match self.party.cookies().sent(headers, Name::Login) {
            Sent::Value(value) if is_well_formed(value) => Some(value.to_owned()),
            Sent::Value(_) | Sent::Nothing | Sent::Conflict => None,
        };
        match (sent, mode) {
            (Some(value), ResponseMode::Query) => value,
            // Under another configuration it may have been set as `Lax`, which would not come with the POST.
            (sent, ResponseMode::Query | ResponseMode::FormPost) => {
                let value = sent.unwrap_or_else(random::text::<16>);
                cookies.push(self.party.cookies().set(Name::Login, value.clone(), None));
                value
            }
        }
    }
}

fn is_well_formed(value: &str) -> bool {
    let mut bytes = [0; 16];
    URL_SAFE_NO_PAD.decode_slice(value.as_bytes(), &mut bytes) == Ok(bytes.len())
}

/// The path of a long target. It is used if the cookie with the whole target is missing.
fn short(target: &ReturnTo) -> String {
    let path = target.without_query();
    let fits = path.as_str().len() <= MAX_IN_STATE;
    (if fits { path } else { ReturnTo::root() }).as_str().to_owned()
}

/// The longest target, in bytes, that fits in a `state` of 800 characters.
const MAX_IN_STATE: usize = 480;
