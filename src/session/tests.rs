//! Fixtures for the tests of this room, and the tests of [`Session`].

use super::*;
use crate::identity::refresh_baseline::{IdTokenBinding, RefreshBaseline};
use crate::identity::tests::person;
use crate::oauth::token::TokenSet;
use crate::secret::Secret;

/// The baseline of a sign-in of this user.
pub(crate) fn baseline(subject: &str) -> RefreshBaseline {
    let binding = IdTokenBinding { subject: subject.into(), nonce: String::new(), auth_time: None };
    RefreshBaseline::of(binding)
}

/// A token set with this access token, which expires after `seconds`.
pub(crate) fn token_set(access_token: &str, seconds: u64, refresh_token: Option<&str>) -> TokenSet {
    TokenSet {
        access_token: Secret::new(access_token),
        requested_at: Moment::from_millis(0),
        expires_in: Some(Duration::from_secs(seconds)),
        refresh_token: refresh_token.map(Secret::new),
        id_token: None,
    }
}

/// A session whose access token expires after `seconds` and is due a minute before.
pub(crate) fn session(
    subject: &str,
    seconds: u64,
    refresh_token: Option<&str>,
    now: Moment,
) -> Session {
    session_at([0; 8], subject, seconds, refresh_token, now)
}

/// The same at this provider.
pub(crate) fn session_at(
    provider: ProviderMark,
    subject: &str,
    seconds: u64,
    refresh_token: Option<&str>,
    now: Moment,
) -> Session {
    let set = TokenSet { requested_at: now, ..token_set("at", seconds, refresh_token) };
    let tokens = Tokens::new(set, Duration::from_secs(60));
    let data = SessionData::new(person(subject), baseline(subject), tokens);
    Session::new(&SessionId::generate(), provider, data, now, Duration::from_secs(3600))
}

#[test]
fn session_is_over_after_lifetime_or_idle_timeout() {
    let start = Moment::from_millis(0);
    let at = |seconds| start.after(Duration::from_secs(seconds));
    let session = session("1", 60, None, start);
    assert!(!session.is_over(at(3599), None));
    assert!(session.is_over(at(3600), None));
    let idle = Some(Duration::from_secs(10));
    assert!(session.is_over(at(10), idle));
    session.touch(at(5));
    assert!(!session.is_over(at(14), idle));
}

#[test]
fn debug_output_has_no_id_and_no_token() {
    let set = TokenSet {
        id_token: Some(Secret::new("identify-me")),
        ..token_set("access-me", 60, Some("refresh-me"))
    };
    let tokens = Tokens::new(set, Duration::from_secs(60));
    let (id, start) = (SessionId::generate(), Moment::from_millis(0));
    let data = SessionData::new(person("1"), baseline("1"), tokens);
    let session = Session::new(&id, [0; 8], data, start, Duration::from_secs(3600));
    let text = format!("{session:?}");
    assert!(text.contains("SessionData"), "{text}");
    for secret in [id.expose(), "access-me", "refresh-me", "identify-me"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
