//! Amazon Cognito. It rejects the scope `offline_access`, and always sends a refresh token. Its end of a session has
//! parameters of its own, and a domain that not every discovery document names.
//! Source: the documentation of the Amazon Cognito user pool endpoints.

use crate::providers::kinds::{
    ClaimDefaults, EndSession, Guide, KindOption, KnownEndpoint, ProviderKind,
};

/// A user pool of Cognito.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "cognito",
    label: "Amazon Cognito",
    // A cloud.
    icon: "M7 18a4.5 4.5 0 0 1-.5-9 6 6 0 0 1 11.4 1.1A4 4 0 0 1 17.5 18z",
    endpoints: &[(KnownEndpoint::EndSession, "https://{domain}/logout")],
    claims: ClaimDefaults {
        groups: "cognito:groups",
        preferred_username: "cognito:username",
        ..ClaimDefaults::standard()
    },
    end_session: EndSession::Parameter("logout_uri"),
    options: &[KindOption::named("domain")],
    guide: Guide {
        register: &[
            "In the user pool, add an app client: confidential, authorization code grant, scopes openid, email and profile.",
            "Allowed callback URL: CALLBACK",
            "Allowed sign-out URL: SIGNED_OUT",
            "Copy client ID and secret. The issuer is https://cognito-idp.REGION.amazonaws.com/POOL.",
        ],
        groups: "The groups of the user pool, in the claim `cognito:groups`.",
        pitfalls: &[
            "`invalid_scope`: Cognito has no scope offline_access. A refresh token always comes.",
            "Sign-out ends at an error page: the sign-out URL must be one of the allowed ones. If discovery names no \
             `end_session_endpoint`, set `domain` to that of the user pool.",
        ],
    },
    ..ProviderKind::oidc()
};
