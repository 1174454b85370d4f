//! A fixture for the tests of every room that knows identities.

use super::*;
use crate::identity::claims::ClaimNames;

/// An identity with nothing but a subject.
pub(crate) fn person(subject: &str) -> Identity {
    Identity {
        provider: Arc::from("company"),
        subject: Arc::from(subject),
        user: Some(subject.into()),
        email: None,
        email_withheld: false,
        groups_missing: false,
        most_groups: None,
        groups_claim: ClaimNames::default().groups,
        name: None,
        preferred_username: None,
        claims: ClaimSet::default(),
    }
}
