//! Identities: from a provider's claims to the headers that describe a user.

pub mod answer_headers;
pub mod claim_set;
pub mod claims;
pub mod headers;
pub mod incomplete;
pub mod refresh_baseline;
#[cfg(test)]
pub(crate) mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use crate::identity::claim_set::ClaimSet;
use crate::identity::claims::GroupsPath;
use crate::telemetry::audit::Person;

/// A signed-in user, described by the provider's claims.
/// Invariant: the key is (`provider`, `subject`); every other field may change, or be the same for several users. It
/// contains no e-mail address that must not be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The provider's ID in the configuration.
    pub provider: Arc<str>,
    /// `sub` (OIDC Core §2), never empty.
    pub subject: Arc<str>,
    /// The claim configured as `user`; `sub` by default.
    pub user: Option<Arc<str>>,
    /// The e-mail address, if there is one that may be used: verified, if the provider's settings require it.
    pub email: Option<String>,
    /// Whether there was an address that must not be used, because it is not verified.
    pub email_withheld: bool,
    /// Whether the groups of the provider's API could not be fetched.
    pub groups_missing: bool,
    /// The most groups that the provider sends. It does not say that it left others out.
    pub most_groups: Option<usize>,
    /// The claim with the groups: see [`groups`](Self::groups).
    pub groups_claim: GroupsPath,
    /// The full name.
    pub name: Option<String>,
    /// The preferred user name.
    pub preferred_username: Option<String>,
    /// All claims, also the groups, for `{claim:…}` and rules on claims.
    pub claims: ClaimSet,
}

impl Identity {
    /// Groups, in the provider's order. They are read from the text of the claims, because there may be thousands.
    pub fn groups(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let (claim, member) = (self.groups_claim.claim(), self.groups_claim.member());
        self.claims.find(claim).into_iter().flat_map(move |claim| claim.groups(member))
    }

    /// What the audit log records of the user.
    pub fn person(&self) -> Person<'_> {
        Person { subject: &self.subject, email: self.email.as_deref() }
    }

    /// The name to show to the user: e-mail address, preferred user name, name, `user` or subject, in this order.
    pub fn label(&self) -> &str {
        let names = [&self.email, &self.preferred_username, &self.name];
        let name = names.into_iter().flatten().next().map(String::as_str);
        name.or(self.user.as_deref()).unwrap_or(&self.subject)
    }
}
