//! How many connections of clients there may be, and what becomes of those beyond.
//! Invariant: clients alone cannot take the last file descriptor: upstreams, providers and whoever asks the
//! admin listener get theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Limits;
use crate::telemetry::metrics::{Limit, Metrics};

/// How many connections may be open at all of a server's listeners together.
#[derive(Clone, Debug)]
pub(super) struct Room {
    within: Arc<Semaphore>,
    /// For connections beyond those, which are told so.
    beyond: Arc<Semaphore>,
    open: OpenConnections,
    metrics: Arc<Metrics>,
}

/// A place for the connection that comes next.
#[derive(Debug)]
pub(super) enum Ticket {
    /// One of `limits.connections`.
    Within(OwnedSemaphorePermit),
    /// One more, should there be no room.
    Beyond(OwnedSemaphorePermit),
}

/// Whether there is room for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is served.
    Within,
    /// It is told that the gateway is full.
    Beyond,
}

/// A place that is taken: held by a connection's socket, given back when that closes.
#[derive(Debug)]
pub(super) struct Admission {
    _permit: OwnedSemaphorePermit,
    standing: Standing,
    open: OpenConnections,
}

/// Counts a server's open connections.
#[derive(Clone, Debug, Default)]
pub struct OpenConnections(Arc<AtomicUsize>);

impl OpenConnections {
    /// How many are open now.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Room {
    /// Room for this many.
    pub(super) fn new(connections: usize, open: OpenConnections, metrics: Arc<Metrics>) -> Self {
        let within = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        Self { within, beyond: Arc::new(Semaphore::new(BEYOND)), open, metrics }
    }

    /// Waits until there is a place; `None`: never again.
    pub(super) async fn ticket(&self) -> Option<Ticket> {
        // Whether there is room is seen when the connection is here.
        tokio::select! {
            biased;
            Ok(permit) = Arc::clone(&self.beyond).acquire_owned() => Some(Ticket::Beyond(permit)),
            Ok(permit) = Arc::clone(&self.within).acquire_owned() => Some(Ticket::Within(permit)),
            else => None,
        }
    }

    /// Gives a connection its place.
    pub(super) fn admit(&self, ticket: Ticket) -> Admission {
        let (permit, standing) = match ticket {
            Ticket::Within(permit) => (permit, Standing::Within),
            Ticket::Beyond(beyond) => match Arc::clone(&self.within).try_acquire_owned() {
                Ok(permit) => (permit, Standing::Within),
                Err(_) => {
                    let detail = "as many connections as allowed are open, others get 503";
                    self.metrics.limit_hit(Limit::Connections, detail);
                    (beyond, Standing::Beyond)
                }
            },
        };
        self.open.0.fetch_add(1, Ordering::Relaxed);
        Admission { _permit: permit, standing, open: self.open.clone() }
    }
}

impl Admission {
    pub(super) fn standing(&self) -> Standing {
        self.standing
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.open.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Limits {
    /// These limits with no more connections than the process can bear by the number of files that it may
    /// open, which is raised as far as it goes: what a process starts with is made for programs that cannot
    /// count beyond 1024. And how many connections to upstreams it can bear beside them.
    #[must_use]
    pub fn bearable(self) -> (Self, usize) {
        let Some(descriptors) = raised_descriptor_limit() else { return (self, usize::MAX) };
        let connections = self.connections.min(bearable(descriptors));
        if connections < self.connections {
            tracing::warn!(
                descriptors,
                "there is room for {connections} connections only, not for the {} of \
                 server.limits.connections: let the process open more files (ulimit -n, LimitNOFILE=)",
                self.connections
            );
        }
        (Self { connections, ..self }, left_beside(connections, descriptors))
    }
}

/// How many files the process may open; `None`: as many as it likes.
fn raised_descriptor_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum
        || setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err()
    {
        return current;
    }
    maximum
}

/// How many connections of clients a process can bear that may open so many files.
// SECURITY: over HTTP/1.1 each of them may need another one to an upstream. Without the bound whoever opens
// connections and leaves them idle takes away everybody's, and the health check's.
fn bearable(descriptors: u64) -> usize {
    let bearable = descriptors.saturating_sub(RESERVED) / 2;
    usize::try_from(bearable).unwrap_or(usize::MAX).max(1)
}

/// How many more a process can bear beside these.
fn left_beside(connections: usize, descriptors: u64) -> usize {
    let left = descriptors.saturating_sub(RESERVED);
    usize::try_from(left).unwrap_or(usize::MAX).saturating_sub(connections).max(1)
}

/// How many connections beyond those allowed are told so at a time. More wait to be accepted.
pub(super) const BEYOND: usize = 64;

/// Descriptors for those beyond, and for providers, the admin listener, files and the runtime.
const RESERVED: u64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_descriptors_is_left_to_others() {
        for (descriptors, expected) in
            [(0, 1), (64, 1), (130, 1), (256, 64), (1024, 448), (65_536, 32_704)]
        {
            assert_eq!(bearable(descriptors), expected, "{descriptors}");
            assert_eq!(left_beside(expected, descriptors), expected, "{descriptors}");
        }
        assert_eq!(left_beside(1, 1024), 895);
        assert!(bearable(u64::MAX) > 1_000_000);
    }

    #[test]
    fn the_limit_of_open_files_is_raised_as_far_as_it_goes() {
        let raised = raised_descriptor_limit();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!((current, current), (maximum, raised));
    }

    #[tokio::test]
    async fn whether_there_is_room_is_seen_when_the_connection_is_here() {
        let room = Room::new(1, OpenConnections::default(), Arc::default());
        let (early, late) = (room.ticket().await.unwrap(), room.ticket().await.unwrap());
        let first = room.admit(early);
        assert_eq!((first.standing(), room.open.count()), (Standing::Within, 1));
        drop(first);
        let second = room.admit(late);
        assert_eq!(second.standing(), Standing::Within);
        let third = room.admit(room.ticket().await.unwrap());
        assert_eq!((third.standing(), room.open.count()), (Standing::Beyond, 2));
        drop(second);
        assert_eq!(room.admit(room.ticket().await.unwrap()).standing(), Standing::Within);
    }

    #[tokio::test]
    async fn where_all_places_are_taken_the_next_one_waits_for_any() {
        let room = Room::new(1, OpenConnections::default(), Arc::default());
        let mut taken = Vec::new();
        for _ in 0..=BEYOND {
            taken.push(room.admit(room.ticket().await.unwrap()));
        }
        let mut waiting = Box::pin(room.ticket());
        let pending = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending())
        });
        assert!(pending.await);
        let first = taken.remove(0);
        assert_eq!(first.standing(), Standing::Within);
        drop(first);
        let ticket = waiting.await.unwrap();
        assert_eq!(room.admit(ticket).standing(), Standing::Within);
    }
}
