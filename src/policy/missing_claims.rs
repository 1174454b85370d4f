//! The claims that rules name, and of which a user has none or not all. A group that the provider never sends denies
//! everyone, and the user cannot know it.
//! Invariant: a claim that is complete and has other values is not in the lists.

use crate::identity::Identity;
use crate::identity::claims::{ClaimNames, ClaimPath};
use crate::identity::incomplete::{ClaimUse, MissingClaims};
use crate::policy::Policy;
use crate::policy::rule::{Key, Rule};

impl Policy {
    /// The missing claims that the keys in `failed` read. `names` are those of the user's provider.
    pub fn missing_claims(
        &self,
        failed: &[Key],
        identity: &Identity,
        names: &ClaimNames,
    ) -> MissingClaims {
        let mut missing = MissingClaims::default();
        for rule in self.rules() {
            for key in failed {
                for path in read_by(*key, rule, names) {
                    missing.look_at(path, identity, use_by(*key, identity));
                }
            }
        }
        missing
    }
}

/// What a key can use of its claim: the one value that an identity has of it, or all that the claim has.
fn use_by(key: Key, identity: &Identity) -> ClaimUse {
    let unusable = match key {
        Key::Emails | Key::EmailsFile | Key::EmailDomains => identity.email.is_none(),
        Key::Users => identity.user.is_none(),
        Key::Groups
        | Key::Claims
        | Key::EmailUnverified
        | Key::Providers
        | Key::Methods
        | Key::Paths
        | Key::ExactPaths
        | Key::ClientAddresses => false,
    };
    if unusable { ClaimUse::Unusable } else { ClaimUse::Usable }
}

/// The claims that a key of a rule reads; none if the rule does not have the key.
fn read_by<'r>(key: Key, rule: &'r Rule, names: &'r ClaimNames) -> Vec<&'r ClaimPath> {
    let of_name = |is_set: bool, path: &'r ClaimPath| is_set.then_some(path).into_iter().collect();
    match key {
        Key::Emails => of_name(rule.emails.is_some(), &names.email),
        Key::EmailsFile => of_name(rule.emails_file.is_some(), &names.email),
        Key::EmailDomains => of_name(rule.email_domains.is_some(), &names.email),
        Key::Groups => of_name(rule.groups.is_some(), names.groups.claim()),
        Key::Users => of_name(rule.users.is_some(), &names.user),
        Key::Claims => rule.claims.iter().flatten().map(|(path, _)| path).collect(),
        // An e-mail that is not verified was sent.
        Key::EmailUnverified
        | Key::Providers
        | Key::Methods
        | Key::Paths
        | Key::ExactPaths
        | Key::ClientAddresses => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::claims::identity;
    use crate::policy::rule::EmailList;

    #[test]
    fn only_missing_claims_that_a_failed_key_names_are_listed() {
        let names = ClaimNames::default();
        let path = |text| ClaimPath::parse(text).unwrap();
        let values = || Some(vec!["x".to_owned()]);
        let claims =
            Some(vec![(path("/org/id"), vec!["x".into()]), (path("level"), vec!["x".into()])]);
        let rules = vec![
            Rule { groups: values(), users: values(), ..Rule::default() },
            Rule { claims, emails: values(), ..Rule::default() },
        ];
        let policy = Policy::Rules(rules);
        let check = |claims: serde_json::Value, failed: &[Key], expected: &[&str]| {
            let claims = claims.as_object().unwrap().clone();
            let identity = identity(&"company".into(), &names, false, claims).unwrap();
            let missing = policy.missing_claims(failed, &identity, &names);
            let absent = missing.absent.iter().map(|path| path.as_str().to_owned());
            let incomplete = missing.incomplete.iter();
            let incomplete = incomplete.map(|(path, why)| format!("{} {why:?}", path.as_str()));
            assert_eq!(absent.chain(incomplete).collect::<Vec<_>>(), expected);
        };
        let all = [Key::Groups, Key::Users, Key::Claims, Key::Emails];
        let level = json!({"sub": "1", "level": 3});
        check(level.clone(), &all, &["groups", "/org/id", "email"]);
        check(level.clone(), &[Key::Groups], &["groups"]);
        check(level, &[Key::Users, Key::EmailUnverified, Key::Methods], &[]);
        check(json!({"sub": "1", "groups": []}), &[Key::Groups], &[]);
        let elsewhere = json!({"sub": "1", "_claim_names": {"groups": "src1"}});
        check(elsewhere, &[Key::Groups], &["groups Elsewhere"]);
        let unusable = json!({"sub": "1", "email": "x", "level": {}, "groups": [{}],
                              "org": {"id": [[]]}});
        let named = ["email Unusable"];
        check(unusable.clone(), &[Key::Emails], &named);
        let named = ["groups Unusable", "/org/id Unusable"];
        check(unusable, &[Key::Groups, Key::Claims], &named);
        let listed = Rule { emails_file: Some(EmailList::default()), ..Rule::default() };
        let identity = identity(
            &"company".into(),
            &names,
            false,
            json!({"sub": "1"}).as_object().unwrap().clone(),
        )
        .unwrap();
        let missing =
            Policy::Rules(vec![listed]).missing_claims(&[Key::EmailsFile], &identity, &names);
        assert_eq!(missing.absent, [path("email")]);
    }
}
