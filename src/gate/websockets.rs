//! WebSockets that end with their session. For uploads and streams see `session_bound`.

use std::sync::Arc;
use std::time::Duration;

use crate::gate::Gate;
use crate::gate::identify::Authentication;
use crate::server::Tasks;
use crate::session::{Freshness, Session};
use crate::upstream::Ending;

impl Gate {
    /// Waits until a WebSocket has to end: with its session, or with the process.
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
                () = tasks.leaving() => Ending::ShuttingDown,
            }
        }
    }

    /// Counts what a client sends, through a WebSocket or as a request body, as use of its session.
    pub(super) fn touching(&self, session: Option<&Arc<Session>>) -> impl FnMut() + use<> {
        let used = session.map(|session| (Arc::clone(session), self.party.clock().clone()));
        move || {
            if let Some((session, clock)) = &used {
                let now = clock.moment();
                // Not for every packet, as all workers read this value.
                if now.since(session.used()) >= TOUCH_EVERY {
                    session.touch(now);
                }
            }
        }
    }

    /// Refreshes a session while it has an open WebSocket. Returns when the WebSocket has to end.
    async fn watch(self, session: Arc<Session>, authentication: Authentication) {
        let ended = session.end_signal().token();
        while self.may_stay_open(&session, authentication) {
            tokio::select! {
                () = ended.cancelled() => return,
                () = tokio::time::sleep(CHECK_EVERY) => {}
            }
        }
    }

    /// Whether a WebSocket, upload or stream of a session may stay open. Starts a refresh of the session when due.
    pub(super) fn may_stay_open(
        &self,
        session: &Arc<Session>,
        authentication: Authentication,
    ) -> bool {
        if session.end_signal().is_given() {
            return false;
        }
        if self.party.sessions().find(session.key()).is_none() {
            return false;
        }
        let now = self.party.clock().moment();
        let data = Arc::clone(&session.data());
        match data.tokens.freshness(now) {
            Freshness::Fresh | Freshness::Spent => {}
            Freshness::Due | Freshness::Expired => drop(self.refresh(session, &data)),
        }
        // SECURITY: where every new request would be a stranger's, an open one must not continue as the member's.
        // This does not wait for the refresh: it was tried all through the grace while the stream was open.
        authentication == Authentication::Optional || !data.tokens.is_lapsed(now, self.outage_grace)
    }
}

/// The precision of the last use of a session.
const TOUCH_EVERY: Duration = Duration::from_secs(1);
/// The time between two checks of a session with a WebSocket. A WebSocket may outlive its session by five seconds.
const CHECK_EVERY: Duration = Duration::from_secs(2);
