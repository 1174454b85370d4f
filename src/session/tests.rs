//! What the tests of this room share, and the tests of sessions themselves.

use super::*;
use crate::identity::claim_set::ClaimSet;
use crate::identity::claims::ClaimNames;
use crate::identity::headers::default_rules;
use crate::identity::refresh_baseline::IdTokenBinding;

/// An identity of a user, without more.
pub(crate) fn person(subject: &str) -> Identity {
    Identity {
        provider: Arc::from("company"),
        subject: Arc::from(subject),
        user: Some(subject.into()),
        email: None,
        email_withheld: false,
        groups_claim: ClaimNames::default().groups,
        name: None,
        preferred_username: None,
        claims: ClaimSet::default(),
    }
}

/// What a sign-in of this user leaves behind.
pub(crate) fn baseline(subject: &str) -> RefreshBaseline {
    let binding = IdTokenBinding {
        subject: subject.into(),
        audience: Vec::new(),
        nonce: String::new(),
        auth_time: None,
    };
    RefreshBaseline { binding, beside_userinfo: None }
}

/// A token set with an access token of this text that lives for `seconds`.
pub(crate) fn token_set(access_token: &str, seconds: u64, refresh_token: Option<&str>) -> TokenSet {
    TokenSet {
        access_token: Secret::new(access_token),
        asked: Moment::from_millis(0),
        expires_in: Some(Duration::from_secs(seconds)),
        refresh_token: refresh_token.map(Secret::new),
        id_token: None,
        scope: None,
    }
}

/// A session whose token lives for `seconds` and is due a minute before.
pub(crate) fn session(
    subject: &str,
    seconds: u64,
    refresh_token: Option<&str>,
    now: Moment,
) -> Session {
    let set = TokenSet { asked: now, ..token_set("at", seconds, refresh_token) };
    let tokens = Tokens::new(set, Duration::from_secs(60));
    let data = SessionData::new(person(subject), baseline(subject), tokens);
    Session::new(&SessionId::generate(), data, now, Duration::from_secs(3600))
}

#[test]
fn an_id_has_one_place_and_a_text_of_another_length_has_none() {
    let id = SessionId::generate();
    let text = id.expose();
    assert_eq!(text.len(), 43);
    let place = |text: &str| SessionKey::of_cookie(text);
    assert!(place(text) == Some(id.key()));
    assert!(place(&text.to_ascii_lowercase()) != Some(id.key()));
    let short: String = text.chars().skip(1).collect();
    for wrong in ["", "a", &short, &format!("{text}A"), &format!("{text}=")] {
        assert!(place(wrong).is_none(), "{wrong}");
    }
}

#[test]
fn an_access_token_becomes_due_before_it_expires() {
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
    // Shorter than twice the margin: half of its life.
    check(10, Some("r"), 4, Freshness::Fresh);
    check(10, Some("r"), 5, Freshness::Due);
    check(0, Some("r"), 0, Freshness::Expired);
}

#[test]
fn tokens_lapse_when_the_grace_is_over_too() {
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
fn a_session_ends_by_lifetime_or_idleness() {
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
fn headers_are_made_once_for_a_set_of_rules() {
    let session = session("1", 60, None, Moment::from_millis(0));
    let rules: Arc<[HeaderRule]> = default_rules().into();
    let (first, second) = (session.data().headers(&rules), session.data().headers(&rules));
    assert!(Arc::ptr_eq(&first, &second));
    let others: Arc<[HeaderRule]> = Arc::new([]);
    assert!(session.data().headers(&others).always.is_empty());
}

#[test]
fn debug_tells_no_id_and_no_token() {
    let set = TokenSet {
        id_token: Some(Secret::new("identify-me")),
        ..token_set("access-me", 60, Some("refresh-me"))
    };
    let tokens = Tokens::new(set, Duration::from_secs(60));
    let (id, start) = (SessionId::generate(), Moment::from_millis(0));
    let data = SessionData::new(person("1"), baseline("1"), tokens);
    let session = Session::new(&id, data, start, Duration::from_secs(3600));
    let text = format!("{session:?}");
    assert!(text.contains("SessionData"), "{text}");
    for secret in [id.expose(), "access-me", "refresh-me", "identify-me"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
