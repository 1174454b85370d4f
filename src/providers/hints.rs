//! Warnings about the configuration that only a sign-in can show. Each is logged once.

use std::sync::{Mutex, Once};

use tracing::warn;

use crate::identity::Identity;
use crate::identity::claims::{ClaimNames, ClaimPath};
use crate::lock::lock;
use crate::oidc::error::Error as OidcError;
use crate::providers::Settings;

/// The warnings that were logged.
#[derive(Debug)]
pub(super) struct ConfigHints {
    email: Once,
    claims: Once,
    userinfo: Once,
    without_value: Once,
    absent: Mutex<Vec<ClaimPath>>,
}

impl ConfigHints {
    pub(super) fn new() -> Self {
        Self {
            email: Once::new(),
            claims: Once::new(),
            userinfo: Once::new(),
            without_value: Once::new(),
            absent: Mutex::default(),
        }
    }

    /// Reports that userinfo could not be used for a sign-in. A failure that may end by itself is reported each time.
    pub(super) fn userinfo_failed(&self, error: &OidcError, settings: &Settings) {
        let id = &settings.id;
        let report = || {
            warn!(
                provider = %id, %error,
                "userinfo cannot be used, so its claims are missing; if the provider has none for this client, put \
                 the claims into the ID token and set providers.{id}.userinfo to never"
            );
        };
        if error.is_temporary() { report() } else { self.userinfo.call_once(report) }
    }

    /// Reports claims that rules name and a denied user does not have. Each is reported once.
    pub(super) fn denied_without(&self, claims: &[ClaimPath], settings: &Settings) {
        let mut reported = lock(&self.absent);
        let new = claims.iter().filter(|claim| !reported.contains(*claim));
        let new: Vec<ClaimPath> = new.cloned().collect();
        if !new.is_empty() {
            let (id, names) = (&settings.id, new.iter().map(ClaimPath::as_str).collect::<Vec<_>>());
            warn!(
                provider = %id,
                absent = names.join(", "),
                "a user was denied because of rules about claims that the provider does not send for the user; check \
                 providers.{id}.scopes and providers.{id}.claims, and which claims the provider sends to this client"
            );
        }
        reported.extend(new);
    }

    /// Checks a sign-in.
    pub(super) fn look_at(&self, identity: &Identity, settings: &Settings) {
        let id = &settings.id;
        if identity.email_withheld {
            self.email.call_once(|| {
                warn!(
                    provider = %id,
                    "a user has no e-mail, because the provider does not report it as verified \
                     (`email_verified` is about the claim `email` only); if every address at the provider belongs \
                     to its user, set providers.{id}.require_email_verified to false"
                );
            });
        }
        let without_value = without_value(identity, &settings.claims);
        if !without_value.is_empty() {
            self.without_value.call_once(|| {
                warn!(
                    provider = %id,
                    claims = without_value.join(", "),
                    "a user has claims of providers.{id}.claims that give no value, or not all of their values: they \
                     have another form, or whitespace at an end; for a list of objects, write the path of the group in \
                     each object, such as /groups/*/name"
                );
            });
        }
        let absent = absent(identity, &settings.claims);
        if !absent.is_empty() {
            self.claims.call_once(|| {
                warn!(
                    provider = %id,
                    absent = absent.join(", "),
                    "a user signed in without a claim that providers.{id}.claims names; the provider may have \
                     another name for it"
                );
            });
        }
    }
}

/// The claims that a user has, but that give nothing, or not all that they have: `groups (roles)`.
fn without_value(identity: &Identity, names: &ClaimNames) -> Vec<String> {
    let has = |path: &ClaimPath| identity.claims.find(path).is_some();
    let groups = identity.claims.find(names.groups.claim());
    let lost = groups.is_some_and(|groups| identity.groups().count() < groups.count());
    let claims = [
        ("user", &names.user, has(&names.user) && identity.user.is_none()),
        ("email", &names.email, has(&names.email) && identity.email.is_none()),
        ("groups", names.groups.claim(), lost),
        ("name", &names.name, has(&names.name) && identity.name.is_none()),
        (
            "preferred_username",
            &names.preferred_username,
            has(&names.preferred_username) && identity.preferred_username.is_none(),
        ),
    ];
    let lost = claims.into_iter().filter(|(.., lost)| *lost);
    lost.map(|(key, path, _)| format!("{key} ({})", path.as_str())).collect()
}

/// The configured claims that a user does not have: `user (upn)`. Defaults are not reported.
fn absent(identity: &Identity, names: &ClaimNames) -> Vec<String> {
    let claims = identity.claims.read();
    let is_present = |key: &str, path: &ClaimPath| {
        path.find(&claims).is_some() || (key == "email" && identity.email_withheld)
    };
    let absent = names.chosen().filter(|(key, path)| !is_present(key, path));
    absent.map(|(key, path)| format!("{key} ({})", path.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::claims::{GroupsPath, identity};
    use crate::session::tests::person;

    #[test]
    fn claims_that_give_nothing_are_reported() {
        let check = |groups: &str, claims: serde_json::Value, expected: &[&str]| {
            let groups = GroupsPath::parse(groups).unwrap();
            let names = ClaimNames { groups, ..ClaimNames::default() };
            let claims = claims.as_object().unwrap().clone();
            let identity = identity(&"company".into(), &names, false, claims).unwrap();
            assert_eq!(without_value(&identity, &names), expected);
        };
        let objects = json!([{"name": "a"}, {"name": "b"}]);
        check("groups", json!({"sub": "1", "groups": objects}), &["groups (groups)"]);
        check("/groups/*/name", json!({"sub": "1", "groups": objects}), &[]);
        check("groups", json!({"sub": "1", "groups": ["a", " b"]}), &["groups (groups)"]);
        check("groups", json!({"sub": "1", "groups": {"a": 1}, "name": "A"}), &[]);
        check("groups", json!({"sub": "1", "groups": [], "name": null}), &[]);
        check(
            "groups",
            json!({"sub": "1", "email": ["a@b.c"], "name": {}}),
            &["email (email)", "name (name)"],
        );
    }

    #[test]
    fn only_configured_claims_are_reported_as_absent() {
        let path = |text| ClaimPath::parse(text).unwrap();
        let names = ClaimNames {
            user: path("upn"),
            email: path("mail"),
            groups: GroupsPath::parse("/realm_access/roles").unwrap(),
            ..ClaimNames::default()
        };
        let claims = json!({"sub": "1", "upn": null, "realm_access": {"roles": []}});
        let alice = Identity { claims: claims.as_object().unwrap().clone().into(), ..person("1") };
        assert_eq!(absent(&alice, &names), ["user (upn)", "email (mail)"]);
        assert_eq!(absent(&alice, &ClaimNames::default()), [""; 0]);
        let withheld = Identity { email_withheld: true, ..alice };
        assert_eq!(absent(&withheld, &names), ["user (upn)"]);
    }
}
