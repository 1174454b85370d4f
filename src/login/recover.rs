//! A callback whose state this browser cannot use, or does not need any more.
//! Invariant: a browser with a live session gets no error page because of an old tab.

use std::sync::Arc;

use http::HeaderMap;

use crate::login::pending::OpenedState;
use crate::login::return_to::ReturnTo;
use crate::login::sign_in_options::SignInOptions;
use crate::login::{Error, Login, Redirect, StateFault};
use crate::providers::{Provider, ResponseMode};
use crate::session::cookie::{Name, Sent};
use crate::session::{Session, StoreUnavailable};

impl Login {
    /// Why this browser cannot use the state now, if it cannot.
    pub(super) async fn state_fault(
        &self,
        opened: &OpenedState,
        headers: &HeaderMap,
    ) -> Result<Option<StateFault>, StoreUnavailable> {
        if opened.pending.is_old(self.party.clock().since_epoch()) {
            return Ok(Some(StateFault::Old));
        }
        match self.party.cookies().sent(headers, Name::Login) {
            Sent::Value(login) if opened.pending.is_of(login) => {}
            Sent::Value(_) | Sent::Nothing | Sent::Conflict => {
                return Ok(Some(StateFault::OtherBrowser));
            }
        }
        Ok(self.states.is_used(opened).await?.then_some(StateFault::Used))
    }

    /// Handles an authentic state that cannot be used. If the browser has a session, it continues to its target.
    /// Otherwise the sign-in starts once more: another tab may have replaced the login cookie, or a link was opened in
    /// another browser.
    pub(super) fn recover(
        &self,
        fault: StateFault,
        opened: &OpenedState,
        provider: &Provider,
        session: Option<Arc<Session>>,
        target: &ReturnTo,
    ) -> Result<Redirect, Error> {
        // Sent again by a reload, or by another site.
        if opened.pending.response_mode == ResponseMode::FormPost {
            return Err(Error::State(fault));
        }
        if session.is_some() {
            return Ok(target.clone().into());
        }
        if opened.pending.restarted {
            return Err(Error::State(fault));
        }
        Ok(self.restart(provider, target))
    }

    /// Starts the same sign-in once more.
    pub(super) fn restart(&self, provider: &Provider, target: &ReturnTo) -> Redirect {
        let again = SignInOptions { restarted: true, ..SignInOptions::at(Some(provider.id())) };
        self.party.site().own_path(&again.start(target.as_str())).into()
    }

    /// Whether another tab has signed in at the same provider since this state was made. If so, this callback must
    /// not end that session, unless the user requested a prompt.
    pub(super) fn signed_in_meanwhile(
        &self,
        opened: &OpenedState,
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

    /// The session that this browser got by a POST since this sign-in began.
    pub(super) async fn session_not_sent(
        &self,
        opened: &OpenedState,
    ) -> Result<Option<Arc<Session>>, StoreUnavailable> {
        let pending = &opened.pending;
        let last = match pending.response_mode {
            ResponseMode::Query => None,
            ResponseMode::FormPost => self.browsers.sessions.since(&pending.login, pending.begun),
        };
        match last {
            Some(key) => self.party.sessions().find(key).await,
            None => Ok(None),
        }
    }
}
