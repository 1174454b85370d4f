//! Facebook, by its Graph API. The user is an ID that Facebook makes for each application.
//!
//! The profile has no mark of verification, so an address never counts as verified. There are no refresh tokens, no groups
//! and no endpoints for sign-out and revocation.
//! Source: developers.facebook.com, "Manually build a login flow" and "Securing Graph API calls".

use crate::providers::kinds::{
    Api, EmailTrust, Guide, KindOption, OAuth, POST, ProviderKind, SignInProtocol,
};

/// Facebook.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "facebook",
    label: "Facebook",
    // People.
    icon: "M12 8a3 3 0 1 1-6 0 3 3 0 0 1 6 0M3 19a6 6 0 0 1 12 0m.5-13.8a3 3 0 0 1 0 5.6m2 3A6 6 0 0 1 21 19",
    protocol: SignInProtocol::OAuth(OAuth {
        authorization: Some("https://www.facebook.com/{graph_version}/dialog/oauth"),
        token: Some("https://graph.facebook.com/{graph_version}/oauth/access_token"),
        profile: Some("/me?fields=id,name,email"),
        // An application can demand it, and Facebook accepts it from every other one.
        secret_proof: Some("appsecret_proof"),
        id: Some("id"),
        emails: None,
    }),
    auth_methods: &[POST],
    api: Some(Api { base: "https://graph.facebook.com/{graph_version}", own: None }),
    scopes: &["public_profile", "email"],
    verified: EmailTrust::Never,
    options: &[KindOption {
        name: "graph_version",
        default: Some("v25.0"),
        required: None,
        unset: None,
    }],
    guide: Guide {
        register: &[
            "Open developers.facebook.com, create an app with the use case \"Authenticate and request data from users with \
             Facebook Login\", and add the permission email to it.",
            "Facebook Login, Settings, Valid OAuth Redirect URIs: CALLBACK",
            "Copy the app ID (`client_id`) and the app secret (`client_secret`).",
            "Publish the app: until then, only people with a role in it can sign in.",
        ],
        groups: "There are none. Name users by their ID in `users`.",
        pitfalls: &[
            "A user has no e-mail: Facebook does not say whether an address is verified, and some users have none or do not \
             share it. With `require_email_verified: false`, rules trust what a user typed at Facebook.",
            "The ID of a user is another one for each app.",
            "There is no refresh token: the session has the name of the sign-in until it ends.",
            "Facebook ends a version of the Graph API about two years after its release: set `graph_version`.",
        ],
    },
    ..ProviderKind::oidc()
};
