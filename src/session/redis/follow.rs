//! What other instances change, and what Redis has not confirmed yet.
//! Invariant: a session whose record another instance has changed is read again at once; if it has ended, its streams end
//! too. An end that Redis has not confirmed is sent again until it is, and those of the last minute after each new
//! connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::session::redis::server::Notice;
use crate::session::redis::shared::{SharedSessions, outdate};
use crate::session::redis::store::RedisStore;
use crate::session::{KeyHalf, Session, StoreUnavailable};

impl RedisStore {
    /// Keeps the connection to the server, and follows what it reports. `present` is what the configuration in effect
    /// makes of the sessions. Does not end.
    pub async fn follow(
        self: &Arc<Self>,
        clock: &Clock,
        present: impl Fn() -> Option<Arc<SharedSessions>>,
    ) {
        let Some(reported) = self.take_reported() else { return };
        tokio::join!(
            self.server.keep_connected(),
            self.follow_reports(reported, present),
            self.repeat_ends(clock),
        );
    }

    async fn follow_reports(
        &self,
        mut reported: UnboundedReceiver<Notice>,
        present: impl Fn() -> Option<Arc<SharedSessions>>,
    ) {
        while let Some(notice) = reported.recv().await {
            let Some(sessions) = present() else { continue };
            self.count_notice();
            match notice {
                // Each session is read again when it is used, as it was read over another connection.
                Notice::Connected => self.note_connection(),
                Notice::Changed(name) => {
                    let half = self.names.session_of(&name);
                    if let Some(session) = half.and_then(|half| sessions.table.by_half(&half)) {
                        sessions.changed(&session);
                    }
                }
                Notice::AllChanged => {
                    sessions.table.all().iter().for_each(|session| sessions.changed(session));
                }
            }
        }
    }

    async fn repeat_ends(self: &Arc<Self>, clock: &Clock) {
        loop {
            let ended = tokio::select! {
                () = self.reconnected() => self.ends.all(),
                () = sleep(REPEAT) => self.ends.unconfirmed(),
            };
            self.send(ended, clock).await;
            self.ends.forget(clock.moment());
        }
    }

    /// Many at once: the time between two outages can be short.
    async fn send(self: &Arc<Self>, ended: Vec<KeyHalf>, clock: &Clock) {
        for some in ended.chunks(AT_ONCE) {
            let mut removals = JoinSet::new();
            for half in some {
                let (this, half, clock) = (Arc::clone(self), *half, clock.clone());
                removals.spawn(async move { this.remove(&half, &clock).await });
            }
            // Those after it would fail, too.
            if removals.join_all().await.iter().any(Result::is_err) {
                return;
            }
        }
    }

    /// Removes a session that has ended. Returns whether Redis had it.
    pub(super) async fn remove(
        &self,
        half: &KeyHalf,
        clock: &Clock,
    ) -> Result<bool, StoreUnavailable> {
        let was_stored = self.server.remove(&self.names.record(half)).await?;
        self.ends.confirm(half, clock.moment());
        Ok(was_stored)
    }
}

impl SharedSessions {
    /// Another instance has changed the record of a session.
    fn changed(self: &Arc<Self>, session: &Arc<Session>) {
        // It would not have been used there without its cookie.
        session.receipt().receive();
        session.receipt().accept();
        outdate(session);
        drop(self.read_again(session));
    }
}

/// How many sessions are ended at once.
const AT_ONCE: usize = 64;
/// The time between two tries to end a session.
const REPEAT: Duration = Duration::from_secs(1);
