//! The session that a browser got last by a callback with `form_post`: browsers send a `Lax` session cookie with no POST
//! of another site, so the next such callback does not bring it.
//! Invariant: a browser is known by its login cookie, and an entry is made by a completed sign-in only; nothing here
//! gives a session to a request, it only ends one, or keeps it.

use std::sync::Mutex;
use std::time::Duration;

use crate::lock::lock;
use crate::login::generations::{BrowserHash, Generations};
use crate::login::pending::STATE_LIFETIME;
use crate::session::SessionKey;

/// The last session of each browser.
#[derive(Debug, Default)]
pub struct BrowserSessions(Mutex<Generations<Last>>);

#[derive(Clone, Copy, Debug)]
struct Last {
    session: SessionKey,
    /// When its sign-in completed, since 1970.
    completed: Duration,
}

impl BrowserSessions {
    /// The session that a browser got last.
    pub(super) fn last(&self, browser: &BrowserHash) -> Option<SessionKey> {
        lock(&self.0).get(browser).map(|last| last.session)
    }

    /// The same, if its sign-in completed after this time.
    // A browser that loses its cookie begins again after that, so it does not get the lost session for good.
    pub(super) fn since(&self, browser: &BrowserHash, begun: Duration) -> Option<SessionKey> {
        let last = lock(&self.0).get(browser).copied()?;
        (last.completed > begun).then_some(last.session)
    }

    /// Records a completed sign-in.
    pub(super) fn completed(&self, browser: BrowserHash, session: SessionKey, now: Duration) {
        let last = Last { session, completed: now };
        lock(&self.0).insert(browser, last, now, STATE_LIFETIME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionId;

    #[test]
    fn session_of_a_browser_is_found_by_a_sign_in_that_began_before_it() {
        let (browsers, key) = (BrowserSessions::default(), SessionId::generate().key());
        let at = Duration::from_secs;
        browsers.completed([1; 16], key, at(1000));
        assert_eq!(browsers.last(&[1; 16]), Some(key));
        assert_eq!(browsers.since(&[1; 16], at(999)), Some(key));
        assert_eq!(browsers.since(&[1; 16], at(1000)), None);
        assert_eq!((browsers.last(&[2; 16]), browsers.since(&[2; 16], at(1))), (None, None));
    }
}
