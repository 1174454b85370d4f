//! What of a request is still under way that ends with its session, and how to end it early.
//! Invariant: marking a part costs one atomic write; the means to end it are looked for only when it has to end.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use crate::server::deadlines::ConnectionActivity;
use crate::server::h2_streams::SendStall;

/// The open parts of one request.
#[derive(Debug, Default)]
pub(super) struct OpenParts {
    flags: AtomicU8,
    /// Which of its connection's requests it is.
    number: u32,
    /// On HTTP/2.
    stream: OnceLock<Arc<SendStall>>,
}

/// The request's body has more to come.
const UPLOAD: u8 = 1;
/// The response has a body whose end is not known beforehand.
const ENDLESS: u8 = 1 << 1;
/// The request is looked after.
const BOUND: u8 = 1 << 2;
/// It has been ended early.
const CUT: u8 = 1 << 3;

impl OpenParts {
    /// Those of the request that has begun last on a connection.
    pub(super) fn of(activity: &ConnectionActivity) -> Self {
        Self { number: activity.begun(), ..Self::default() }
    }

    fn has(&self, flags: u8) -> bool {
        self.flags.load(Ordering::Acquire) & flags > 0
    }

    /// The request has a body.
    pub(super) fn uploads(&self) {
        self.flags.fetch_or(UPLOAD, Ordering::Relaxed);
    }

    /// Its body has come to its end, or nobody reads it any more.
    pub(super) fn uploaded(&self) {
        self.flags.fetch_and(!UPLOAD, Ordering::Release);
    }

    /// The response's end is not known beforehand.
    pub(super) fn mark_endless(&self) {
        self.flags.fetch_or(ENDLESS, Ordering::Release);
    }

    /// Marks the request as looked after. Returns whether it was already.
    pub(super) fn bind(&self) -> RequestBinding {
        match self.flags.fetch_or(BOUND, Ordering::Relaxed) & BOUND {
            0 => RequestBinding::New,
            _ => RequestBinding::Existing,
        }
    }

    /// It runs in this stream.
    pub(super) fn runs_in(&self, stream: &Arc<SendStall>) {
        // Set once: a request has one stream.
        let (Ok(()) | Err(_)) = self.stream.set(Arc::clone(stream));
    }

    /// Whether a part is open.
    pub(super) fn are_open(&self) -> bool {
        self.has(UPLOAD | ENDLESS)
    }

    /// Whether the request was ended early.
    pub(super) fn are_cut(&self) -> bool {
        self.has(CUT)
    }

    /// Ends the request: on HTTP/2 its stream, on HTTP/1 its connection, where nothing may follow on it.
    pub(super) fn cut(&self, activity: &ConnectionActivity) {
        self.flags.fetch_or(CUT, Ordering::Release);
        match self.stream.get() {
            Some(stream) => stream.cut(),
            None => activity.cut(self.number),
        }
    }
}

/// A copy of what is known of a request is not the request.
impl Clone for OpenParts {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Whether a request was looked after before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBinding {
    /// It was.
    Existing,
    /// From now on.
    New,
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn request_is_open_while_it_uploads_or_its_answer_has_no_known_end() {
        let activity = ConnectionActivity::new(Instant::now());
        activity.begin();
        let parts = OpenParts::of(&activity);
        assert!(!parts.are_open());
        parts.uploads();
        assert!(parts.are_open() && !parts.clone().are_open());
        parts.uploaded();
        assert!(!parts.are_open());
        parts.mark_endless();
        assert!(parts.are_open());
        assert_eq!([parts.bind(), parts.bind()], [RequestBinding::New, RequestBinding::Existing]);
    }

    #[tokio::test]
    async fn only_its_own_request_is_cut() {
        let activity = ConnectionActivity::new(Instant::now());
        let began = activity.begin();
        let first = OpenParts::of(&activity);
        activity.finish(began);
        let began = activity.begin();
        first.cut(&activity);
        assert!(first.are_cut() && !activity.is_cut(), "another request is under way");
        OpenParts::of(&activity).cut(&activity);
        assert!(activity.is_cut());
        activity.finish(began);
    }
}
