//! WebSockets that end with their session. For uploads and streams see `session_bound`.

use std::sync::Arc;
use std::time::Duration;

use crate::client_address::ClientAddress;
use crate::gate::Gate;
use crate::gate::identify::Authentication;
use crate::gate::present_rules::{Asked, PresentRules, Standing};
use crate::server::{ClientInfo, RequestLine};
use crate::session::{Freshness, Session};
use crate::upstream::Ending;

impl Gate {
    /// Waits until a WebSocket has to end: with its session, by the rules in effect, or with the process.
    pub(super) fn tunnel_ending(
        &self,
        standing: Option<Standing>,
        client: &ClientInfo,
    ) -> impl Future<Output = Ending> + use<> {
        let (line, host) = (client.line().clone(), client.host().to_owned());
        let (asked, present) = ((line, host, client.address()), Arc::clone(&self.present));
        let over = standing.map(|standing| watch(present, standing, asked));
        let tasks = client.tasks().clone();
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

    /// Whether a WebSocket, upload or stream of a session may stay open. Starts a refresh of the session when due.
    pub(super) fn may_stay_open(
        &self,
        session: &Arc<Session>,
        authentication: Authentication,
    ) -> bool {
        if !self.party.sessions().stands(session) {
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

/// Refreshes a session while it has an open WebSocket. Returns when the WebSocket has to end.
async fn watch(
    present: Arc<PresentRules>,
    mut standing: Standing,
    (line, host, address): (RequestLine, String, ClientAddress),
) {
    let asked = Asked { line: &line, host: &host, address };
    let ended = standing.session.end_signal().token();
    // At the end of the process there are no rules.
    while present.now().is_none_or(|rules| rules.allow(&mut standing, asked)) {
        tokio::select! {
            () = ended.cancelled() => return,
            () = tokio::time::sleep(CHECK_EVERY) => {}
        }
    }
}

/// The precision of the last use of a session.
const TOUCH_EVERY: Duration = Duration::from_secs(1);
/// The time between two checks of a session with a WebSocket. A WebSocket may outlive its session by five seconds.
const CHECK_EVERY: Duration = Duration::from_secs(2);
