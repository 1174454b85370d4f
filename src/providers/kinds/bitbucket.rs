//! Bitbucket Cloud. Names can be changed, so the user is known by the `uuid`. Groups are workspaces (`workspace`), and for
//! each of the option `workspaces` the user's permission in it (`workspace:owner`).
//! Source: developer.atlassian.com, "Bitbucket Cloud REST API": users, workspaces.

use crate::providers::fetch::{Fetch, Paging};
use crate::providers::kinds::{
    AddressList, Api, BASIC, ClaimDefaults, CodeMeaning, EmailTrust, GroupList, Groups, Guide,
    KindOption, OAuth, ProviderKind, SignInProtocol,
};

/// Bitbucket Cloud.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "bitbucket",
    label: "Bitbucket",
    // A terminal.
    icon: "M3 4h18v16H3zm4 5 3 3-3 3m6 0h4",
    protocol: SignInProtocol::OAuth(OAuth {
        authorization: Some("https://bitbucket.org/site/oauth2/authorize"),
        token: Some("https://bitbucket.org/site/oauth2/access_token"),
        profile: Some("/user"),
        secret_proof: None,
        id: Some("uuid"),
        emails: Some(AddressList {
            path: "/user/emails",
            list: "/values",
            address: "email",
            is_primary: "is_primary",
            is_verified: "is_confirmed",
            paging: Paging::BodyNext("/next"),
            scope: "email",
        }),
    }),
    auth_methods: &[BASIC],
    api: Some(Api { base: "https://api.bitbucket.org/2.0", own: None }),
    scopes: &["account", "email"],
    // The answer to a wrong secret, with status 400: "Invalid OAuth client credentials".
    error_codes: &[("unauthorized_client", CodeMeaning::InvalidClient)],
    claims: ClaimDefaults {
        name: "display_name",
        preferred_username: "nickname",
        ..ClaimDefaults::standard()
    },
    verified: EmailTrust::AddressList { at_own_server: false },
    groups: Groups::Api {
        lists: &[
            GroupList {
                fetch: Fetch {
                    path: "/user/workspaces",
                    list: "/values",
                    item: "{/workspace/slug}",
                    paging: Paging::BodyNext("/next"),
                },
                scope: "account",
                for_each: None,
            },
            GroupList {
                fetch: Fetch {
                    path: "/user/workspaces/{workspaces}/permission",
                    list: "",
                    item: "{workspaces}:{/permission}",
                    paging: Paging::None,
                },
                scope: "account",
                for_each: Some("workspaces"),
            },
        ],
    },
    options: &[KindOption { name: "workspaces", default: None, required: None, unset: None }],
    guide: Guide {
        register: &[
            "Open the settings of your workspace, OAuth consumers, and add a consumer with the permissions Account: Read and \
             Account: Email.",
            "Callback URL: CALLBACK",
            "Copy the key (`client_id`) and the secret (`client_secret`).",
        ],
        groups: "Workspaces of the user (`example`). For each workspace in `workspaces`, also the user's permission in it: \
                 `example:owner`, `example:collaborator` or `example:member`.",
        pitfalls: &[
            "The user is the `uuid` with its braces: users: [\"{a54f16da-24e9-4d7f-a3a7-b1ba2cd98aa3}\"].",
            "A group is missing: rules name the slug of a workspace, which is in its URL, not its name.",
            "Sign-out ends the session here only: Bitbucket has no endpoint for it.",
        ],
    },
    ..ProviderKind::oidc()
};
