//! The data of a session: identity, refresh baseline, tokens. A refresh replaces it as a whole.
//! Invariant: only its times, which are on the monotonic clock, and the rendered headers are bound to this process. A
//! store outside the process would keep the rest, and convert the times.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::clock::Moment;
use crate::identity::Identity;
use crate::identity::answer_headers::{AnswerHeaders, AnswerValues};
use crate::identity::headers::{HeaderRule, Known, Rendered, render};
use crate::identity::refresh_baseline::RefreshBaseline;
use crate::oauth::token::TokenSet;
use crate::secret::Secret;

/// What a sign-in or a refresh stores.
#[derive(Debug)]
pub struct SessionData {
    /// The signed-in user.
    pub identity: Identity,
    /// What the claims of the next refresh are compared with.
    pub baseline: RefreshBaseline,
    /// The tokens of the provider.
    pub tokens: Tokens,
    /// Identity headers by the rules that were used last: rendered once, sent with every request.
    rendered: Last<[HeaderRule], Rendered>,
    /// The same in answers to auth subrequests.
    answers: Last<AnswerHeaders, AnswerValues>,
}

/// What was made of the input that was used last.
#[derive(Debug)]
struct Last<K: ?Sized, V>(ArcSwapOption<(Arc<K>, Arc<V>)>);

/// A token set, and when it has to be refreshed.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// RFC 6749 §1.4; `None` if it was dropped because of `max_bytes` and nothing uses it.
    pub access_token: Option<Secret>,
    /// When the access token expires; `None`: not before the session ends.
    pub expires: Option<Moment>,
    /// When to refresh, or without a refresh token to ask whether the session still stands; `None`: never.
    pub due: Option<Moment>,
    /// RFC 6749 §1.5.
    pub refresh_token: Option<Secret>,
    /// The ID token, unchanged, for `id_token_hint` and `{id_token}`.
    pub id_token: Option<Secret>,
}

/// The state of a session's access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Valid, and not due for a refresh.
    Fresh,
    /// Valid, and due for a refresh or a recheck.
    Due,
    /// Expired; a refresh can replace it.
    Expired,
    /// Expired, and there is no refresh token: the session continues without a valid access token.
    Spent,
}

impl SessionData {
    /// Data of a sign-in or a refresh.
    pub fn new(identity: Identity, mut baseline: RefreshBaseline, tokens: Tokens) -> Self {
        if baseline.binding.subject == identity.subject {
            // Both share one text.
            baseline.binding.subject = Arc::clone(&identity.subject);
        }
        Self { identity, baseline, tokens, rendered: Last::default(), answers: Last::default() }
    }

    /// The identity headers by these rules, at most so many bytes. Rendered once, because most sessions use one route.
    pub fn headers(&self, rules: &Arc<[HeaderRule]>, most: usize) -> Arc<Rendered> {
        self.rendered.get_or_make(rules, || render(rules, self.known(), most))
    }

    /// The values of these fields of an answer to an auth subrequest, by the same rules. Made once, like the headers.
    pub fn answer(
        &self,
        answer: &Arc<AnswerHeaders>,
        rules: &Arc<[HeaderRule]>,
        most: usize,
    ) -> Arc<AnswerValues> {
        self.answers
            .get_or_make(answer, || answer.values(self.known(), &self.headers(rules, most), most))
    }

    fn known(&self) -> Known<'_> {
        Known {
            identity: &self.identity,
            access_token: self.tokens.access_token.as_ref(),
            id_token: self.tokens.id_token.as_ref(),
        }
    }
}

impl<K: ?Sized, V> Default for Last<K, V> {
    fn default() -> Self {
        Self(ArcSwapOption::empty())
    }
}

impl<K: ?Sized, V> Last<K, V> {
    fn get_or_make(&self, key: &Arc<K>, make: impl FnOnce() -> V) -> Arc<V> {
        if let Some(last) = &*self.0.load()
            && Arc::ptr_eq(&last.0, key)
        {
            return Arc::clone(&last.1);
        }
        let made = Arc::new(make());
        self.0.store(Some(Arc::new((Arc::clone(key), Arc::clone(&made)))));
        made
    }
}

impl Tokens {
    /// Reads a token set. Its lifetime began when the request for it was sent.
    pub fn new(set: TokenSet, refresh_before: Duration) -> Self {
        let expires = set.expires_in.map(|life| set.requested_at.after(life));
        let due = set.expires_in.filter(|_| set.refresh_token.is_some()).map(|life| {
            // A short-lived token is refreshed at half of its lifetime, not with every request.
            set.requested_at.after(life.saturating_sub(refresh_before.min(life / 2)))
        });
        Self {
            access_token: Some(set.access_token),
            expires,
            due,
            refresh_token: set.refresh_token,
            id_token: set.id_token,
        }
    }

    /// The same, but due at the latest this long after the provider's last answer.
    #[must_use]
    pub fn due_within(self, recheck: Option<Duration>, answered: Moment) -> Self {
        let Some(recheck) = recheck else { return self };
        let latest = answered.after(recheck);
        Self { due: Some(self.due.map_or(latest, |due| due.min(latest))), ..self }
    }

    /// The state of the access token.
    pub fn freshness(&self, now: Moment) -> Freshness {
        let is_past = |moment: Option<Moment>| moment.is_some_and(|moment| now >= moment);
        match (is_past(self.expires), self.refresh_token.is_some()) {
            (true, true) => Freshness::Expired,
            (true, false) => Freshness::Spent,
            (false, _) if is_past(self.due) => Freshness::Due,
            (false, _) => Freshness::Fresh,
        }
    }

    /// Whether the access token expired more than `grace` ago, and a refresh could replace it: then the
    /// session is not valid until a refresh succeeds. Without a refresh token it never lapses.
    pub fn is_lapsed(&self, now: Moment, grace: Duration) -> bool {
        self.freshness(now) == Freshness::Expired
            && self.expires.is_some_and(|expires| now >= expires.after(grace))
    }

    /// Whether the access token may be sent to an upstream.
    // SECURITY: an expired token is never sent.
    pub fn access_token_is_valid(&self, now: Moment) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::headers::default_rules;
    use crate::session::tests::{session, token_set};

    #[test]
    fn access_token_is_due_before_it_expires() {
        let start = Moment::from_millis(0);
        let at = |seconds| start.after(Duration::from_secs(seconds));
        let check = |life: u64, refresh_token, seconds: u64, expected| {
            let tokens = Tokens::new(token_set("at", life, refresh_token), Duration::from_secs(60));
            assert_eq!(tokens.freshness(at(seconds)), expected, "{life} {seconds}");
        };
        check(300, Some("r"), 239, Freshness::Fresh);
        check(300, Some("r"), 240, Freshness::Due);
        check(300, Some("r"), 300, Freshness::Expired);
        check(300, None, 299, Freshness::Fresh);
        check(300, None, 300, Freshness::Spent);
        // A lifetime below twice `refresh_before`: due at half of it.
        check(10, Some("r"), 4, Freshness::Fresh);
        check(10, Some("r"), 5, Freshness::Due);
        check(0, Some("r"), 0, Freshness::Expired);
    }

    #[test]
    fn recheck_is_due_at_the_latest_after_its_interval_while_the_token_is_valid() {
        let start = Moment::from_millis(0);
        let at = |seconds| start.after(Duration::from_secs(seconds));
        let check = |refresh_token, recheck: Option<u64>, seconds: u64, expected| {
            let tokens = Tokens::new(token_set("at", 300, refresh_token), Duration::from_secs(60));
            let tokens = tokens.due_within(recheck.map(Duration::from_secs), at(0));
            assert_eq!(tokens.freshness(at(seconds)), expected, "{recheck:?} {seconds}");
        };
        for refresh_token in [Some("r"), None] {
            check(refresh_token, Some(100), 99, Freshness::Fresh);
            check(refresh_token, Some(100), 100, Freshness::Due);
        }
        check(Some("r"), Some(1000), 240, Freshness::Due);
        check(Some("r"), Some(1000), 300, Freshness::Expired);
        check(None, Some(1000), 299, Freshness::Fresh);
        check(None, Some(100), 300, Freshness::Spent);
        check(None, None, 299, Freshness::Fresh);
    }

    #[test]
    fn tokens_lapse_after_expiry_and_grace() {
        let start = Moment::from_millis(0);
        let check = |refresh_token, seconds, expected| {
            let tokens = Tokens::new(token_set("at", 60, refresh_token), Duration::from_secs(60));
            let now = start.after(Duration::from_secs(seconds));
            assert_eq!(tokens.is_lapsed(now, Duration::from_secs(300)), expected, "{seconds}");
        };
        check(Some("r"), 60, false);
        check(Some("r"), 359, false);
        check(Some("r"), 360, true);
        check(None, 360, false);
    }

    #[test]
    fn headers_are_rendered_once_for_a_set_of_rules() {
        let session = session("1", 60, None, Moment::from_millis(0));
        let rules: Arc<[HeaderRule]> = default_rules().into();
        let (first, second) =
            (session.data().headers(&rules, 100), session.data().headers(&rules, 100));
        assert!(Arc::ptr_eq(&first, &second));
        let others: Arc<[HeaderRule]> = Arc::new([]);
        assert!(session.data().headers(&others, 100).always.is_empty());
    }
}
