//! The servers of `portcullis demo`: an identity provider that follows the standards, and an application that shows the
//! headers it receives. Tests use the same provider behind a proxy that adds faults.

mod accounts;
mod authorization;
mod discovery;
mod end_session;
mod endpoint;
mod form;
mod grants;
mod html;
mod identity_provider;
mod json_response;
mod keyring;
mod sample_app;
mod serving;
mod tokens;

pub use accounts::Account;
pub use endpoint::DemoEndpoint;
pub use grants::{GrantType, RefreshTokens};
pub use identity_provider::{Error, IdentityProvider, RegisteredClient, Settings};
pub use keyring::Keyring;
pub use sample_app::SampleApp;
