//! Zitadel. Roles are the keys of an object, in a claim whose name has colons.
//! Source: zitadel.com, "Scopes" and "Claims".

use crate::providers::kinds::{ClaimDefaults, Guide, ProviderKind};

/// A Zitadel instance.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "zitadel",
    label: "Zitadel",
    // A tower.
    icon: "M6 21V11H4V4h4v3h2V4h4v3h2V4h4v7h-2v10zm4 0v-4a2 2 0 0 1 4 0v4",
    scopes: &["openid", "email", "profile", "offline_access", "urn:zitadel:iam:org:projects:roles"],
    claims: ClaimDefaults {
        groups: "urn:zitadel:iam:org:project:roles",
        ..ClaimDefaults::standard()
    },
    guide: Guide {
        register: &[
            "In a project, add an application: web, with PKCE or client secret, grant types authorization code and refresh \
             token.",
            "Redirect URI: CALLBACK",
            "Post-logout URI: SIGNED_OUT",
            "Copy client ID and secret. The issuer is the address of the instance.",
        ],
        groups: "The roles of the project that are granted to the user. In the project, switch on \"Assert roles on \
                 authentication\".",
        pitfalls: &["A user has no roles: they are granted in another project. Add the scope \
             urn:zitadel:iam:org:project:id:PROJECT:aud, and name the claim of that project in `claims.groups`."],
    },
    ..ProviderKind::oidc()
};
