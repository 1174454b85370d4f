//! Lists of groups that no user's access token can read, but a service account can.

use crate::providers::fetch::Fetch;

/// A list of a user's groups, and the API that has it.
#[derive(Clone, Copy, Debug)]
pub struct AccountList {
    /// The base URL of the API.
    pub base: &'static str,
    /// The list. `{email}` is the address of the user, `{quoted_email}` the same between the single quotes of a text of the
    /// Common Expression Language.
    pub fetch: Fetch,
    /// The scope that it needs.
    pub scope: &'static str,
    /// What an operator does if the account may not read it.
    pub remedy: &'static str,
}
