//! One set of claims from two sources: the ID token, and userinfo where the ID token lacks a claim.
//! Invariants: a claim of the ID token wins, because it is signed, unless both had it and userinfo is newer.
//! `email_verified` is used only with the `email` of the same source (OIDC Core §5.1).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::identity::claims::{ClaimNames, ClaimPath};

/// Whether the ID token lacks a claim that the configuration names.
pub(super) fn lack(
    claims: &Map<String, Value>,
    names: &ClaimNames,
    require_email_verified: bool,
) -> bool {
    let ClaimNames { user, email, groups, name, preferred_username } = names;
    let wanted = [user, email, groups.claim(), name, preferred_username];
    // An e-mail from another claim counts as verified only if `email` has the same value.
    let vouching = [EMAIL, VERIFIED];
    // Userinfo has nothing of the access token.
    let is_lacking =
        |path: &ClaimPath| path.in_access_token().is_none() && path.find(claims).is_none();
    wanted.into_iter().any(is_lacking)
        || (require_email_verified && vouching.iter().any(|name| !claims.contains_key(*name)))
}

/// The claims of the ID token, and those of userinfo that it lacks.
pub(super) fn join(
    id_token: &Map<String, Value>,
    userinfo: &Map<String, Value>,
) -> Map<String, Value> {
    let mut joined = id_token.clone();
    for (name, value) in userinfo {
        joined.entry(name).or_insert_with(|| value.clone());
    }
    // SECURITY: otherwise the address of one source could be verified by the other.
    let email = joined.get(EMAIL);
    let has_email = |source: &&Map<String, Value>| source.get(EMAIL) == email;
    let sources = [id_token, userinfo];
    let verified = sources.into_iter().filter(has_email).find_map(|source| source.get(VERIFIED));
    match verified.cloned() {
        Some(verified) => joined.insert(VERIFIED.into(), verified),
        None => joined.remove(VERIFIED),
    };
    joined
}

/// The names of the claims of the ID token that userinfo has too. After a refresh without an ID token, userinfo alone
/// says what became of them.
// SECURITY: otherwise a group that was taken away stays as long as the provider sends no ID token.
pub(super) fn confirmed(
    id_token: &Map<String, Value>,
    userinfo: &Map<String, Value>,
) -> BTreeSet<String> {
    let is_confirmed = |name: &str| match (id_token.get(name), userinfo.get(name)) {
        (Some(Value::Array(own)), Some(Value::Array(other))) => {
            own.len() == other.len() && own.iter().all(|item| other.contains(item))
        }
        (own, other) => own == other,
    };
    // The e-mail and whether it is verified stay together. If only a rule of the kind says that, by other claims of the
    // ID token, they stay with these.
    let says_of_email = id_token.contains_key(VERIFIED);
    let has_same_email = says_of_email && is_confirmed(EMAIL) && is_confirmed(VERIFIED);
    let names = id_token.keys().filter(|name| match name.as_str() {
        // Never another one.
        "sub" => false,
        EMAIL | VERIFIED => has_same_email,
        name => is_confirmed(name),
    });
    names.cloned().collect()
}

const EMAIL: &str = "email";
const VERIFIED: &str = "email_verified";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::claims::GroupsPath;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[track_caller]
    fn check(id_token: Value, userinfo: Value, expected: Value) {
        let joined = join(&object(id_token), &object(userinfo));
        assert_eq!(Value::from(joined), expected);
    }

    #[test]
    fn id_token_wins_and_userinfo_adds_missing_claims() {
        check(
            json!({"sub": "a", "name": "A", "aud": "us"}),
            json!({"sub": "a", "name": "B", "groups": ["g"]}),
            json!({"sub": "a", "name": "A", "aud": "us", "groups": ["g"]}),
        );
    }

    #[test]
    fn email_verified_counts_only_for_the_email_of_its_source() {
        let (us, them) = ("us@example.com", "them@example.com");
        check(
            json!({"email": us}),
            json!({"email": them, "email_verified": true}),
            json!({"email": us}),
        );
        check(
            json!({"email": us}),
            json!({"email": us, "email_verified": true}),
            json!({"email": us, "email_verified": true}),
        );
        check(
            json!({"email": us, "email_verified": false}),
            json!({"email": us, "email_verified": true}),
            json!({"email": us, "email_verified": false}),
        );
        check(json!({"email_verified": true}), json!({"email": them}), json!({"email": them}));
        check(
            json!({}),
            json!({"email": them, "email_verified": true}),
            json!({"email": them, "email_verified": true}),
        );
    }

    #[test]
    fn claims_of_both_sources_are_confirmed_and_an_email_only_with_its_verification() {
        let check = |id_token: Value, userinfo: Value, expected: &[&str]| {
            let found = confirmed(&object(id_token), &object(userinfo));
            assert!(found.iter().eq(expected), "{found:?}");
        };
        let claims = json!({"sub": "a", "groups": ["g", "h"], "name": "A", "nonce": "n"});
        check(claims.clone(), json!({"groups": ["h", "g"], "sub": "a"}), &["groups"]);
        check(claims, json!({"groups": ["g"], "name": "B", "other": 1}), &[]);
        let address = json!({"email": "a@b.c", "email_verified": true});
        check(address.clone(), address.clone(), &["email", "email_verified"]);
        check(address.clone(), json!({"email": "a@b.c"}), &[]);
        check(json!({"email": "a@b.c"}), address, &[]);
        check(json!({"email": "a@b.c"}), json!({"email": "a@b.c"}), &[]);
    }

    #[test]
    fn userinfo_is_needed_if_a_configured_claim_is_missing() {
        let names = ClaimNames::default();
        let mut claims = object(json!({"sub": "a", "email": "a@b.c", "name": "A", "groups": [],
                                       "preferred_username": "a"}));
        assert!(!lack(&claims, &names, false));
        assert!(lack(&claims, &names, true), "email_verified is missing");
        claims.insert(VERIFIED.into(), json!(false));
        assert!(!lack(&claims, &names, true));
        let mail = ClaimNames { email: ClaimPath::parse("mail").unwrap(), ..names.clone() };
        claims.insert("mail".into(), json!("a@b.c"));
        assert!(!lack(&claims, &mail, true));
        claims.remove("email");
        assert!(lack(&claims, &mail, true), "email is missing");
        assert!(!lack(&claims, &mail, false));
        claims.insert("email".into(), json!("a@b.c"));
        claims.remove("groups");
        assert!(lack(&claims, &names, true));
        let roles = GroupsPath::parse("access_token:/roles").unwrap();
        assert!(!lack(&claims, &ClaimNames { groups: roles, ..names }, true));
    }
}
