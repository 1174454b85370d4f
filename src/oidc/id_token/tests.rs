//! A valid token, and each violation of a rule.

use serde_json::json;

use super::*;
use crate::jose::Header;
use crate::oidc::error::tests::check_violation;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://op.example";

const AT_SIGN_IN: Occasion<'_> =
    Occasion::SignIn { nonce: "n", nonce_may_be_absent: false, max_age: None };

fn valid() -> Value {
    json!({"iss": ISSUER, "sub": "alice", "aud": "us", "nonce": "n", "exp": NOW + 300,
           "iat": NOW - 5, "auth_time": NOW - 9, "email": "alice@example.com"})
}

fn refreshed() -> IdTokenBinding {
    IdTokenBinding { subject: "alice".into(), nonce: "n".into(), auth_time: Some(NOW - 9) }
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
fn check(changes: Value, expected: Result<(), &str>) {
    let claims = changed(&changes);
    let result = verified(&claims, Some("JWT"), AT_SIGN_IN);
    check_violation(result, expected, &changes);
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
        let expected = format!("`typ` is that of another kind of token: {typ:?} (RFC 8725 §3.11)");
        check_violation(result, Err(&expected), typ);
    }
}

#[test]
fn wrong_issuer_or_subject_is_rejected() {
    check(json!({"iss": "https://op.example/"}), Err("`iss` is not the issuer"));
    check(json!({"iss": null}), Err("`iss` is absent"));
    check(json!({"iss": [ISSUER]}), Err("`iss` is a list, but must be a text"));
    check(json!({"sub": null}), Err("`sub` is absent"));
    check(json!({"sub": ""}), Err("`sub` is empty or longer than 255 bytes: it has 0"));
    check(json!({"sub": 7}), Err("`sub` is a number, but must be a text"));
    check(json!({"sub": "a".repeat(255)}), Ok(()));
    check(
        json!({"sub": "a".repeat(256)}),
        Err("`sub` is empty or longer than 255 bytes: it has 256"),
    );
}

#[test]
fn wrong_audience_or_authorized_party_is_rejected() {
    check(json!({"aud": ["us"]}), Ok(()));
    check(json!({"aud": ["us", "us"]}), Ok(()));
    check(json!({"aud": "them"}), Err("`aud` does not contain the client_id"));
    check(json!({"aud": "uss"}), Err("`aud` does not contain the client_id"));
    check(json!({"aud": []}), Err("`aud` does not contain the client_id"));
    check(json!({"aud": null}), Err("`aud` is absent"));
    check(json!({"aud": ["us", 7]}), Err("`aud` is a list, but"));
    check(json!({"aud": {"us": 1}}), Err("`aud` is an object, but"));
    check(json!({"aud": ["us", "them"]}), Err("several audiences and no `azp`"));
    check(json!({"aud": ["us", "them"], "azp": "us"}), Ok(()));
    check(json!({"aud": ["us", "them"], "azp": "them"}), Err("`azp` is not the client_id"));
    check(json!({"azp": "them"}), Err("`azp` is not the client_id"));
    check(json!({"azp": ["us"]}), Err("`azp` is a list, but"));
}

#[test]
fn violation_names_what_the_token_has_and_what_is_configured() {
    check(
        json!({"iss": "https://op.example/"}),
        Err(
            "it is \"https://op.example/\", and `issuer` is \"https://op.example\" (Core §3.1.3.7(2))",
        ),
    );
    check(
        json!({"aud": ["them", "others"]}),
        Err("it is [\"others\", \"them\"], and `client_id` is \"us\" (Core §3.1.3.7(3))"),
    );
    check(json!({"aud": ["us", "them"]}), Err("no `azp`: `aud` is [\"them\", \"us\"] (Core"));
    check(
        json!({"azp": "them"}),
        Err("it is \"them\", and `client_id` is \"us\" (Core §3.1.3.7(5))"),
    );
    let long = json!({"iss": "x".repeat(5000)});
    check(long, Err(&format!("it is \"{}\", and", "x".repeat(200))));
    check(json!({"iss": "a\r\nb\u{202e}"}), Err(r#"it is "a\r\nb\u{202e}", and"#));
}

/// 2027-01-15T08:00:00Z is the time here.
#[test]
fn violated_time_is_named_with_both_clocks_and_their_difference() {
    let here = "this machine's clock is at 2027-01-15T08:00:00Z";
    let hour = 3600;
    check(
        json!({"exp": NOW - 60, "iat": NOW - hour}),
        Err(&format!(
            "`exp` has passed: it is 2027-01-15T07:59:00Z, and {here}; the provider's clock was at \
             2027-01-15T07:00:00Z when it issued the token (`iat`), a difference of 3600 s: synchronize both clocks \
             by NTP (Core"
        )),
    );
    check(
        json!({"iat": NOW + hour}),
        Err(&format!(
            "it is 2027-01-15T09:00:00Z, and {here}; the provider's clock was at 2027-01-15T09:00:00Z when it issued \
             the token (`iat`), a difference of 3600 s: synchronize both clocks by NTP (Core"
        )),
    );
    // With equal clocks, the provider's rules are at fault.
    let equal = "when it issued the token (`iat`), a difference of 5 s (";
    check(json!({"exp": NOW - hour}), Err(&format!("{equal}Core")));
    check(json!({"nbf": NOW + hour}), Err(&format!("{equal}RFC 7519")));
    check(json!({"exp": NOW - hour, "iat": null}), Err(&format!("{here} (Core")));
    let occasion = Occasion::SignIn { nonce: "n", nonce_may_be_absent: false, max_age: Some(9) };
    let old = verified(&changed(&json!({"auth_time": NOW - hour})), None, occasion);
    let expected = format!("it is 2027-01-15T07:00:00Z, `max_age` is 9, and {here} (Core");
    check_violation(old, Err(&expected), "an old sign-in");
    let absent = verified(&changed(&json!({"auth_time": null})), None, occasion);
    check_violation(absent, Err("it is absent, `max_age` is 9"), "no auth_time");
}

#[test]
fn times_are_checked_with_a_minute_of_leeway() {
    check(json!({"exp": null}), Err("`exp` is absent"));
    check(json!({"exp": "2000000000"}), Err("`exp` is a text, but must be a number"));
    check(json!({"exp": NOW - 3600}), Err("`exp` has passed"));
    check(json!({"exp": NOW - 60}), Err("`exp` has passed"));
    check(json!({"exp": NOW - 59}), Ok(()));
    check(json!({"exp": 1e300}), Ok(()));
    check(json!({"exp": -1e300}), Err("`exp` has passed"));
    check(json!({"exp": u64::MAX}), Ok(()));
    check(json!({"exp": i64::MIN}), Err("`exp` has passed"));
    check(json!({"exp": NOW as f64 + 0.5}), Ok(()));
    check(json!({"iat": null}), Err("`iat` is absent"));
    check(json!({"iat": true}), Err("`iat` is a boolean, but"));
    check(json!({"iat": NOW + 60}), Ok(()));
    check(json!({"iat": NOW + 61}), Err("`iat` is in the future"));
    check(json!({"iat": 1e300}), Err("`iat` is in the future"));
    check(json!({"nbf": NOW + 60}), Ok(()));
    check(json!({"nbf": NOW + 3600}), Err("`nbf` is in the future"));
    check(json!({"nbf": "0"}), Err("`nbf` is a text, but"));
    check(json!({"auth_time": "0"}), Err("`auth_time` is a text, but must be a number"));
}

#[test]
fn sign_in_older_than_max_age_is_rejected() {
    let check = |auth_time: Value, max_age, expected| {
        let claims = changed(&json!({ "auth_time": auth_time }));
        let occasion =
            Occasion::SignIn { nonce: "n", nonce_may_be_absent: false, max_age: Some(max_age) };
        check_violation(verified(&claims, None, occasion), expected, &(auth_time, max_age));
    };
    check(json!(NOW - 9), 9, Ok(()));
    check(json!(NOW - 69), 9, Ok(()));
    check(json!(NOW - 70), 9, Err("`auth_time` is absent or older"));
    check(json!(NOW), 0, Ok(()));
    check(json!(null), 3600, Err("`auth_time` is absent or older"));
    check(json!(i64::MIN), i64::MAX, Err("`auth_time` is absent or older"));
}

#[test]
fn wrong_nonce_is_rejected() {
    check(json!({"nonce": null}), Err("`nonce` is not that of the authorization request"));
    check(json!({"nonce": ""}), Err("`nonce` is not that of the authorization request"));
    check(json!({"nonce": "m"}), Err("`nonce` is not that of the authorization request"));
    check(json!({"nonce": ["n"]}), Err("`nonce` is a list, but must be a text"));
}

/// The access token and its hash are those of OpenID Connect Core, Appendix A.3.
#[test]
fn wrong_access_token_hash_is_rejected() {
    check(json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}), Ok(()));
    check(
        json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RA"}),
        Err("`at_hash` is that of another access token"),
    );
    check(json!({"at_hash": ""}), Err("`at_hash` is that of another access token"));
    check(json!({"at_hash": 7}), Err("`at_hash` is a number, but must be a text"));
    check(json!({"c_hash": "ignored"}), Ok(()));
}

#[track_caller]
fn check_refresh(changes: Value, expected: Result<(), &str>) {
    let binding = refreshed();
    let result = verified(&changed(&changes), None, Occasion::Refresh { binding: &binding });
    let result = result.map(|token| assert_eq!(token.into_parts().0, binding));
    check_violation(result, expected, &changes);
}

#[test]
fn refreshed_token_of_another_sign_in_is_rejected() {
    check_refresh(json!({}), Ok(()));
    check_refresh(json!({"nonce": null, "auth_time": null, "iat": NOW}), Ok(()));
    check_refresh(json!({"aud": ["us", "added"], "azp": "us"}), Ok(()));
    check_refresh(json!({"auth_time": NOW}), Ok(()));
    check_refresh(json!({"nonce": "m"}), Err("`nonce` is not that of the authorization request"));
    check_refresh(json!({"sub": "bob"}), Err("`sub` is not that of the sign-in"));
    check_refresh(json!({"iss": "https://evil.example"}), Err("`iss` is not the issuer"));
    check_refresh(json!({"aud": "them"}), Err("`aud` does not contain the client_id"));
    check_refresh(json!({"aud": ["us", "x"]}), Err("several audiences and no `azp`"));
    check_refresh(json!({"auth_time": NOW - 10}), Err("`auth_time` is before that of the sign-in"));
    check_refresh(json!({"exp": NOW - 3600}), Err("`exp` has passed"));
}
