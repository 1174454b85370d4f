//! Dex. Groups and refresh tokens need scopes.
//! Source: dexidp.io, "Custom scopes, claims and client features".

use crate::providers::kinds::{Guide, ProviderKind};

/// A Dex server.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "dex",
    label: "Dex",
    // A hub.
    icon: "M14.5 12a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0M14 4a2 2 0 1 1-4 0 2 2 0 0 1 4 0M7 18a2 2 0 1 1-4 0 2 2 0 0 1 4 0m14 0a2 2 0 1 1-4 0 2 2 0 0 1 4 0M12 6v3.5m-2.1 4-3.3 3.2m7.5-3.2 3.3 3.2",
    scopes: &["openid", "email", "profile", "groups", "offline_access"],
    guide: Guide {
        register: &[
            "Add a client to `staticClients` of Dex, with an ID and a secret.",
            "redirectURIs: CALLBACK",
            "The issuer is that of the configuration of Dex.",
        ],
        groups: "Those of the connector, in the claim `groups`. Not every connector has groups: see the documentation of Dex.",
        pitfalls: &[
            "An unregistered redirect URI shows only after the sign-in at Dex.",
            "Skip the choice of a connector with `authorization_parameters: { connector_id: ldap }`.",
            "Sign-out ends the session here only, unless the sessions of Dex are on.",
        ],
    },
    ..ProviderKind::oidc()
};
