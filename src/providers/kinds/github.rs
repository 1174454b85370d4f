//! GitHub, and GitHub Enterprise Server by the option `url`.
//!
//! There is no ID token, so `state`, login cookie and PKCE bind a sign-in to its browser. A login can be renamed, and
//! another user can take it, so the user is known by the number `id`. Groups are organizations (`org`) and teams
//! (`org:team`); an organization with restrictions for third-party applications hides until it approves this one.
//! Source: docs.github.com, "Authorizing OAuth apps" and "REST API endpoints for users".

use crate::providers::fetch::{Fetch, Paging};
use crate::providers::kinds::{
    AddressList, Api, BASIC, ClaimDefaults, CodeMeaning, EmailTrust, GroupList, Groups, Guide,
    KindOption, OAuth, POST, ProviderKind, SignInProtocol, TokenRevocation,
};

/// GitHub.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "github",
    label: "GitHub",
    // Angle brackets.
    icon: "M8 7l-5 5 5 5m8-10 5 5-5 5M14 4l-4 16",
    protocol: SignInProtocol::OAuth(OAuth {
        authorization: Some("{url}/login/oauth/authorize"),
        token: Some("{url}/login/oauth/access_token"),
        profile: Some("/user"),
        secret_proof: None,
        id: Some("id"),
        // `email` of the profile is what the user shows in public. It may not be the main address.
        emails: Some(AddressList {
            path: "/user/emails?per_page=100",
            list: "",
            address: "email",
            is_primary: "primary",
            is_verified: "verified",
            paging: Paging::Link,
            scope: "user:email",
        }),
    }),
    auth_methods: &[BASIC, POST],
    api: Some(Api { base: "https://api.github.com", own: Some("{url}/api/v3") }),
    api_headers: &[("x-github-api-version", "2022-11-28")],
    scopes: &["read:org", "user:email"],
    error_codes: &[
        ("bad_verification_code", CodeMeaning::InvalidGrant),
        ("bad_refresh_token", CodeMeaning::InvalidGrant),
        ("incorrect_client_credentials", CodeMeaning::InvalidClient),
    ],
    claims: ClaimDefaults { preferred_username: "login", ..ClaimDefaults::standard() },
    verified: EmailTrust::AddressList { at_own_server: false },
    groups: Groups::Api {
        lists: &[
            GroupList {
                fetch: Fetch {
                    path: "/user/orgs?per_page=100",
                    list: "",
                    item: "{/login}",
                    paging: Paging::Link,
                },
                scope: "read:org",
                for_each: None,
            },
            GroupList {
                fetch: Fetch {
                    path: "/user/teams?per_page=100",
                    list: "",
                    item: "{/organization/login}:{/slug}",
                    paging: Paging::Link,
                },
                scope: "read:org",
                for_each: None,
            },
        ],
    },
    revocation: TokenRevocation::Delete("/applications/{}/token"),
    options: &[KindOption { default: Some("https://github.com"), ..KindOption::named("url") }],
    guide: Guide {
        register: &[
            "Open github.com/organizations/ORGANIZATION/settings/applications, and choose \"New OAuth app\" (or \
             \"New GitHub App\": it has tokens that expire and are refreshed).",
            "Authorization callback URL: CALLBACK",
            "Copy the client ID, and generate a client secret.",
            "For each organization in a rule: let an owner approve the application, or the organization stays hidden.",
        ],
        groups: "Organizations (`example`) and teams (`example:ops`) of the user, by the API. They need the scope read:org, \
                 which is a default. A GitHub App needs the organization permission \"Members: read\".",
        pitfalls: &[
            "A rule names the login in `users`: a login can be renamed, and another user can take it. The user is the \
             number of the account; `{preferred_username}` is the login.",
            "An organization is missing: it restricts third-party applications, or wants SAML single sign-on. Let an \
             owner approve the application, and let the user sign in to the organization once.",
            "A user has no e-mail: on a server of one's own (`url`) GitHub verifies no addresses. If your server does, set \
             `require_email_verified: false`.",
            "An OAuth app has no refresh tokens: groups are those of the sign-in.",
        ],
    },
    ..ProviderKind::oidc()
};
