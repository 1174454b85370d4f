//! Auth0. Refresh tokens need the scope `offline_access`. A tenant from before November 2023 may have no
//! `end_session_endpoint`; it has `/v2/logout`.
//! Source: Auth0's "Log users out with OIDC endpoint".

use crate::providers::kinds::{EndSession, Guide, ProviderKind};

/// An Auth0 tenant.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "auth0",
    label: "Auth0",
    // A check mark.
    icon: "M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0M8 12l3 3 5-6",
    scopes: &["openid", "email", "profile", "offline_access"],
    end_session: EndSession::Fallback { path: "v2/logout", parameter: "returnTo" },
    guide: Guide {
        register: &[
            "Open Applications, and choose \"Create Application\": regular web application.",
            "Allowed callback URL: CALLBACK",
            "Allowed logout URL: SIGNED_OUT",
            "Copy client ID and secret. The issuer is https://TENANT.REGION.auth0.com/ with the slash at its end.",
        ],
        groups: "An Action of the login flow has to put them into the ID token, in a claim whose name is a URL: \
                 `claims: { groups: https://example.com/groups }`.",
        pitfalls: &[
            "The issuer ends with a slash. Without it, `portcullis check --online` shows the right one.",
            "No refresh token: allow the grant type refresh token in the advanced settings of the application.",
        ],
    },
    ..ProviderKind::oidc()
};
