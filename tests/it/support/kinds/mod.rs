//! Providers of every kind: one engine that answers in the shapes that a provider documents, from a data file per kind
//! (`data/KIND.json`, described in [`data`]).
//! Invariant: the engine is strict where the provider is, and records each request; what no client should do is a
//! complaint, with which the test fails.

mod answer;
mod apis;
pub(crate) mod authorization_server;
pub(crate) mod client;
mod data;
pub(crate) mod engine;
mod grants;
#[cfg(test)]
mod tests;

/// All kinds that have a data file.
pub(crate) const KINDS: [&str; 19] = [
    "oidc",
    "google",
    "entra",
    "keycloak",
    "okta",
    "auth0",
    "gitlab",
    "apple",
    "cognito",
    "zitadel",
    "dex",
    "adfs",
    "slack",
    "linkedin",
    "discord",
    "github",
    "facebook",
    "bitbucket",
    "oauth2",
];

/// What goes wrong at a resource, or at the token endpoint, whatever the kind of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It says no to each refresh, as it does when the user was removed.
    RefreshRefused,
    /// It says that each code was used before.
    CodeSpent,
    /// The second page of the list fails.
    SecondPageFails,
    /// The second page of the list is at another origin.
    NextIsForeign,
    /// The list has a next page without end.
    NextIsEndless,
    /// The API has had too many requests.
    Limited,
    /// The API rejects each access token.
    TokenRejected,
}
