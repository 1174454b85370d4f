//! Any OAuth 2.0 provider with a profile as JSON, by endpoints and claim paths.

use crate::providers::kinds::{ClientAssertion, Guide, OAuth, ProviderKind, SignInProtocol};

/// Everything about it is configured.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "oauth2",
    // A person in a circle.
    icon: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18m0 4a3 3 0 1 1 0 6 3 3 0 0 1 0-6m-5.6 11.2a6.5 6.5 0 0 1 11.2 0",
    protocol: SignInProtocol::OAuth(OAuth {
        authorization: None,
        token: None,
        profile: None,
        secret_proof: None,
        id: None,
        emails: None,
    }),
    guide: Guide {
        register: &[
            "Register an application with the authorization code flow.",
            "Redirect URI: CALLBACK",
            "Copy the client ID, the client secret, and the URLs of the authorization endpoint, the token endpoint and the \
             profile.",
            "Request the profile by hand once, to see the names of its members.",
        ],
        groups: "A member of the profile: `claims: { groups: /groups/*/name }`.",
        pitfalls: &[
            "`claims.user` must be an ID that no other user can have, also later: not a name that can be changed.",
            "A user has no e-mail: the profile does not have `email_verified: true`. If every address there belongs to its \
             user, set `require_email_verified: false`.",
            "If the provider has OpenID Connect (a document at ISSUER/.well-known/openid-configuration), use kind oidc.",
        ],
    },
    scopes: &[],
    client_assertion: ClientAssertion::TokenEndpoint,
    ..ProviderKind::oidc()
};
