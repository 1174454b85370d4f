//! The rows of the table, a file per kind.

pub(super) mod oidc;
