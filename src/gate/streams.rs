//! Streams that outlast their request end with their session (WebSocket, event stream, gRPC).

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::body::{Body, BodyError};
use crate::gate::Gate;
use crate::gate::identify::Need;
use crate::server::Tasks;
use crate::session::{Freshness, Session};
use crate::upstream::{Ending, is_stream};

/// The session that a stream belongs to has ended.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the session has ended")]
pub struct SessionEnded;

impl Gate {
    /// When a WebSocket has to end: with its session, or with the process.
    pub(super) fn tunnel_ending(
        &self,
        session: Option<&Arc<Session>>,
        need: Need,
        tasks: &Tasks,
    ) -> impl Future<Output = Ending> + use<> {
        let over = session.map(|session| self.clone().watch(Arc::clone(session), need));
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
        let used = session.map(|session| (Arc::clone(session), self.clock.clone()));
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

    /// Binds an event stream's or a gRPC call's body to its session.
    pub(super) fn bind_stream(
        &self,
        response: &mut Response<Body>,
        session: &Arc<Session>,
        need: Need,
        tasks: &Tasks,
    ) {
        if !is_stream(response.headers()) {
            return;
        }
        let ended = CancellationToken::new();
        let (gate, session, until) = (self.clone(), Arc::clone(session), ended.clone());
        // Gone with the body: dropping the body drops the guard, which ends the watch.
        let guard = CancellationToken::new();
        let gone = guard.clone();
        let body = Shared(Arc::new(Mutex::new(Some(std::mem::take(response.body_mut())))));
        let watched = body.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = gate.watch(session, need) => {
                    // Not left to the client: one that reads nothing does not ask for more, either, and
                    // the upstream would go on for it.
                    watched.lock().take();
                    until.cancel();
                }
                () = gone.cancelled() => {}
            }
        });
        let ended = Box::pin(ended.cancelled_owned());
        *response.body_mut() = Body::streamed(Bound { body, ended, _guard: guard.drop_guard() });
    }

    /// Keeps a session with an open stream fresh; ready when it is over, or when the stream needs a
    /// member and the session is no longer taken for one.
    async fn watch(self, session: Arc<Session>, need: Need) {
        let ended = session.streams().until_end();
        loop {
            tokio::select! {
                () = ended.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let now = self.clock.moment();
            if session.is_over(now, self.sessions.idle_timeout()) {
                self.sessions.remove(session.key());
                return;
            }
            let holding = Arc::clone(&session.holding());
            match holding.tokens.freshness(now) {
                Freshness::Fresh | Freshness::Spent => {}
                Freshness::Due | Freshness::Expired => drop(self.refresh(&session, &holding)),
            }
            // SECURITY: whom every new request takes for a stranger must not go on in an old one. Without
            // waiting for the refresh: it was tried all through the grace, for as long as there was a stream.
            if need == Need::Proof && holding.tokens.is_lapsed(now, self.outage_grace) {
                return;
            }
        }
    }
}

/// An upstream's body, until its session has ended.
#[derive(Clone)]
struct Shared(Arc<Mutex<Option<Body>>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Body>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that breaks off when its session ends.
struct Bound {
    body: Shared,
    /// Wakes whoever waits for the body.
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    _guard: tokio_util::sync::DropGuard,
}

impl HttpBody for Bound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Box::new(SessionEnded))));
        }
        match &mut *self.body.lock() {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(Some(Err(Box::new(SessionEnded)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.lock().as_ref().is_some_and(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.lock().as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

/// How exact the last use of a session is.
const TOUCH: Duration = Duration::from_secs(1);
/// How often a stream looks after its session: well within the five seconds it may outlive it.
const LOOK: Duration = Duration::from_secs(2);
