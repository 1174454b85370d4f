//! Keycloak. It needs no scope for refresh tokens, and has none for groups.
//! Source: tried with Keycloak 26.

use crate::providers::kinds::{Guide, ProviderKind};

/// A realm of Keycloak.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "keycloak",
    label: "Keycloak",
    // A padlock.
    icon: "M5 11h14v10H5zm3 0V7a4 4 0 0 1 8 0v4m-4 4v2",
    guide: Guide {
        register: &[
            "In the realm, open Clients, and choose \"Create client\": type OpenID Connect, client authentication on, standard \
             flow only.",
            "Valid redirect URI: CALLBACK",
            "Valid post logout redirect URI: SIGNED_OUT",
            "Home URL: the address of the application, because Keycloak's own error pages link to it.",
            "Copy the client secret from the tab Credentials. The issuer is https://HOST/realms/REALM.",
        ],
        groups: "Add a mapper of type \"Group Membership\" with the claim name `groups` to the client's dedicated scope; with \
                 \"Full group path\" a group is `/staff/wiki`, without it two groups of one name are the same. Roles need no mapper, \
                 because they are in the access token: `claims: { groups: access_token:/realm_access/roles }`, or for the \
                 roles of a client `access_token:/resource_access/CLIENT/roles`.",
        pitfalls: &[
            "`invalid_scope`: Keycloak has no scope `groups`. Remove it from `scopes`.",
            "\"unauthorized_client\" with status 401 is a wrong client secret.",
            "Portcullis reaches Keycloak by another address than browsers do: set `internal_origin`, and `KC_HOSTNAME` at \
             Keycloak.",
            "Users with hundreds of groups have large ID tokens: let the mapper put the groups into userinfo only.",
        ],
    },
    ..ProviderKind::oidc()
};
