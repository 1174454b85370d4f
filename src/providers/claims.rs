//! One set of claims out of two sources: the ID token, and userinfo where that says too little.
//! Invariant: what the ID token says stands, for it is signed. `email_verified` speaks of the e-mail
//! beside which it was said (OIDC Core §5.1), never of another one.

use serde_json::{Map, Value};

use crate::identity::claims::ClaimNames;

/// Whether the ID token lacks a claim that the operator wants to know.
pub(super) fn lack(
    claims: &Map<String, Value>,
    names: &ClaimNames,
    require_email_verified: bool,
) -> bool {
    let ClaimNames { user, email, groups, name, preferred_username } = names;
    let wanted = [user, email, groups, name, preferred_username];
    // What vouches for the e-mail: an e-mail from another claim counts only where `email` is the same.
    let vouching = [EMAIL, VERIFIED];
    wanted.iter().any(|path| path.find(claims).is_none())
        || (require_email_verified && vouching.iter().any(|name| !claims.contains_key(*name)))
}

/// The ID token's claims, and userinfo's where there are none.
pub(super) fn join(
    id_token: &Map<String, Value>,
    userinfo: &Map<String, Value>,
) -> Map<String, Value> {
    let mut joined = id_token.clone();
    for (name, value) in userinfo {
        joined.entry(name).or_insert_with(|| value.clone());
    }
    // SECURITY: otherwise one source could vouch for the other's address.
    let email = joined.get(EMAIL);
    let speaks_of_it = |source: &&Map<String, Value>| source.get(EMAIL) == email;
    let sources = [id_token, userinfo];
    let said = sources.into_iter().filter(speaks_of_it).find_map(|source| source.get(VERIFIED));
    match said.cloned() {
        Some(said) => joined.insert(VERIFIED.into(), said),
        None => joined.remove(VERIFIED),
    };
    joined
}

const EMAIL: &str = "email";
const VERIFIED: &str = "email_verified";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::claims::ClaimPath;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[track_caller]
    fn check(id_token: Value, userinfo: Value, expected: Value) {
        let joined = join(&object(id_token), &object(userinfo));
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
    fn userinfo_is_asked_where_a_wanted_claim_is_absent() {
        let names = ClaimNames::default();
        let mut claims = object(json!({"sub": "a", "email": "a@b.c", "name": "A", "groups": [],
                                       "preferred_username": "a"}));
        assert!(!lack(&claims, &names, false));
        assert!(lack(&claims, &names, true), "nobody said whether the e-mail is verified");
        claims.insert(VERIFIED.into(), json!(false));
        assert!(!lack(&claims, &names, true));
        let mail = ClaimNames { email: ClaimPath::parse("mail").unwrap(), ..names.clone() };
        claims.insert("mail".into(), json!("a@b.c"));
        assert!(!lack(&claims, &mail, true));
        claims.remove("email");
        assert!(lack(&claims, &mail, true), "nobody said which address is verified");
        assert!(!lack(&claims, &mail, false));
        claims.insert("email".into(), json!("a@b.c"));
        claims.remove("groups");
        assert!(lack(&claims, &names, true));
    }
}
