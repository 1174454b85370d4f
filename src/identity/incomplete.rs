//! Claims that have fewer values here than at the provider.
//! Invariant: a list that may be cut is never taken for the whole in a message. Rules need no such care: they allow by
//! what a list has, so a short one never allows more.

use std::fmt;

use serde_json::{Map, Value};

use crate::identity::Identity;
use crate::identity::claim_set::Claim;
use crate::identity::claims::{ACCESS_TOKEN, ClaimPath};

/// Why a claim is incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// The provider sent a reference to the values in place of them: a distributed claim (OIDC Core §5.6.2), as Entra
    /// does for a user of more than 200 groups.
    Elsewhere,
    /// The list of groups is as long as the provider sends at most, as Okta, which does not say that it cut one.
    AtMaximum,
    /// The provider's API for groups failed.
    NotFetched,
    /// It is to be read from the access token, which is no valid JWT of this provider for this client.
    NoAccessToken,
    /// The claim gives nothing, or not all of its values: they have another form, or whitespace at an end.
    Unusable,
}

/// Claims because of which a rule may have failed, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MissingClaims {
    /// Claims that the user does not have.
    pub absent: Vec<ClaimPath>,
    /// Claims of which the user does not have all values.
    pub incomplete: Vec<(ClaimPath, Incomplete)>,
}

/// What a rule could use of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimUse {
    /// All that it has.
    Usable,
    /// Nothing, if it is there.
    Unusable,
}

/// The claims that say that others are incomplete. The last is not the provider's.
pub const MARKS: [&str; 3] = [CLAIM_NAMES, HAS_GROUPS, UNUSABLE_ACCESS_TOKEN];

/// The mark of a user whose access token could not be used, although claims are to be read from it.
pub const UNUSABLE_ACCESS_TOKEN: &str = ACCESS_TOKEN;

/// Whether these claims have a mark in place of the claim `groups`.
pub fn has_mark_for_groups(claims: &Map<String, Value>) -> bool {
    let names = claims.get(CLAIM_NAMES).and_then(Value::as_object);
    names.is_some_and(|names| names.contains_key(GROUPS))
        || claims.get(HAS_GROUPS).is_some_and(|mark| *mark == Value::Bool(true) || mark == "true")
}

/// Removes the marks in place of the claim `groups`, once the groups are there.
pub fn remove_marks_for_groups(claims: &mut Map<String, Value>) {
    claims.remove(HAS_GROUPS);
    if let Some(Value::Object(names)) = claims.get_mut(CLAIM_NAMES) {
        names.remove(GROUPS);
        if names.is_empty() {
            claims.remove(CLAIM_NAMES);
        }
    }
}

impl Identity {
    /// Whether a claim is incomplete, and why.
    pub fn incomplete(&self, path: &ClaimPath) -> Option<Incomplete> {
        let is_groups = path == self.groups_claim.claim();
        if is_groups && self.groups_missing {
            return Some(Incomplete::NotFetched);
        }
        if path.in_access_token().is_some() && self.claims.named(UNUSABLE_ACCESS_TOKEN).is_some() {
            return Some(Incomplete::NoAccessToken);
        }
        if self.is_elsewhere(path) {
            return Some(Incomplete::Elsewhere);
        }
        let claim = self.claims.find(path)?;
        let usable = if is_groups { self.groups().count() } else { claim.texts().count() };
        match claim.count() {
            count if usable < count => Some(Incomplete::Unusable),
            count if is_groups && claim.is_list() && self.most_groups == Some(count) => {
                Some(Incomplete::AtMaximum)
            }
            _ => None,
        }
    }

    fn is_elsewhere(&self, path: &ClaimPath) -> bool {
        let claim = path.claim();
        let is_true = |mark: Claim<'_>| mark.texts().any(|text| text == "true");
        self.claims.named(CLAIM_NAMES).is_some_and(|names| names.has_member(&claim))
            || claim == GROUPS && self.claims.named(HAS_GROUPS).is_some_and(is_true)
    }
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elsewhere => "the provider sent a reference in place of its values, because there are too many",
            Self::AtMaximum => "it has exactly 100 values, which is as many as Okta sends, so others may be missing",
            Self::NoAccessToken => "the provider's access token is not a JWT that they can be read from",
            Self::NotFetched => "the provider's API did not return them when it was asked last",
            Self::Unusable => {
                "it gives no value, or not all of its values: they have another form, or whitespace at an end"
            }
        })
    }
}

impl MissingClaims {
    /// Adds those of another policy.
    pub fn extend(&mut self, other: Self) {
        for path in other.absent {
            self.add_absent(&path);
        }
        for (path, why) in other.incomplete {
            self.add_incomplete(&path, why);
        }
    }

    /// Adds a claim if it is absent or incomplete, or if `use_of_it` found nothing that it can use.
    pub fn look_at(&mut self, path: &ClaimPath, identity: &Identity, use_of_it: ClaimUse) {
        if let Some(why) = identity.incomplete(path) {
            self.add_incomplete(path, why);
        } else if identity.claims.find(path).is_none() {
            self.add_absent(path);
        } else if use_of_it == ClaimUse::Unusable {
            self.add_incomplete(path, Incomplete::Unusable);
        }
    }

    fn add_absent(&mut self, path: &ClaimPath) {
        if !self.absent.contains(path) {
            self.absent.push(path.clone());
        }
    }

    fn add_incomplete(&mut self, path: &ClaimPath, why: Incomplete) {
        if !self.incomplete.iter().any(|(known, _)| known == path) {
            self.incomplete.push((path.clone(), why));
        }
    }
}

/// OIDC Core §5.6.2: the names of aggregated and distributed claims.
const CLAIM_NAMES: &str = "_claim_names";
/// Entra sends it in place of the groups where a reference would not fit.
const HAS_GROUPS: &str = "hasgroups";
const GROUPS: &str = "groups";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::identity::claims::{ClaimNames, GroupsPath, identity};

    #[track_caller]
    fn check(groups: &str, path: &str, claims: Value, expected: Option<Incomplete>) {
        let groups = GroupsPath::parse(groups).unwrap();
        let names = ClaimNames { groups, ..ClaimNames::default() };
        let mut claims = claims.as_object().unwrap().clone();
        claims.insert("sub".into(), "1".into());
        let identity = identity(&"company".into(), &names, false, claims).unwrap();
        assert_eq!(identity.incomplete(&ClaimPath::parse(path).unwrap()), expected);
    }

    #[test]
    fn list_that_the_provider_cut_is_incomplete() {
        let overage = json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1":
            {"endpoint": "https://graph.example/users/1/getMemberObjects"}}});
        check("groups", "groups", overage.clone(), Some(Incomplete::Elsewhere));
        check("groups", "/groups/0", overage.clone(), Some(Incomplete::Elsewhere));
        check("roles", "roles", overage.clone(), None);
        check("groups", "roles", overage, None);
        for mark in [json!(true), json!("true")] {
            check("groups", "groups", json!({ "hasgroups": mark }), Some(Incomplete::Elsewhere));
            check("roles", "roles", json!({ "hasgroups": mark }), None);
        }
        check("groups", "groups", json!({"hasgroups": false}), None);
        check("groups", "groups", json!({"_claim_names": "groups"}), None);
        let hundred: Vec<_> = (0..100).map(|at| at.to_string()).collect();
        check("groups", "groups", json!({"groups": hundred}), None);
    }

    #[test]
    fn list_as_long_as_the_provider_sends_at_most_is_incomplete() {
        let of = |count: usize, most_groups, groups: &str| {
            let list: Vec<_> = (0..count).map(|at| at.to_string()).collect();
            let claims = json!({"sub": "1", "groups": list}).as_object().unwrap().clone();
            let names =
                ClaimNames { groups: GroupsPath::parse(groups).unwrap(), ..ClaimNames::default() };
            let identity = identity(&"company".into(), &names, false, claims).unwrap();
            let identity = Identity { most_groups, ..identity };
            identity.incomplete(&ClaimPath::parse("groups").unwrap())
        };
        for (count, expected) in [(99, None), (100, Some(Incomplete::AtMaximum)), (101, None)] {
            assert_eq!(of(count, Some(100), "groups"), expected);
            assert_eq!(of(count, None, "groups"), None);
            assert_eq!(of(count, Some(100), "roles"), None);
        }
    }

    #[test]
    fn claim_that_gives_nothing_is_incomplete() {
        let objects = json!([{"name": "a"}]);
        check("groups", "groups", json!({"groups": objects}), Some(Incomplete::Unusable));
        check("/groups/*/name", "/groups", json!({"groups": objects}), None);
        check("groups", "groups", json!({"groups": ["a", " b"]}), Some(Incomplete::Unusable));
        check("groups", "groups", json!({"groups": {"a": 1}}), None);
        check("groups", "groups", json!({"groups": []}), None);
        check("groups", "org", json!({"org": {"id": 1}}), Some(Incomplete::Unusable));
        check("groups", "org", json!({"org": "x"}), None);
        check("groups", "org", json!({}), None);
    }
}
