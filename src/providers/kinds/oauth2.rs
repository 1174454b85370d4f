//! Any OAuth 2.0 provider with a profile as JSON, by endpoints and claim paths.

use crate::providers::kinds::{Kind, OAuth, Protocol};

/// Everything about it is configured.
pub(super) const KIND: Kind = Kind {
    name: "oauth2",
    protocol: Protocol::OAuth(OAuth {
        authorization: None,
        token: None,
        profile: None,
        id: None,
        emails: None,
    }),
    scopes: &[],
    ..Kind::oidc()
};
