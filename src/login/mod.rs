//! The authorization code flow from above.

pub mod failures;
pub mod pending;
pub mod return_to;
