//! Who may pass; pure. Deny is the default.

pub mod evaluate;
pub mod rule;

use rule::Rule;

/// `allow:` of a route.
#[derive(Clone, Debug)]
pub enum Policy {
    /// Anyone, signed in or not.
    Public,
    /// Anyone who is signed in.
    Authenticated,
    /// Whoever one of these rules admits; never empty.
    Rules(Vec<Rule>),
}
