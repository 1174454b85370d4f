//! The sessions that ended, on their way to a file: see `snapshot`.
//! Invariant: a session is in the queue as soon as it is no longer in the table, and stays until it is in the file.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::lock::lock;
use crate::session::SessionKey;

/// Sessions that ended and are not in the file yet.
#[derive(Debug, Default)]
pub(super) struct EndedQueue {
    waiting: Mutex<Waiting>,
    filled: Notify,
    /// How many sessions ended and left the queue.
    recorded: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Waiting {
    keys: Vec<SessionKey>,
    /// How many sessions ended.
    ended: u64,
}

impl EndedQueue {
    /// Adds a session. Returns its number.
    pub(super) fn push(&self, key: SessionKey) -> u64 {
        let mut waiting = lock(&self.waiting);
        waiting.keys.push(key);
        waiting.ended += 1;
        let number = waiting.ended;
        drop(waiting);
        self.filled.notify_one();
        number
    }

    /// Waits until the session with this number has left the queue, but not long: a disk that hangs keeps no sign-out
    /// from its answer.
    pub(super) async fn recorded(&self, number: u64) {
        let mut recorded = self.recorded.subscribe();
        let waited = recorded.wait_for(|recorded| *recorded >= number);
        if tokio::time::timeout(PATIENCE, waited).await.is_err() {
            tracing::warn!("session.snapshot: the disk takes long to record that a session ended");
        }
    }

    /// Waits until sessions are in the queue.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// All sessions in the queue, and the number of the last one.
    pub(super) fn take(&self) -> (Vec<SessionKey>, u64) {
        let mut waiting = lock(&self.waiting);
        (std::mem::take(&mut waiting.keys), waiting.ended)
    }

    /// The sessions up to this number have been handled.
    pub(super) fn handled(&self, number: u64) {
        self.recorded.send_replace(number);
    }
}

/// How long the end of a session waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);
