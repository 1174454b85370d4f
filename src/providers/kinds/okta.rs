//! Okta. Refresh tokens need the scope `offline_access`.
//! Source: Okta's guides "Customize tokens returned from Okta with a groups claim".

use crate::providers::kinds::{ClientAssertion, Guide, ProviderKind};

/// An Okta organization, or one of its custom authorization servers.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "okta",
    label: "Okta",
    // A badge.
    icon: "M3 5h18v14H3zm8 5a2 2 0 1 1-4 0 2 2 0 0 1 4 0m-5 6a3.2 3.2 0 0 1 6 0m3-6h3m-3 4h3",
    scopes: &["openid", "email", "profile", "offline_access"],
    most_groups: Some(100),
    guide: Guide {
        register: &[
            "Open Applications, and choose \"Create App Integration\": OIDC, web application, with the grant types \
             authorization code and refresh token.",
            "Sign-in redirect URI: CALLBACK",
            "Sign-out redirect URI: SIGNED_OUT",
            "Copy client ID and secret. The issuer is https://ORG.okta.com, or https://ORG.okta.com/oauth2/default for the \
             custom authorization server `default`.",
        ],
        groups: "At the application, tab Sign On, add a groups claim filter with the name `groups`; at a custom authorization \
                 server, add a claim `groups` of type Groups.",
        pitfalls: &[
            "Okta sends at most 100 groups, and does not say that it left some out. Let the filter send only the groups that \
             rules name.",
            "`invalid_scope` for offline_access: allow the grant type refresh token for the application.",
        ],
    },
    // Okta: "The audience claim for client_assertion must be the endpoint invoked for the request."
    client_assertion: ClientAssertion::RequestedEndpoint,
    ..ProviderKind::oidc()
};
