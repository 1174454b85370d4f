//! Warnings about the configuration that only a sign-in can show. Each is logged once.

use std::sync::Once;

use tracing::warn;

use crate::identity::Identity;
use crate::identity::claims::{ClaimNames, ClaimPath};
use crate::providers::Settings;

/// The warnings that were logged.
#[derive(Debug)]
pub(super) struct ConfigHints {
    email: Once,
    claims: Once,
}

impl ConfigHints {
    pub(super) fn new() -> Self {
        Self { email: Once::new(), claims: Once::new() }
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
    use crate::session::tests::person;

    #[test]
    fn only_configured_claims_are_reported_as_absent() {
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
