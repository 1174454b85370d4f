//! What is open of a session for long ends with it: WebSockets here, requests in `session_bound`.

use std::sync::Arc;
use std::time::Duration;

use crate::gate::Gate;
use crate::gate::identify::Authentication;
use crate::server::Tasks;
use crate::session::{Freshness, Session};
use crate::upstream::Ending;

impl Gate {
    /// When a WebSocket has to end: with its session, or with the process.
    pub(super) fn tunnel_ending(
        &self,
        session: Option<&Arc<Session>>,
        authentication: Authentication,
        tasks: &Tasks,
    ) -> impl Future<Output = Ending> + use<> {
        let over = session.map(|session| self.clone().watch(Arc::clone(session), authentication));
        let tasks = tasks.clone();
        async move {
            let over = async {
                match over {
                    Some(over) => over.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => Ending::SessionEnded,
                () = tasks.ending() => Ending::ShuttingDown,
            }
        }
    }

    /// Notes what a client sends, through a tunnel or as a body, as a use of its session.
    pub(super) fn touching(&self, session: Option<&Arc<Session>>) -> impl FnMut() + use<> {
        let used = session.map(|session| (Arc::clone(session), self.party.clock().clone()));
        move || {
            if let Some((session, clock)) = &used {
                let now = clock.moment();
                // Only now and then: all workers read that place.
                if now.since(session.used()) >= TOUCH {
                    session.touch(now);
                }
            }
        }
    }

    /// Keeps a session with an open stream fresh; ready when it is over, or when the stream needs a
    /// member and the session is no longer taken for one.
    async fn watch(self, session: Arc<Session>, authentication: Authentication) {
        let ended = session.end_signal().token();
        while self.stands(&session, authentication) {
            tokio::select! {
                () = ended.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Whether what is open of a session may go on. Refreshes the session when that is due.
    pub(super) fn stands(&self, session: &Arc<Session>, authentication: Authentication) -> bool {
        if session.end_signal().is_given() {
            return false;
        }
        let now = self.party.clock().moment();
        if session.is_over(now, self.party.sessions().idle_timeout()) {
            self.party.sessions().remove(session.key());
            return false;
        }
        let data = Arc::clone(&session.data());
        match data.tokens.freshness(now) {
            Freshness::Fresh | Freshness::Spent => {}
            Freshness::Due | Freshness::Expired => drop(self.refresh(session, &data)),
        }
        // SECURITY: whom every new request takes for a stranger must not go on in an old one. Without
        // waiting for the refresh: it was tried all through the grace, for as long as there was a stream.
        authentication == Authentication::Optional || !data.tokens.is_lapsed(now, self.outage_grace)
    }
}

/// How exact the last use of a session is.
const TOUCH: Duration = Duration::from_secs(1);
/// How often a WebSocket looks after its session: well within the five seconds it may outlive it.
const LOOK: Duration = Duration::from_secs(2);
