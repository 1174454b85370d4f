//! Local sign-out and OpenID Connect RP-Initiated Logout 1.0.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use crate::login::return_to::ReturnTo;
use crate::login::{Login, Redirect};
use crate::providers::Provider;
use crate::random;
use crate::session::cookie::{Name, Sent};
use crate::session::{Session, SessionKey};
use crate::telemetry::audit;
use crate::telemetry::metrics::{Label as _, SignOut};

impl Login {
    /// Ends the session of a request to this host and path, and says where the browser goes: to the
    /// provider's `end_session_endpoint`, to `target`, or to the page that says so.
    pub fn sign_out(
        &self,
        headers: &HeaderMap,
        (host, path): (&str, &str),
        target: Option<&ReturnTo>,
    ) -> Redirect {
        let mut cookies = vec![
            self.party.cookies().clear(Name::Session),
            self.party.cookies().clear(Name::LoginTarget),
        ];
        if self.party.cookies().sent(headers, Name::Session) == Sent::Conflict {
            // SECURITY: who stays with a cookie that somebody else tossed is signed in again, as them.
            cookies.extend(self.party.cookies().clear_tossed(host, path, random::turn()));
            self.end_all(headers);
        }
        let here = match target {
            Some(target) => target.as_str().to_owned(),
            None => self.party.site().own_url("/signed_out"),
        };
        let Some(session) = self.party.session(headers) else {
            return Redirect { location: here, cookies };
        };
        let provider = self.party.providers().by_id(&session.data().identity.provider);
        let there = provider.and_then(|p| self.end_session_url(p, &session, target));
        self.end(session, if there.is_some() { SignOut::Provider } else { SignOut::Local });
        Redirect { location: there.unwrap_or(here), cookies }
    }

    /// Ends each session of which a request has the id: which of them is the visitor's cannot be told, and
    /// who has an id may end what it stands for.
    fn end_all(&self, headers: &HeaderMap) {
        let keys =
            self.party.cookies().all_sent(headers, Name::Session).filter_map(SessionKey::of_cookie);
        for session in keys.filter_map(|key| self.party.sessions().find(key)) {
            self.end(session, SignOut::Local);
        }
    }

    /// Ends a session and its refresh token, and counts and logs that.
    fn end(&self, session: Arc<Session>, kind: SignOut) {
        self.party.sessions().remove(session.key());
        self.party.metrics().signed_out(kind);
        let identity = &session.data().identity;
        audit::signed_out(&identity.provider, &identity.subject, &session.key(), kind.as_str());
        if let Some(provider) = self.party.providers().by_id(&identity.provider) {
            self.revoke(Arc::clone(provider), Arc::clone(&session));
        }
    }

    /// The target of a sign-out that came back from the provider, from the `state` it hands back.
    pub fn signed_out_target(&self, state: &str) -> Option<ReturnTo> {
        self.targets.parse(&self.states.open_text(state)?)
    }

    fn end_session_url(
        &self,
        provider: &Provider,
        session: &Session,
        target: Option<&ReturnTo>,
    ) -> Option<String> {
        let (data, back) = (session.data(), self.party.site().own_url("/signed_out"));
        let state = target.map(|target| self.states.seal_text(target.as_str()));
        let hint = data.tokens.id_token.as_ref();
        provider.end_session_url(hint, &back, state.as_deref()).map(Into::into)
    }

    /// Revokes the refresh token (RFC 7009), without the visitor waiting for it.
    fn revoke(&self, provider: Arc<Provider>, session: Arc<Session>) {
        self.tasks.spawn(async move {
            // A refresh under way brings another refresh token: that one has to go.
            drop(tokio::time::timeout(PATIENCE, session.settled()).await);
            let token = session.data().tokens.refresh_token.clone();
            if let Some(token) = token
                && let Err(error) = provider.revoke(&token).await
            {
                tracing::debug!(%error, "the session is over here, its refresh token is not there");
            }
        });
    }
}

/// How long a sign-out waits for a refresh under way.
const PATIENCE: Duration = Duration::from_secs(15);
