//! Sessions that were ended here, for as long as another instance or a server that takes over may still have them.
//! Invariant: a session in this list is not found here, whatever Redis says.

use std::time::Duration;

use dashmap::DashMap;

use crate::clock::Moment;
use crate::session::KeyHalf;

/// Sessions that were ended here.
#[derive(Debug, Default)]
pub(super) struct Ends(DashMap<KeyHalf, End>);

#[derive(Clone, Copy, Debug)]
struct End {
    /// When the session would have ended by itself.
    by_itself: Moment,
    /// When Redis has confirmed it.
    confirmed: Option<Moment>,
}

impl Ends {
    /// Adds a session that would have ended by itself at `by_itself`.
    pub(super) fn add(&self, session: KeyHalf, by_itself: Moment) {
        self.0.insert(session, End { by_itself, confirmed: None });
    }

    /// Whether a session has ended.
    pub(super) fn contains(&self, session: &KeyHalf) -> bool {
        self.0.contains_key(session)
    }

    /// Notes that Redis has no such session any more.
    pub(super) fn confirm(&self, session: &KeyHalf, now: Moment) {
        if let Some(mut end) = self.0.get_mut(session) {
            end.confirmed.get_or_insert(now);
        }
    }

    /// The sessions that Redis may still have.
    pub(super) fn unconfirmed(&self) -> Vec<KeyHalf> {
        let unconfirmed = self.0.iter().filter(|end| end.confirmed.is_none());
        unconfirmed.map(|end| *end.key()).collect()
    }

    /// All of them: a server that takes over may lack what the one before had confirmed.
    pub(super) fn all(&self) -> Vec<KeyHalf> {
        self.0.iter().map(|end| *end.key()).collect()
    }

    /// Forgets those that were confirmed long ago, or would have ended by themselves.
    pub(super) fn forget(&self, now: Moment) {
        self.0.retain(|_, end| {
            let is_recent = |confirmed| now.since(confirmed) < KEPT;
            now < end.by_itself && end.confirmed.is_none_or(is_recent)
        });
    }
}

/// How long a confirmed end is kept.
const KEPT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_is_kept_until_it_is_confirmed_for_a_minute_or_its_session_is_over() {
        let at = |seconds| Moment::from_millis(0).after(Duration::from_secs(seconds));
        let (ends, one, other) = (Ends::default(), [1; 16], [2; 16]);
        ends.add(one, at(3600));
        ends.add(other, at(3600));
        ends.confirm(&one, at(10));
        assert_eq!(ends.unconfirmed(), [other]);
        ends.forget(at(69));
        assert_eq!(ends.all().len(), 2);
        ends.forget(at(70));
        assert!(!ends.contains(&one) && ends.contains(&other));
        ends.forget(at(3600));
        assert!(!ends.contains(&other));
    }
}
