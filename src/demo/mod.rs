//! What `portcullis demo` shows, on loopback only: a small honest identity provider and an application that
//! shows its headers. The provider is also the one of our tests, where it misbehaves on demand.

mod accounts;
mod answer;
mod authorization;
mod discovery;
mod draft;
mod end_session;
mod faults;
mod form;
mod grants;
mod html;
mod id_token_faults;
mod identity_provider;
mod keyring;
mod network_faults;
mod sample_app;
mod tokens;
mod wire;

pub use accounts::Account;
pub use faults::{
    AuthorizationFault, DiscoveryFault, Endpoint, Fault, Grant, IdTokenFault, JwksFault,
    NetworkFault, TokenAnswer, TokenFault, UserinfoFault,
};
pub use grants::RefreshTokens;
pub use identity_provider::{Client, Counts, Error, IdentityProvider, Settings};
pub use sample_app::SampleApp;

#[cfg(test)]
mod tests;
