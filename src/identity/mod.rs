//! Who someone is.

pub mod claim_set;
pub mod claims;
pub mod headers;
pub mod refresh_baseline;

use std::borrow::Cow;
use std::sync::Arc;

use claim_set::{Claim, ClaimSet};
use claims::ClaimPath;

use crate::telemetry::audit::Person;

/// A signed-in person, as the provider's claims tell it.
/// Invariant: the key is (`provider`, `subject`); every other field may change or be shared, and an
/// e-mail that may not be used stands nowhere in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The provider's ID in the configuration.
    pub provider: Arc<str>,
    /// `sub` (OIDC Core §2), never empty.
    pub subject: Arc<str>,
    /// The claim configured as `user`; `sub` by default.
    pub user: Option<Arc<str>>,
    /// The e-mail, if there is one that may be used (verified, where the provider requires it).
    pub email: Option<String>,
    /// Whether there was one that may not be used, for nobody said that it is verified.
    pub email_withheld: bool,
    /// The claim that the groups are in: see [`groups`](Self::groups).
    pub groups_claim: ClaimPath,
    /// The full name.
    pub name: Option<String>,
    /// The name that the person prefers.
    pub preferred_username: Option<String>,
    /// All claims, the groups too, for `{claim:…}` and rules on claims.
    pub claims: ClaimSet,
}

impl Identity {
    /// Groups, in the provider's order. Read where they stand among the claims, as there may be thousands.
    pub fn groups(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.claims.find(&self.groups_claim).into_iter().flat_map(Claim::texts)
    }

    /// What the audit lines tell of them.
    pub fn person(&self) -> Person<'_> {
        Person { subject: &self.subject, email: self.email.as_deref() }
    }

    /// The name to show to this person: the e-mail, else what else there is, at last the subject.
    pub fn label(&self) -> &str {
        let told = [&self.email, &self.preferred_username, &self.name];
        let told = told.into_iter().flatten().next().map(String::as_str);
        told.or(self.user.as_deref()).unwrap_or(&self.subject)
    }
}
