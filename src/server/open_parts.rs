//! Open parts of a request that end with its session: an upload, or a response without a known end.
//! Invariant: marking a part costs one atomic write. The rest is done once a second by the gate, or when a request is
//! cut.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use crate::server::deadlines::ConnectionActivity;
use crate::server::h2_streams::SendStall;

/// The open parts of one request.
#[derive(Debug, Default)]
pub(super) struct OpenParts {
    flags: AtomicU8,
    /// The number of the request on its connection.
    number: u32,
    /// Set on HTTP/2.
    stream: OnceLock<Arc<SendStall>>,
}

/// The request's body has more to come.
const UPLOAD: u8 = 1;
/// The response has a body without a known end.
const OPEN_ENDED: u8 = 1 << 1;
/// The request is bound to its session.
const BOUND: u8 = 1 << 2;
/// The request is cut.
const CUT: u8 = 1 << 3;

impl OpenParts {
    /// The parts of the latest request of a connection.
    pub(super) fn of(activity: &ConnectionActivity) -> Self {
        Self { number: activity.begun(), ..Self::default() }
    }

    fn has(&self, flags: u8) -> bool {
        self.flags.load(Ordering::Acquire) & flags > 0
    }

    /// Marks the request's body as open.
    pub(super) fn uploads(&self) {
        self.flags.fetch_or(UPLOAD, Ordering::Relaxed);
    }

    /// Marks the request's body as ended or dropped.
    pub(super) fn uploaded(&self) {
        self.flags.fetch_and(!UPLOAD, Ordering::Release);
    }

    /// Marks the response as open-ended.
    pub(super) fn mark_open_ended(&self) {
        self.flags.fetch_or(OPEN_ENDED, Ordering::Release);
    }

    /// Binds the request to its session. Returns whether it was bound before.
    pub(super) fn bind(&self) -> RequestBinding {
        match self.flags.fetch_or(BOUND, Ordering::Relaxed) & BOUND {
            0 => RequestBinding::New,
            _ => RequestBinding::Existing,
        }
    }

    /// Records the stream of the request.
    pub(super) fn runs_in(&self, stream: &Arc<SendStall>) {
        // Set once: a request has one stream.
        let (Ok(()) | Err(_)) = self.stream.set(Arc::clone(stream));
    }

    /// Whether a part is open.
    pub(super) fn are_open(&self) -> bool {
        self.has(UPLOAD | OPEN_ENDED)
    }

    /// Whether the request is cut.
    pub(super) fn are_cut(&self) -> bool {
        self.has(CUT)
    }

    /// Cuts the request: its stream on HTTP/2, its connection on HTTP/1, where no other request may follow.
    pub(super) fn cut(&self, activity: &ConnectionActivity) {
        self.flags.fetch_or(CUT, Ordering::Release);
        match self.stream.get() {
            Some(stream) => stream.cut(),
            None => activity.cut(self.number),
        }
    }
}

/// A clone is not the request itself and has no open parts.
impl Clone for OpenParts {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Whether a request was bound to its session before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBinding {
    /// It was bound before.
    Existing,
    /// It is bound from now on.
    New,
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn request_is_open_during_an_upload_or_an_open_ended_response() {
        let activity = ConnectionActivity::new(Instant::now());
        activity.begin();
        let parts = OpenParts::of(&activity);
        assert!(!parts.are_open());
        parts.uploads();
        assert!(parts.are_open() && !parts.clone().are_open());
        parts.uploaded();
        assert!(!parts.are_open());
        parts.mark_open_ended();
        assert!(parts.are_open());
        assert_eq!([parts.bind(), parts.bind()], [RequestBinding::New, RequestBinding::Existing]);
    }

    #[tokio::test]
    async fn cut_affects_its_own_request_only() {
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
