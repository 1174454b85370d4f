//! What tokens claim that are not verified, for messages.
//! Invariant: a text of a provider is at most 200 characters long.

use std::fmt;

use crate::jose;
use crate::secret::Secret;

/// What a token that is not verified says about its signature, for the log only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimedHeader {
    /// `alg`, shortened.
    pub alg: Option<String>,
    /// `kid`, shortened.
    pub kid: Option<String>,
}

impl ClaimedHeader {
    /// Reads the header of a token.
    pub fn of(token: &Secret) -> Self {
        let member = |name| jose::claimed_member(token.expose(), name).map(|text| shortened(&text));
        Self { alg: member("alg"), kid: member("kid") }
    }
}

impl fmt::Display for ClaimedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = [("alg", &self.alg), ("kid", &self.kid)];
        let present = members.iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
        for (at, (name, text)) in present.enumerate() {
            let before = if at == 0 { ": " } else { ", " };
            write!(f, "{before}`{name}` is {text:?}")?;
        }
        Ok(())
    }
}

/// The beginning of a text, for a message.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}
