//! Any OAuth 2.0 provider with a profile as JSON, by endpoints and claim paths.

use crate::providers::kinds::{OAuth, ProviderKind, SignInProtocol};

/// Everything about it is configured.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "oauth2",
    protocol: SignInProtocol::OAuth(OAuth {
        authorization: None,
        token: None,
        profile: None,
        id: None,
        emails: None,
    }),
    scopes: &[],
    ..ProviderKind::oidc()
};
