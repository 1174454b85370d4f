//! Warnings about the configuration that only a sign-in can show. Each is logged once, for each claim that it names; a
//! failure, once until it ends.

use std::collections::BTreeSet;
use std::sync::Mutex;

use tracing::warn;

use crate::identity::Identity;
use crate::identity::claims::{ClaimNames, ClaimPath};
use crate::identity::incomplete::{Incomplete, MissingClaims};
use crate::lock::lock;
use crate::oidc::error::Error as OidcError;
use crate::providers::Settings;
use crate::providers::failure_log::FailureLog;
use crate::providers::fetch::FetchError;

/// The warnings that were logged.
#[derive(Debug, Default)]
pub(super) struct ConfigHints {
    email: ReportedOnce,
    claims_absent: ReportedOnce,
    userinfo: ReportedOnce,
    without_value: ReportedOnce,
    cut: ReportedOnce,
    access_token: ReportedOnce,
    recheck: ReportedOnce,
    absent: ReportedOnce,
    /// Failures of the API for groups.
    pub(super) groups: FailureLog,
    /// Failures of userinfo, profile or keys at refreshes.
    pub(super) claims: FailureLog,
    /// Failures of rechecks.
    pub(super) rechecks: FailureLog,
}

/// What a warning named already. It is bounded by the configuration.
#[derive(Debug, Default)]
struct ReportedOnce(Mutex<BTreeSet<String>>);

impl ReportedOnce {
    /// The names that are new, separated by commas; `None` if none is.
    fn new_of(&self, names: Vec<String>) -> Option<String> {
        let mut reported = lock(&self.0);
        let new: Vec<String> = names.into_iter().filter(|it| reported.insert(it.clone())).collect();
        (!new.is_empty()).then(|| new.join(", "))
    }

    /// Whether this is the first call.
    fn is_first(&self) -> bool {
        self.new_of(vec![String::new()]).is_some()
    }
}

impl ConfigHints {
    /// Reports that userinfo could not be used for a sign-in. A failure that may end by itself is reported each time.
    pub(super) fn userinfo_failed(&self, error: &OidcError, settings: &Settings) {
        let id = &settings.id;
        if error.is_temporary() || self.userinfo.is_first() {
            warn!(
                provider = %id, %error,
                "userinfo cannot be used, so its claims are missing; if the provider has none for this client, put \
                 the claims into the ID token and set providers.{id}.userinfo to never"
            );
        }
    }

    /// Reports that the access token of a user has no claims that can be used.
    pub(super) fn access_token_unusable(&self, error: &OidcError, settings: &Settings) {
        let (id, names) = (&settings.id, settings.claims.of_access_token());
        let claims = names.map(|(path, _)| path.as_str()).collect::<Vec<_>>().join(", ");
        if self.access_token.is_first() {
            warn!(
                provider = %id, %error, claims,
                "claims cannot be read from the access token of a user, so the user has none of them; let the provider \
                 issue access tokens to this client as signed JWTs, or put the claims into the ID token and remove \
                 `access_token:` from providers.{id}.claims"
            );
        }
    }

    /// Reports that sessions without a refresh token cannot be rechecked at all.
    pub(super) fn not_rechecked(&self, settings: &Settings) {
        let id = &settings.id;
        if self.recheck.new_of(vec!["never".to_owned()]).is_some() {
            warn!(
                provider = %id,
                "session.recheck has no effect for users of this provider: it issued no refresh token, and has no \
                 userinfo endpoint that may be requested (providers.{id}.userinfo); request a refresh token, with many \
                 providers by the scope offline_access"
            );
        }
    }

    /// Reports that sessions without a refresh token are rechecked for a part of their lifetime only.
    pub(super) fn recheck_ends_early(&self, settings: &Settings) {
        if self.recheck.new_of(vec!["early".to_owned()]).is_some() {
            warn!(
                provider = %settings.id,
                "session.recheck ends for users of this provider when their access token expires, before the session: \
                 the provider issued no refresh token; request one, with many providers by the scope offline_access"
            );
        }
    }

    /// Reports that the e-mail addresses of a user could not be fetched for a sign-in.
    pub(super) fn emails_failed(&self, error: &FetchError, settings: &Settings) {
        if self.userinfo.is_first() {
            warn!(
                provider = %settings.id, %error,
                "the e-mail addresses of a user cannot be fetched, so the user has none"
            );
        }
    }

    /// Reports claims that rules name, and of which a denied user has none or not all.
    pub(super) fn denied_without(&self, missing: &MissingClaims, settings: &Settings) {
        let id = &settings.id;
        let absent = missing.absent.iter().map(|path| path.as_str().to_owned()).collect();
        if let Some(absent) = self.absent.new_of(absent) {
            warn!(
                provider = %id,
                absent,
                "a user was denied because of rules about claims that the provider does not send for the user; check \
                 providers.{id}.scopes and providers.{id}.claims, and which claims the provider sends to this client"
            );
        }
        for (path, why) in &missing.incomplete {
            self.incomplete(path.as_str(), *why, settings);
        }
    }

    /// Reports a claim of which a user does not have all values.
    fn incomplete(&self, claim: &str, why: Incomplete, settings: &Settings) {
        let (id, report) = (&settings.id, vec![claim.to_owned()]);
        match why {
            Incomplete::Elsewhere => {
                if let Some(claims) = self.cut.new_of(report) {
                    warn!(
                        provider = %id,
                        claims,
                        "a user has more groups than the provider puts into a token, so it sent none of them; let it \
                         send fewer: at Entra, choose \"groups assigned to the application\" for the groups claim, or \
                         use app roles and set providers.{id}.claims.groups to roles"
                    );
                }
            }
            Incomplete::AtMaximum => {
                if let Some(claims) = self.cut.new_of(report) {
                    warn!(
                        provider = %id,
                        claims,
                        "a user has exactly 100 groups, which is as many as Okta sends, so others may be missing; let \
                         the provider send only groups that the rules name, by the filter of its groups claim"
                    );
                }
            }
            // Each is logged where it arises.
            Incomplete::NotFetched | Incomplete::NoAccessToken => {}
            Incomplete::Unusable => {
                if let Some(claims) = self.without_value.new_of(report) {
                    warn!(
                        provider = %id,
                        claims,
                        "a user has claims that give no value, or not all of their values: they have another form, or \
                         whitespace at an end; name a claim with texts in providers.{id}.claims or in the rule; for \
                         groups in a list of objects, write the path of the group in each object, such as \
                         /groups/*/name"
                    );
                }
            }
        }
    }

    /// Checks the claims of a sign-in or a refresh. `used` are claims that rules and headers read.
    pub(super) fn look_at(&self, identity: &Identity, settings: &Settings, used: &[ClaimPath]) {
        let id = &settings.id;
        if identity.email_withheld && self.email.is_first() {
            warn!(
                provider = %id,
                "a user has no e-mail, because the provider does not report it as verified \
                 (`email_verified` is about the claim `email` only); if every address at the provider belongs \
                 to its user, set providers.{id}.require_email_verified to false"
            );
        }
        for claim in without_value(identity, &settings.claims) {
            self.incomplete(claim, Incomplete::Unusable, settings);
        }
        for path in used.iter().chain([settings.claims.groups.claim()]) {
            if let Some(why) = identity.incomplete(path) {
                self.incomplete(path.as_str(), why, settings);
            }
        }
        if let Some(absent) = self.claims_absent.new_of(absent(identity, &settings.claims)) {
            warn!(
                provider = %id,
                absent,
                "a user signed in without a claim that providers.{id}.claims names; the provider may have \
                 another name for it"
            );
        }
    }
}

/// The claims that a user has, but that give nothing: all but the groups.
fn without_value<'n>(identity: &Identity, names: &'n ClaimNames) -> Vec<&'n str> {
    let has = |path: &ClaimPath| identity.claims.find(path).is_some();
    let claims = [
        (&names.user, identity.user.is_none()),
        (&names.email, identity.email.is_none()),
        (&names.name, identity.name.is_none()),
        (&names.preferred_username, identity.preferred_username.is_none()),
    ];
    let lost = claims.into_iter().filter(|(path, is_none)| *is_none && has(path));
    lost.map(|(path, _)| path.as_str()).collect()
}

/// The configured claims that a user does not have: `user (upn)`. Defaults are not reported.
fn absent(identity: &Identity, names: &ClaimNames) -> Vec<String> {
    let claims = identity.claims.read();
    let is_present = |key: &str, path: &ClaimPath| {
        path.find(&claims).is_some()
            || (key == "email" && identity.email_withheld)
            || identity.incomplete(path) == Some(Incomplete::NoAccessToken)
    };
    let absent = names.chosen().filter(|(key, path)| !is_present(key, path));
    absent.map(|(key, path)| format!("{key} ({})", path.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::claims::{GroupsPath, identity};
    use crate::identity::tests::person;

    #[test]
    fn claims_that_give_nothing_are_reported() {
        let check = |claims: serde_json::Value, expected: &[&str]| {
            let names = ClaimNames::default();
            let claims = claims.as_object().unwrap().clone();
            let identity = identity(&"company".into(), &names, false, claims).unwrap();
            assert_eq!(without_value(&identity, &names), expected);
        };
        check(json!({"sub": "1", "groups": {"a": 1}, "name": "A"}), &[]);
        check(json!({"sub": "1", "groups": [], "name": null}), &[]);
        check(json!({"sub": "1", "email": ["a@b.c"], "name": {}}), &["email", "name"]);
    }

    #[test]
    fn claim_is_reported_once() {
        let reported = ReportedOnce::default();
        let new =
            |names: &[&str]| reported.new_of(names.iter().map(|it| (*it).to_owned()).collect());
        assert_eq!(new(&["a", "b"]).as_deref(), Some("a, b"));
        assert_eq!(new(&["b", "c"]).as_deref(), Some("c"));
        assert_eq!(new(&["a"]), None);
        assert_eq!(new(&[]), None);
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
