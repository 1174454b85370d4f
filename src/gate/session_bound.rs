//! Requests that end with their session: uploads, and responses of unknown length.
//! How: one task checks all of them every second, by the rules in effect. It skips requests younger than a second, so that
//! a short request costs an entry in a list, but no timer and no task.
//! Invariant: a request that is open when its session ends, or when the rules in effect deny it, is cut within three
//! seconds, even if its client neither reads nor writes.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use http::Response;
use http_body::Body as _;
use tokio::time::sleep;

use crate::body::Body;
use crate::gate::Gate;
use crate::gate::identify::{Authentication, Member};
use crate::gate::present_rules::{Asked, PresentRules, Rules, Standing};
use crate::lock::lock;
use crate::server::{ClientInfo, RequestBinding};
use crate::upstream::is_stream;

/// The requests since the last check.
#[derive(Debug, Default)]
pub struct SessionBound([Mutex<Vec<Entry>>; SHARDS]);

/// A request, and the session that it ends with.
#[derive(Debug)]
struct Entry {
    /// Dropped at the end of the request.
    request: Weak<ClientInfo>,
    standing: Standing,
}

impl SessionBound {
    fn add(&self, entry: Entry) {
        // Chosen by the address in memory, so that workers rarely wait for the same lock.
        let shard = entry.request.as_ptr().addr() / size_of::<ClientInfo>() % SHARDS;
        if let Some(shard) = self.0.get(shard) {
            lock(shard).push(entry);
        }
    }

    /// Takes out all requests since the last call that have not ended.
    fn take(&self) -> Vec<Entry> {
        let take = |shard: &Mutex<Vec<Entry>>| std::mem::take(&mut *lock(shard));
        let taken = self.0.iter().flat_map(take);
        taken.filter(|entry| entry.request.strong_count() > 0).collect()
    }
}

impl Gate {
    /// Registers a request, so that it is cut if its session ends while its response is open. A response of known
    /// length is not cut.
    pub(super) fn bind_response(
        &self,
        client: &Arc<ClientInfo>,
        response: &Response<Body>,
        member: &Member,
        authentication: Authentication,
    ) {
        let body = response.body();
        if body.is_end_stream() {
            return;
        }
        if body.size_hint().exact().is_none() || is_stream(response.headers()) {
            client.answers_without_end();
            self.bind(client, member, authentication);
        }
    }

    /// Registers a request, so that it is cut if its session ends while its body or an open-ended response is open.
    pub(super) fn bind(
        &self,
        client: &Arc<ClientInfo>,
        member: &Member,
        authentication: Authentication,
    ) {
        match client.bind() {
            RequestBinding::Existing => {}
            RequestBinding::New => {
                let standing = Standing::of(self, member, authentication);
                self.session_bound.add(Entry { request: Arc::downgrade(client), standing });
            }
        }
    }
}

impl SessionBound {
    /// Checks the requests that are open for at least a second. Never returns.
    pub async fn watch(&self, present: &PresentRules) {
        let (mut young, mut old) = (Vec::new(), Vec::new());
        loop {
            sleep(CHECK_EVERY).await;
            // Requests that were young at the last check are a second old now.
            old.append(&mut young);
            young = self.take();
            if let Some(rules) = present.now() {
                old.retain_mut(|entry| check(entry, &rules));
            }
        }
    }
}

/// Cuts a request that must not stay open. Returns whether to check it again.
fn check(Entry { request, standing }: &mut Entry, rules: &Rules) -> bool {
    let Some(request) = request.upgrade() else { return false };
    // A request is not open between the end of its upload and the start of its response.
    if !request.is_open() || rules.allow(standing, Asked::by(&request)) {
        return true;
    }
    request.cut();
    false
}

/// The time between two checks, and the age below which a request is not checked.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The number of lists. There are many, so that workers do not wait for each other.
const SHARDS: usize = 16;
