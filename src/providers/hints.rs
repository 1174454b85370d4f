//! What a sign-in shows of the configuration that its author may not have meant: each is said once.

use std::sync::Once;

use tracing::warn;

use super::Settings;
use crate::identity::Identity;
use crate::identity::claims::{ClaimNames, ClaimPath};

/// What was said already.
#[derive(Debug)]
pub(super) struct ConfigHints {
    email: Once,
    claims: Once,
}

impl ConfigHints {
    pub(super) fn new() -> Self {
        Self { email: Once::new(), claims: Once::new() }
    }

    /// Looks at who signed in.
    pub(super) fn look_at(&self, identity: &Identity, settings: &Settings) {
        let id = &settings.id;
        if identity.email_withheld {
            self.email.call_once(|| {
                warn!(
                    provider = %id,
                    "somebody's e-mail has no value, as the provider does not say that it is verified \
                     (email_verified speaks of the claim `email` only); if only its owner can have an address there, set \
                     providers.{id}.require_email_verified to false"
                );
            });
        }
        let absent = absent(identity, &settings.claims);
        if !absent.is_empty() {
            self.claims.call_once(|| {
                warn!(
                    provider = %id,
                    absent = absent.join(", "),
                    "somebody signed in without a claim that providers.{id}.claims names; has the provider \
                     another name for it?"
                );
            });
        }
    }
}

/// The claims that were configured and did not come: `user (upn)`. The defaults are nobody's choice.
fn absent(identity: &Identity, names: &ClaimNames) -> Vec<String> {
    let claims = identity.claims.read();
    let has_come = |key: &str, path: &ClaimPath| {
        path.find(&claims).is_some() || (key == "email" && identity.email_withheld)
    };
    let absent = names.chosen().filter(|(key, path)| !has_come(key, path));
    absent.map(|(key, path)| format!("{key} ({})", path.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::session::tests::person;

    #[test]
    fn only_a_claim_that_somebody_chose_is_missed() {
        let path = |text| ClaimPath::parse(text).unwrap();
        let names = ClaimNames {
            user: path("upn"),
            email: path("mail"),
            groups: path("/realm_access/roles"),
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
