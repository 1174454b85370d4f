//! GitHub, and GitHub Enterprise Server by the option `url`.
//!
//! There is no ID token, so `state`, login cookie and PKCE bind a sign-in to its browser. A login can be renamed, and
//! another user can take it, so the user is known by the number `id`. Groups are organizations (`org`) and teams
//! (`org:team`); an organization with restrictions for third-party applications hides until it approves this one.
//! Source: docs.github.com, "Authorizing OAuth apps" and "REST API endpoints for users".

use crate::providers::fetch::{Fetch, Paging};
use crate::providers::kinds::{
    AddressList, Api, ClaimDefaults, EmailTrust, Groups, KindOption, OAuth, ProviderKind,
    SignInProtocol,
};

/// GitHub.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "github",
    label: "GitHub",
    protocol: SignInProtocol::OAuth(OAuth {
        authorization: Some("{url}/login/oauth/authorize"),
        token: Some("{url}/login/oauth/access_token"),
        profile: Some("/user"),
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
    api: Some(Api { base: "https://api.github.com", own: Some("{url}/api/v3") }),
    api_headers: &[("x-github-api-version", "2022-11-28")],
    scopes: &["read:org", "user:email"],
    claims: ClaimDefaults { preferred_username: "login", ..ClaimDefaults::standard() },
    verified: EmailTrust::AddressList { at_own_server: false },
    groups: Groups::Api {
        scope: Some("read:org"),
        lists: &[
            Fetch {
                path: "/user/orgs?per_page=100",
                list: "",
                item: "{/login}",
                paging: Paging::Link,
            },
            Fetch {
                path: "/user/teams?per_page=100",
                list: "",
                item: "{/organization/login}:{/slug}",
                paging: Paging::Link,
            },
        ],
    },
    options: &[KindOption { name: "url", default: Some("https://github.com"), required: None }],
    ..ProviderKind::oidc()
};
