//! A valid token, and each violation of a rule.

use serde_json::json;

use super::*;
use crate::jose::Header;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://op.example";

const AT_SIGN_IN: Occasion<'_> = Occasion::SignIn { nonce: "n", max_age: None };

fn valid() -> Value {
    json!({"iss": ISSUER, "sub": "alice", "aud": "us", "nonce": "n", "exp": NOW + 300,
           "iat": NOW - 5, "auth_time": NOW - 9, "email": "alice@example.com"})
}

fn refreshed() -> IdTokenBinding {
    IdTokenBinding {
        subject: "alice".into(),
        audience: vec!["us".into()],
        nonce: "n".into(),
        auth_time: Some(NOW - 9),
    }
}

fn verified(
    claims: &Value,
    typ: Option<&str>,
    occasion: Occasion<'_>,
) -> Result<VerifiedIdToken, Violation> {
    let access_token = Secret::new("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
    let header = Header { algorithm: Algorithm::RS256, kid: None, typ: typ.map(str::to_owned) };
    let verified = Verified { header, claims: claims.as_object().unwrap().clone() };
    let expected = Expected { client_id: "us", access_token: &access_token, occasion };
    verify(verified, ISSUER, UnixTime(NOW), &expected)
}

/// Checks a valid token with these members changed (null removes a member), at a sign-in.
#[track_caller]
fn check(changes: Value, expected: Result<(), Violation>) {
    let claims = changed(&changes);
    let result = verified(&claims, Some("JWT"), AT_SIGN_IN);
    assert_eq!(result.map(drop), expected, "{changes}");
}

fn changed(changes: &Value) -> Value {
    let mut claims = valid();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

#[test]
fn valid_token_is_accepted_with_its_claims() {
    let token = verified(&valid(), None, AT_SIGN_IN).unwrap();
    assert_eq!(token.subject(), "alice");
    let (binding, claims) = token.into_parts();
    assert_eq!(binding, refreshed());
    assert_eq!(claims["email"], "alice@example.com");
}

#[test]
fn token_of_another_kind_is_rejected() {
    for typ in ["logout+jwt", "at+jwt", "AT+JWT", "application/at+jwt", "secevent+jwt"] {
        let result = verified(&valid(), Some(typ), AT_SIGN_IN);
        assert_eq!(result.map(drop), Err(Violation::Type), "{typ}");
    }
}

#[test]
fn wrong_issuer_or_subject_is_rejected() {
    check(json!({"iss": "https://op.example/"}), Err(Violation::Issuer));
    check(json!({"iss": null}), Err(Violation::Claim("iss")));
    check(json!({"iss": [ISSUER]}), Err(Violation::Claim("iss")));
    check(json!({"sub": null}), Err(Violation::Claim("sub")));
    check(json!({"sub": ""}), Err(Violation::Claim("sub")));
    check(json!({"sub": 7}), Err(Violation::Claim("sub")));
    check(json!({"sub": "a".repeat(255)}), Ok(()));
    check(json!({"sub": "a".repeat(256)}), Err(Violation::Claim("sub")));
}

#[test]
fn wrong_audience_or_authorized_party_is_rejected() {
    check(json!({"aud": ["us"]}), Ok(()));
    check(json!({"aud": ["us", "us"]}), Ok(()));
    check(json!({"aud": "them"}), Err(Violation::Audience));
    check(json!({"aud": "uss"}), Err(Violation::Audience));
    check(json!({"aud": []}), Err(Violation::Audience));
    check(json!({"aud": null}), Err(Violation::Claim("aud")));
    check(json!({"aud": ["us", 7]}), Err(Violation::Claim("aud")));
    check(json!({"aud": {"us": 1}}), Err(Violation::Claim("aud")));
    check(json!({"aud": ["us", "them"]}), Err(Violation::NoAuthorizedParty));
    check(json!({"aud": ["us", "them"], "azp": "us"}), Ok(()));
    check(json!({"aud": ["us", "them"], "azp": "them"}), Err(Violation::AuthorizedParty));
    check(json!({"azp": "them"}), Err(Violation::AuthorizedParty));
    check(json!({"azp": ["us"]}), Err(Violation::Claim("azp")));
}

#[test]
fn times_are_checked_with_a_minute_of_leeway() {
    check(json!({"exp": null}), Err(Violation::Claim("exp")));
    check(json!({"exp": "2000000000"}), Err(Violation::Claim("exp")));
    check(json!({"exp": NOW - 3600}), Err(Violation::Expired));
    check(json!({"exp": NOW - 60}), Err(Violation::Expired));
    check(json!({"exp": NOW - 59}), Ok(()));
    check(json!({"exp": 1e300}), Ok(()));
    check(json!({"exp": -1e300}), Err(Violation::Expired));
    check(json!({"exp": u64::MAX}), Ok(()));
    check(json!({"exp": i64::MIN}), Err(Violation::Expired));
    check(json!({"exp": NOW as f64 + 0.5}), Ok(()));
    check(json!({"iat": null}), Err(Violation::Claim("iat")));
    check(json!({"iat": true}), Err(Violation::Claim("iat")));
    check(json!({"iat": NOW + 60}), Ok(()));
    check(json!({"iat": NOW + 61}), Err(Violation::IssuedInFuture));
    check(json!({"iat": 1e300}), Err(Violation::IssuedInFuture));
    check(json!({"nbf": NOW + 60}), Ok(()));
    check(json!({"nbf": NOW + 3600}), Err(Violation::NotYet));
    check(json!({"nbf": "0"}), Err(Violation::Claim("nbf")));
    check(json!({"auth_time": "0"}), Err(Violation::Claim("auth_time")));
}

#[test]
fn sign_in_older_than_max_age_is_rejected() {
    let check = |auth_time: Value, max_age, expected| {
        let claims = changed(&json!({ "auth_time": auth_time }));
        let occasion = Occasion::SignIn { nonce: "n", max_age: Some(max_age) };
        assert_eq!(verified(&claims, None, occasion).map(drop), expected, "{auth_time} {max_age}");
    };
    check(json!(NOW - 9), 9, Ok(()));
    check(json!(NOW - 69), 9, Ok(()));
    check(json!(NOW - 70), 9, Err(Violation::AuthTime));
    check(json!(NOW), 0, Ok(()));
    check(json!(null), 3600, Err(Violation::AuthTime));
    check(json!(i64::MIN), i64::MAX, Err(Violation::AuthTime));
}

#[test]
fn wrong_nonce_is_rejected() {
    check(json!({"nonce": null}), Err(Violation::Nonce));
    check(json!({"nonce": ""}), Err(Violation::Nonce));
    check(json!({"nonce": "m"}), Err(Violation::Nonce));
    check(json!({"nonce": ["n"]}), Err(Violation::Claim("nonce")));
}

/// The access token and its hash are those of OpenID Connect Core, Appendix A.3.
#[test]
fn wrong_access_token_hash_is_rejected() {
    check(json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}), Ok(()));
    check(json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RA"}), Err(Violation::AccessTokenHash));
    check(json!({"at_hash": ""}), Err(Violation::AccessTokenHash));
    check(json!({"at_hash": 7}), Err(Violation::Claim("at_hash")));
    check(json!({"c_hash": "ignored"}), Ok(()));
}

#[track_caller]
fn check_refresh(changes: Value, expected: Result<(), Violation>) {
    let binding = refreshed();
    let result = verified(&changed(&changes), None, Occasion::Refresh { binding: &binding });
    let result = result.map(|token| assert_eq!(token.into_parts().0, binding));
    assert_eq!(result, expected, "{changes}");
}

#[test]
fn refreshed_token_of_another_sign_in_is_rejected() {
    check_refresh(json!({}), Ok(()));
    check_refresh(json!({"nonce": null, "auth_time": null, "iat": NOW}), Ok(()));
    check_refresh(json!({"nonce": "m"}), Err(Violation::Nonce));
    check_refresh(json!({"sub": "bob"}), Err(Violation::OtherSubject));
    check_refresh(json!({"iss": "https://evil.example"}), Err(Violation::Issuer));
    check_refresh(json!({"aud": "them"}), Err(Violation::Audience));
    check_refresh(json!({"aud": ["us", "x"], "azp": "us"}), Err(Violation::OtherAudience));
    check_refresh(json!({"auth_time": NOW}), Err(Violation::OtherAuthTime));
    check_refresh(json!({"exp": NOW - 3600}), Err(Violation::Expired));
}
