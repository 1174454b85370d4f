//! Local sign-out and OpenID Connect RP-Initiated Logout 1.0.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use crate::login::return_to::ReturnTo;
use crate::login::{Login, Redirect};
use crate::providers::Provider;
use crate::session::cookie::{Name, Sent};
use crate::session::{Session, SessionKey};
use crate::telemetry::audit::{self, RequestRef};
use crate::telemetry::metrics::{Label as _, SignOut};

impl Login {
    /// Ends the session of a request to this host and path. The browser goes to the provider's
    /// `end_session_endpoint`, to `target`, or to the page `signed_out`.
    pub fn sign_out(
        &self,
        headers: &HeaderMap,
        (host, path): (&str, &str),
        target: Option<&ReturnTo>,
        request: RequestRef<'_>,
    ) -> Redirect {
        let mut cookies = vec![
            self.party.cookies().clear(Name::Session),
            self.party.cookies().clear(Name::LoginTarget),
        ];
        if self.party.cookies().sent(headers, Name::Session) == Sent::Conflict {
            // SECURITY: with a tossed session cookie left, the user would stay signed in as the attacker.
            cookies.extend(self.party.cookies().clear_conflict(headers, host, path));
            self.end_all(headers, request);
        }
        let here = match target {
            Some(target) => target.as_str().to_owned(),
            None => self.party.site().own_url("/signed_out"),
        };
        let session = self.party.session(headers);
        let provider = match (&session, self.party.providers().all()) {
            (Some(session), _) => self.party.providers().by_id(&session.data().identity.provider),
            // The session here has ended, that at the provider may live on.
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let there = provider.and_then(|p| self.end_session_url(p, session.as_deref(), target));
        if let Some(session) = session {
            session.touch(self.party.clock().moment());
            let kind = if there.is_some() { SignOut::Provider } else { SignOut::Local };
            self.end(session, kind, request);
        }
        Redirect { location: there.unwrap_or(here), cookies }
    }

    /// Ends every session whose id a request has. It is unknown which of them is the user's, and a client that has
    /// the id of a session may end it.
    fn end_all(&self, headers: &HeaderMap, request: RequestRef<'_>) {
        let keys =
            self.party.cookies().all_sent(headers, Name::Session).filter_map(SessionKey::of_cookie);
        for session in keys.filter_map(|key| self.party.sessions().find(key)) {
            self.end(session, SignOut::Local, request);
        }
    }

    /// Ends a session and revokes its refresh token; counts and logs that.
    fn end(&self, session: Arc<Session>, kind: SignOut, request: RequestRef<'_>) {
        self.party.sessions().remove(session.key());
        self.party.metrics().signed_out(kind);
        let (identity, key) = (&session.data().identity, session.key());
        audit::signed_out(&identity.provider, &identity.subject, &key, kind.as_str(), request);
        if let Some(provider) = self.party.providers().by_id(&identity.provider) {
            self.revoke(Arc::clone(provider), Arc::clone(&session));
        }
    }

    /// The target of a sign-out at the provider, from the `state` that the provider returns.
    pub fn signed_out_target(&self, state: &str) -> Option<ReturnTo> {
        self.targets.parse(&self.states.open_text(state)?)
    }

    fn end_session_url(
        &self,
        provider: &Provider,
        session: Option<&Session>,
        target: Option<&ReturnTo>,
    ) -> Option<String> {
        let (data, back) = (session.map(Session::data), self.party.site().own_url("/signed_out"));
        let state = target.map(|target| self.states.seal_text(target.as_str()));
        let hint = data.as_ref().and_then(|data| data.tokens.id_token.as_ref());
        provider.end_session_url(hint, &back, state.as_deref()).map(Into::into)
    }

    /// Revokes the refresh token (RFC 7009) in a task, so that the browser does not wait.
    fn revoke(&self, provider: Arc<Provider>, session: Arc<Session>) {
        self.tasks.spawn(async move {
            // A refresh in progress brings another refresh token, which has to be revoked instead.
            drop(tokio::time::timeout(REFRESH_WAIT, session.settled()).await);
            let token = session.data().tokens.refresh_token.clone();
            if let Some(token) = token
                && let Err(error) = provider.revoke(&token).await
            {
                tracing::debug!(%error, "signed out, but the provider did not revoke the refresh token");
            }
        });
    }
}

/// How long a revocation waits for a refresh in progress.
const REFRESH_WAIT: Duration = Duration::from_secs(15);
