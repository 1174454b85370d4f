//! How users sign in at a provider that has OAuth 2.0 without OpenID Connect: its endpoints, and a profile.

use crate::providers::fetch::Paging;

/// A provider without OpenID Connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OAuth {
    /// The authorization endpoint. `None`: it is configured.
    pub authorization: Option<&'static str>,
    /// The token endpoint. `None`: it is configured.
    pub token: Option<&'static str>,
    /// The path of the profile below the base of the API. `None`: the URL is configured as `endpoints.userinfo`.
    pub profile: Option<&'static str>,
    /// The query parameter of the profile's URL with an HMAC-SHA256 of the access token, whose key is the client secret.
    pub secret_proof: Option<&'static str>,
    /// The member of the profile with the user's ID. `None`: `claims.user`.
    // SECURITY: never a name that its user can change, or that another user can have later.
    pub id: Option<&'static str>,
    /// Where e-mail addresses are, if not in the profile.
    pub emails: Option<AddressList>,
}

/// A list of a user's e-mail addresses in the provider's API. Each has its own mark of verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressList {
    /// Its path below the base of the API.
    pub path: &'static str,
    /// The JSON pointer of the list.
    pub list: &'static str,
    /// The member of an item with the address.
    pub address: &'static str,
    /// The member that is `true` for the main address.
    pub is_primary: &'static str,
    /// The member that is `true` for a verified address.
    pub is_verified: &'static str,
    /// How to get its next page.
    pub paging: Paging,
    /// The scope that it needs. Without it in `scopes`, nothing is requested.
    pub scope: &'static str,
}
