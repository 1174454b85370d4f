//! Whether a request is allowed. By default it is denied.
//! Invariant: no I/O and no clock; the same input has the same verdict.

pub mod evaluate;
mod missing_claims;
pub mod rule;

use crate::policy::rule::Rule;
use crate::routing::path::PathPrefix;

/// `allow:` of a route.
#[derive(Clone, Debug)]
pub enum Policy {
    /// Allows every visitor, signed in or not.
    Public,
    /// Allows every signed-in user.
    Authenticated,
    /// Allows requests that any of these rules matches. The list is never empty.
    Rules(Vec<Rule>),
}

impl Policy {
    /// The prefixes in `paths` and `exact_paths` that differ from another one in letter case only.
    pub fn clashing_paths(&self) -> Vec<PathPrefix> {
        let all = || self.rules().iter().flat_map(Rule::prefixes);
        all().filter(|path| all().any(|other| other.clashes_with(path))).cloned().collect()
    }

    /// The prefixes in `paths` and `exact_paths` of all rules, each once.
    pub fn ruled_paths(&self) -> Vec<PathPrefix> {
        let mut ruled: Vec<PathPrefix> = Vec::new();
        for path in self.rules().iter().flat_map(Rule::prefixes) {
            if !ruled.contains(path) {
                ruled.push(path.clone());
            }
        }
        ruled
    }

    /// Whether a rule has the key `methods`.
    pub fn restricts_methods(&self) -> bool {
        self.rules().iter().any(|rule| rule.methods.is_some())
    }

    /// Whether some requests are allowed for visitors who are not signed in.
    pub fn allows_anonymous(&self) -> bool {
        matches!(self, Self::Public) || self.rules().iter().any(|rule| rule.public)
    }

    fn rules(&self) -> &[Rule] {
        match self {
            Self::Public | Self::Authenticated => &[],
            Self::Rules(rules) => rules,
        }
    }
}
