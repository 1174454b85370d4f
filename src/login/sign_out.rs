//! Local sign-out and OpenID Connect RP-Initiated Logout 1.0.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use crate::login::Login;
use crate::login::return_to::ReturnTo;
use crate::providers::{self, AnswerKind, Logout, LogoutRequest, Provider};
use crate::secret::Secret;
use crate::session::cookie::{Name, Sent};
use crate::session::{Session, SessionKey, StoreUnavailable};
use crate::telemetry::audit::{self, RequestRef};
use crate::telemetry::metrics::{Label as _, SignOut};

/// A sign-out, and where the browser goes after it.
#[derive(Debug)]
pub struct SignedOut {
    /// `Set-Cookie`.
    pub cookies: Vec<HeaderValue>,
    /// The target, or the page `signed_out`.
    pub here: String,
    /// The provider that has to end its session first, and how the browser asks it to.
    pub first: Option<(Arc<Provider>, Logout)>,
    /// Whether every instance obeys that. If not, the request to the provider has no token.
    pub is_confirmed: bool,
}

impl Login {
    /// Ends the session of a request to this host and path. The browser goes to the provider's
    /// `end_session_endpoint`, to `target`, or to the page `signed_out`.
    pub async fn sign_out(
        &self,
        headers: &HeaderMap,
        (host, path): (&str, &str),
        target: Option<&ReturnTo>,
        answer: AnswerKind,
        request: RequestRef<'_>,
    ) -> SignedOut {
        let mut cookies = vec![
            self.party.cookies().clear(Name::Session),
            self.party.cookies().clear(Name::LoginTarget),
        ];
        let mut is_confirmed = true;
        if self.party.cookies().sent(headers, Name::Session) == Sent::Conflict {
            // SECURITY: with a tossed session cookie left, the user would stay signed in as the attacker.
            cookies.extend(self.party.cookies().clear_conflict(headers, host, path));
            is_confirmed = self.end_all(headers, request).await;
        }
        let session = self.party.session(headers).await;
        let provider = match (&session, self.party.providers().all()) {
            (Ok(Some(session)), _) => {
                self.party.providers().by_id(&session.data().identity.provider)
            }
            // The session here has ended, that at the provider may live on.
            (Ok(None) | Err(_), [only]) => Some(only),
            (Ok(None) | Err(_), _) => None,
        };
        let signed_out = self.party.site().own_url("/signed_out");
        let logout = provider
            .and_then(|provider| Some((provider, provider.logout_request(&signed_out, None)?)));
        let live = session.as_ref().ok().and_then(Option::as_ref);
        let hint = live.and_then(|session| session.data().tokens.id_token.clone());
        match session {
            Ok(None) => {}
            Ok(Some(session)) => {
                session.touch(self.party.clock().moment());
                session.receipt().accept();
                let kind = if logout.is_some() { SignOut::Provider } else { SignOut::Local };
                // Before anything is waited for: a client that goes away is signed out as well.
                is_confirmed &= self.end(session, kind, request).await;
            }
            Err(StoreUnavailable) => is_confirmed &= self.end_unseen(headers).await,
        }
        let state = target.map(|target| self.states.seal_text(target.as_str()));
        // SECURITY: a page tells that it is not confirmed, and a script of an application on this origin could read a
        // token in it.
        let (hint, answer) =
            if is_confirmed { (hint, answer) } else { (None, AnswerKind::Redirect) };
        let first = match logout {
            Some((provider, logout)) => {
                let hint = usable(hint.as_ref(), provider).await;
                let logout =
                    LogoutRequest { id_token_hint: hint, state: state.as_deref(), ..logout };
                Some((Arc::clone(provider), logout.by(answer)))
            }
            None => None,
        };
        let here = target.map(|target| target.as_str().to_owned());
        SignedOut { cookies, here: here.unwrap_or(signed_out), first, is_confirmed }
    }

    /// Ends every session whose id a request has. It is unknown which of them is the user's, and a client that has
    /// the id of a session may end it. Returns whether every instance obeys that.
    async fn end_all(&self, headers: &HeaderMap, request: RequestRef<'_>) -> bool {
        let mut is_confirmed = true;
        for key in self.keys(headers) {
            is_confirmed &= match self.party.sessions().find(key).await {
                Ok(Some(session)) => self.end(session, SignOut::Local, request).await,
                Ok(None) => true,
                Err(StoreUnavailable) => self.party.sessions().remove(key).await.is_confirmed,
            };
        }
        is_confirmed
    }

    /// Ends the session of a request, which cannot be looked up now. Returns whether every instance obeys that.
    async fn end_unseen(&self, headers: &HeaderMap) -> bool {
        self.party.metrics().signed_out(SignOut::Local);
        let mut is_confirmed = true;
        for key in self.keys(headers) {
            is_confirmed &= self.party.sessions().remove(key).await.is_confirmed;
        }
        is_confirmed
    }

    fn keys(&self, headers: &HeaderMap) -> Vec<SessionKey> {
        let sent = self.party.cookies().all_sent(headers, Name::Session);
        sent.filter_map(SessionKey::of_cookie).collect()
    }

    /// Ends a session; counts and logs that. Its tokens are revoked, except with `sign_out: local`. Returns whether every
    /// instance obeys that.
    async fn end(&self, session: Arc<Session>, kind: SignOut, request: RequestRef<'_>) -> bool {
        let removed = self.party.sessions().remove(session.key()).await;
        self.party.metrics().signed_out(kind);
        let (identity, key) = (&session.data().identity, session.key());
        audit::signed_out(&identity.provider, &identity.subject, &key, kind.as_str(), request);
        if let Some(provider) = self.party.providers().by_id(&identity.provider) {
            match provider.sign_out() {
                providers::SignOut::Provider => self.revoke(Arc::clone(provider), session),
                // At many providers, revocation ends the user's session at every client.
                providers::SignOut::Local => {}
            }
        }
        removed.is_confirmed
    }

    /// The target of a sign-out at the provider, from the `state` that the provider returns.
    pub fn signed_out_target(&self, state: &str) -> Option<ReturnTo> {
        self.targets.parse(&self.states.open_text(state)?)
    }

    /// Revokes the tokens of a session in a task, so that the browser does not wait.
    fn revoke(&self, provider: Arc<Provider>, session: Arc<Session>) {
        self.tasks.spawn(async move {
            // A refresh in progress brings another refresh token, which has to be revoked instead.
            drop(tokio::time::timeout(REFRESH_WAIT, session.settled()).await);
            let data = session.data();
            let (access, refresh) = (&data.tokens.access_token, &data.tokens.refresh_token);
            if let Err(error) = provider.revoke(access.as_ref(), refresh.as_ref()).await {
                tracing::debug!(%error, "signed out, but the provider did not revoke the tokens");
            }
        });
    }
}

/// A provider may reject a whole request for a hint that it cannot verify.
async fn usable<'h>(hint: Option<&'h Secret>, provider: &Provider) -> Option<&'h Secret> {
    let hint = hint?;
    provider.can_verify_hint(hint).await.then_some(hint)
}

/// How long a revocation waits for a refresh in progress.
const REFRESH_WAIT: Duration = Duration::from_secs(15);
