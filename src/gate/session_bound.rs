//! Requests that end with their session: uploads, and responses whose end is not known beforehand.
//! Invariants: one task looks at all of them, and at none that has been under way for less than a second: until then
//! a request costs a place in a list, no timer and no task. What is open when its session ends is cut within three
//! seconds, also where its client neither reads nor writes.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use http::Response;
use http_body::Body as _;
use tokio::time::sleep;

use crate::body::Body;
use crate::gate::Gate;
use crate::gate::identify::Authentication;
use crate::lock::lock;
use crate::server::{ClientInfo, RequestBinding};
use crate::session::Session;
use crate::upstream::is_stream;

/// The requests that came since the last look.
#[derive(Debug, Default)]
pub struct SessionBound([Mutex<Vec<Entry>>; SHARDS]);

/// A request, and the session that it ends with.
#[derive(Debug)]
struct Entry {
    /// Gone once the request is over.
    request: Weak<ClientInfo>,
    session: Arc<Session>,
    authentication: Authentication,
}

impl SessionBound {
    fn add(&self, entry: Entry) {
        // By its place in memory, so that workers seldom meet.
        let shard = entry.request.as_ptr().addr() / size_of::<ClientInfo>() % SHARDS;
        if let Some(shard) = self.0.get(shard) {
            lock(shard).push(entry);
        }
    }

    /// Takes out all that came since the last time and are not over.
    fn take(&self) -> Vec<Entry> {
        let take = |shard: &Mutex<Vec<Entry>>| std::mem::take(&mut *lock(shard));
        let taken = self.0.iter().flat_map(take);
        taken.filter(|entry| entry.request.strong_count() > 0).collect()
    }
}

impl Gate {
    /// Ends a request with its session while its response is open, unless the end of that is known beforehand.
    pub(super) fn bind_response(
        &self,
        client: &Arc<ClientInfo>,
        response: &Response<Body>,
        session: &Arc<Session>,
        authentication: Authentication,
    ) {
        let body = response.body();
        if body.is_end_stream() {
            return;
        }
        if body.size_hint().exact().is_none() || is_stream(response.headers()) {
            client.answers_without_end();
            self.bind(client, session, authentication);
        }
    }

    /// Ends a request with its session while its own body or an endless response is open.
    pub(super) fn bind(
        &self,
        client: &Arc<ClientInfo>,
        session: &Arc<Session>,
        authentication: Authentication,
    ) {
        match client.bind() {
            RequestBinding::Existing => {}
            RequestBinding::New => {
                let (request, session) = (Arc::downgrade(client), Arc::clone(session));
                self.session_bound.add(Entry { request, session, authentication });
            }
        }
    }

    /// Looks after the requests that have been under way for a second; never returns.
    pub async fn watch_requests(&self) {
        let (mut young, mut old) = (Vec::new(), Vec::new());
        loop {
            sleep(LOOK).await;
            // What was young at the last look is a second old now.
            old.append(&mut young);
            young = self.session_bound.take();
            old.retain(|entry| self.goes_on(entry));
        }
    }

    /// Cuts a request whose session has ended. Returns whether to look at it again.
    fn goes_on(&self, Entry { request, session, authentication }: &Entry) -> bool {
        let Some(request) = request.upgrade() else { return false };
        // An upload may be done, and its response not begun.
        if !request.is_open() || self.stands(session, *authentication) {
            return true;
        }
        request.cut();
        false
    }
}

/// How often requests are looked at, and for how long they are not.
const LOOK: Duration = Duration::from_secs(1);

/// Many, so that workers do not wait for each other.
const SHARDS: usize = 16;
