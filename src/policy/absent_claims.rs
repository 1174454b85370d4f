//! The claims that rules name and a user does not have. A group that the provider never sends denies everyone, and the
//! user cannot know it.
//! Invariant: only a claim that is absent is in the list, not one with other values.

use crate::identity::Identity;
use crate::identity::claims::{ClaimNames, ClaimPath};
use crate::policy::Policy;
use crate::policy::rule::{Key, Rule};

impl Policy {
    /// The absent claims that the keys in `failed` read, each once. `names` are those of the user's provider.
    pub fn absent_claims(
        &self,
        failed: &[Key],
        identity: &Identity,
        names: &ClaimNames,
    ) -> Vec<ClaimPath> {
        let is_absent = |path: &&ClaimPath| identity.claims.find(path).is_none();
        let mut absent: Vec<ClaimPath> = Vec::new();
        for rule in self.rules() {
            for path in failed.iter().flat_map(|key| read_by(*key, rule, names)).filter(is_absent) {
                if !absent.contains(path) {
                    absent.push(path.clone());
                }
            }
        }
        absent
    }
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
    fn only_claims_that_are_absent_and_named_by_a_failed_key_are_listed() {
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
            let absent = policy.absent_claims(failed, &identity, &names);
            let absent: Vec<_> = absent.iter().map(ClaimPath::as_str).collect();
            assert_eq!(absent, expected);
        };
        let all = [Key::Groups, Key::Users, Key::Claims, Key::Emails];
        let level = json!({"sub": "1", "level": 3});
        check(level.clone(), &all, &["groups", "/org/id", "email"]);
        check(level.clone(), &[Key::Groups], &["groups"]);
        check(level, &[Key::Users, Key::EmailUnverified, Key::Methods], &[]);
        check(json!({"sub": "1", "groups": []}), &[Key::Groups], &[]);
        let listed = Rule { emails_file: Some(EmailList::default()), ..Rule::default() };
        let identity = identity(
            &"company".into(),
            &names,
            false,
            json!({"sub": "1"}).as_object().unwrap().clone(),
        )
        .unwrap();
        let absent =
            Policy::Rules(vec![listed]).absent_claims(&[Key::EmailsFile], &identity, &names);
        assert_eq!(absent, [path("email")]);
    }
}
