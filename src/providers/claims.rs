//! One set of claims out of two sources: the ID token, and userinfo where that says too little.
//! Invariant: what the ID token says stands, for it is signed. `email_verified` speaks of the e-mail
//! beside which it was said, never of another one.

use serde_json::{Map, Value};

use crate::identity::claims::{ClaimNames, ClaimPath};

/// Whether the ID token lacks a claim that the operator wants to know.
pub(super) fn lack(
    claims: &Map<String, Value>,
    names: &ClaimNames,
    require_email_verified: bool,
) -> bool {
    let ClaimNames { user, email, groups, name, preferred_username } = names;
    let wanted = [user, email, groups, name, preferred_username];
    wanted.iter().any(|path| path.find(claims).is_none())
        || (require_email_verified && !claims.contains_key(VERIFIED))
}

/// The ID token's claims, and userinfo's where there are none.
pub(super) fn join(
    id_token: &Map<String, Value>,
    userinfo: &Map<String, Value>,
    email: &ClaimPath,
) -> Map<String, Value> {
    let mut joined = id_token.clone();
    for (name, value) in userinfo {
        joined.entry(name).or_insert_with(|| value.clone());
    }
    // SECURITY: otherwise one source could vouch for the other's address. So the word counts of that
    // source only whose addresses are the ones we go by, at the configured path and at `email`.
    let plain = ClaimNames::default().email;
    let speaks_of_them = |source: &&Map<String, Value>| {
        [email, &plain]
            .iter()
            .all(|path| path.find(&joined).is_none_or(|address| path.find(source) == Some(address)))
    };
    let sources = [id_token, userinfo];
    let said = sources.into_iter().filter(speaks_of_them).find_map(|source| source.get(VERIFIED));
    match said.cloned() {
        Some(said) => joined.insert(VERIFIED.into(), said),
        None => joined.remove(VERIFIED),
    };
    joined
}

const VERIFIED: &str = "email_verified";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[track_caller]
    fn check(id_token: Value, userinfo: Value, expected: Value) {
        let joined = join(&object(id_token), &object(userinfo), &ClaimNames::default().email);
        assert_eq!(Value::from(joined), expected);
    }

    #[test]
    fn the_id_token_stands_and_userinfo_fills_the_gaps() {
        check(
            json!({"sub": "a", "name": "A", "aud": "us"}),
            json!({"sub": "a", "name": "B", "groups": ["g"]}),
            json!({"sub": "a", "name": "A", "aud": "us", "groups": ["g"]}),
        );
    }

    #[test]
    fn a_verification_stays_with_its_address() {
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
    fn a_verification_does_not_spread_to_an_address_elsewhere() {
        let mail = ClaimPath::parse("mail").unwrap();
        let id_token = object(json!({"mail": "us@example.com", "email_verified": true}));
        let userinfo = object(json!({"email": "them@example.com"}));
        assert!(!join(&id_token, &userinfo, &mail).contains_key(VERIFIED));
        assert!(!join(&userinfo, &id_token, &mail).contains_key(VERIFIED));
    }

    #[test]
    fn userinfo_is_asked_where_a_wanted_claim_is_absent() {
        let names = ClaimNames::default();
        let mut claims = object(json!({"sub": "a", "email": "a@b.c", "name": "A", "groups": [],
                                       "preferred_username": "a"}));
        assert!(!lack(&claims, &names, false));
        assert!(lack(&claims, &names, true), "nobody said whether the e-mail is verified");
        claims.insert(VERIFIED.into(), json!(false));
        assert!(!lack(&claims, &names, true));
        claims.remove("groups");
        assert!(lack(&claims, &names, true));
    }
}
