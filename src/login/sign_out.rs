//! Local sign-out and OpenID Connect RP-Initiated Logout 1.0.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use crate::login::Login;
use crate::login::return_to::ReturnTo;
use crate::providers::{self, AnswerKind, Logout, LogoutRequest, Provider};
use crate::secret::Secret;
use crate::session::cookie::{Name, Sent};
use crate::session::{Session, SessionKey};
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
        if self.party.cookies().sent(headers, Name::Session) == Sent::Conflict {
            // SECURITY: with a tossed session cookie left, the user would stay signed in as the attacker.
            cookies.extend(self.party.cookies().clear_conflict(headers, host, path));
            self.end_all(headers, request).await;
        }
        let signed_out = self.party.site().own_url("/signed_out");
        let state = target.map(|target| self.states.seal_text(target.as_str()));
        let session = self.party.session(headers);
        let provider = match (&session, self.party.providers().all()) {
            (Some(session), _) => self.party.providers().by_id(&session.data().identity.provider),
            // The session here has ended, that at the provider may live on.
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let logout = provider.and_then(|provider| {
            Some((provider, provider.logout_request(&signed_out, state.as_deref())?))
        });
        let hint = session.as_ref().and_then(|session| session.data().tokens.id_token.clone());
        if let Some(session) = session {
            session.touch(self.party.clock().moment());
            session.receipt().accept();
            let kind = if logout.is_some() { SignOut::Provider } else { SignOut::Local };
            // Before anything is waited for: a client that goes away is signed out as well.
            self.end(session, kind, request).await;
        }
        let first = match logout {
            Some((provider, logout)) => {
                let hint = usable(hint.as_ref(), provider).await;
                let logout = LogoutRequest { id_token_hint: hint, ..logout }.by(answer);
                Some((Arc::clone(provider), logout))
            }
            None => None,
        };
        let here = target.map(|target| target.as_str().to_owned());
        SignedOut { cookies, here: here.unwrap_or(signed_out), first }
    }

    /// Ends every session whose id a request has. It is unknown which of them is the user's, and a client that has
    /// the id of a session may end it.
    async fn end_all(&self, headers: &HeaderMap, request: RequestRef<'_>) {
        let keys =
            self.party.cookies().all_sent(headers, Name::Session).filter_map(SessionKey::of_cookie);
        for session in keys.filter_map(|key| self.party.sessions().find(key)) {
            self.end(session, SignOut::Local, request).await;
        }
    }

    /// Ends a session; counts and logs that. Its tokens are revoked, except with `sign_out: local`.
    async fn end(&self, session: Arc<Session>, kind: SignOut, request: RequestRef<'_>) {
        self.party.sessions().remove(session.key()).await;
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
