//! Facebook, by its Graph API. The user is an ID that Facebook makes for each application.
//!
//! The profile has no mark of verification, so an address never counts as verified. There are no refresh tokens, no groups
//! and no endpoints for sign-out and revocation. Errors are objects with numbers.
//! Source: developers.facebook.com, "Manually build a login flow", "Securing Graph API calls" and
//! "Handle errors".

use crate::providers::kinds::{
    Api, CodeMeaning, EmailTrust, ErrorForm, Guide, KindOption, OAuth, POST, ProviderKind,
    ResourceCodeMeaning, SignInProtocol,
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
    error_form: ErrorForm::Numbered,
    error_codes: &[
        // "Error validating client secret", and "Error validating application".
        ("1", CodeMeaning::InvalidClient),
        ("101", CodeMeaning::InvalidClient),
        // The code is used (36009), expired (36007), for another redirect URI (36008), or none.
        ("100", CodeMeaning::InvalidGrant),
        ("2", CodeMeaning::Temporary),
        ("4", CodeMeaning::Temporary),
    ],
    resource_error_codes: &[
        ("190", ResourceCodeMeaning::Ended),
        ("102", ResourceCodeMeaning::Ended),
        ("1", ResourceCodeMeaning::Temporary),
        ("2", ResourceCodeMeaning::Temporary),
        ("4", ResourceCodeMeaning::Temporary),
        ("17", ResourceCodeMeaning::Temporary),
        ("341", ResourceCodeMeaning::Temporary),
        ("613", ResourceCodeMeaning::Temporary),
    ],
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
