//! Google.
//!
//! Anyone can have an account, also one with the address of a company. The claim `hd` of the ID token says to which
//! Workspace domain an account belongs, and it is checked: the parameter of the authorization request is only a hint.
//! There is a refresh token only with `access_type=offline`, and only after a consent. There is no end session endpoint.
//! No token has groups, and no user may list them: a service account does.
//! Source: developers.google.com, "OpenID Connect", "Using OAuth 2.0 for Web Server Applications", and "Directory API:
//! groups.list"; cloud.google.com, "groups.memberships.searchTransitiveGroups".

use crate::providers::fetch::{Fetch, Paging};
use crate::providers::kinds::{
    AccountList, EndSession, Groups, Guide, IssuerSource, KindOption, Nonce, ProviderKind,
    RequiredClaim, SignInProtocol,
};

/// Google.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "google",
    label: "Google",
    // A magnifying glass.
    icon: "M5 10a5 5 0 1 0 10 0 5 5 0 1 0-10 0zM14 14l6 6",
    protocol: SignInProtocol::OpenId {
        issuer: IssuerSource::Template("https://accounts.google.com"),
        nonce: Nonce::Required,
    },
    parameters: &[("access_type", "offline"), ("hd", "{hosted_domain}")],
    groups: Groups::ServiceAccount { delegated: DIRECTORY, own: CLOUD_IDENTITY },
    end_session: EndSession::None,
    options: &[
        KindOption::named("hosted_domain"),
        KindOption::named("service_account"),
        KindOption::named("admin_email"),
    ],
    // SECURITY: a private account has no `hd`, whatever its address.
    required_claims: &[RequiredClaim { claim: "hd", option: "hosted_domain" }],
    guide: Guide {
        register: &[
            "Open console.cloud.google.com/auth/clients in a project of your organization, and create a client of the type \
             \"Web application\".",
            "Authorized redirect URI: CALLBACK",
            "Copy the client ID and the client secret.",
            "Under Audience, choose \"Internal\" if all users belong to your organization.",
        ],
        groups: "None, unless `service_account` is set: create a service account in the project, and a key of it in JSON. Groups are \
                 the addresses of groups (`staff@example.com`). Either way needs an administrator of the organization. With \
                 `admin_email`, the Directory API (\"Admin SDK API\") lists the groups that have the user as a direct member: \
                 delegate the scope https://www.googleapis.com/auth/admin.directory.group.readonly to the client ID of the \
                 service account (admin.google.com, Security, API controls, Domain-wide delegation). Without, the Cloud \
                 Identity API lists nested groups too, but not in every edition (Enterprise, Cloud Identity Premium): assign \
                 the role Groups Reader to the service account (Account, Admin roles). Enable the API in the project.",
        pitfalls: &[
            "Write `hosted_domain` or a rule about addresses: everyone can have an account at Google. `email_domains` alone \
             is not enough for a company, because a private account can have an address of its domain.",
            "A user of the company is denied with `hosted_domain`: the claim `hd` has the domain of the Workspace account, which \
             can differ from that of the address. If there are several, write a list. Gmail accounts have no `hd`.",
            "Google sends a refresh token only when the user consents, which is at the first sign-in. Without it, claims \
             are those of the sign-in. To have one each time, set `authorization_parameters: { access_type: offline, \
             prompt: consent }`; users then consent at each sign-in.",
            "Sign-out ends the session here only: Google has no endpoint for it.",
        ],
    },
    ..ProviderKind::oidc()
};

const DIRECTORY: AccountList = AccountList {
    base: "https://admin.googleapis.com",
    fetch: Fetch {
        path: "/admin/directory/v1/groups?userKey={email}&maxResults=200",
        list: "/groups",
        item: "{/email}",
        paging: NEXT_PAGE,
    },
    scope: "https://www.googleapis.com/auth/admin.directory.group.readonly",
    remedy: "in admin.google.com, Security, API controls, Domain-wide delegation, add the client ID of the service account \
             with the scope https://www.googleapis.com/auth/admin.directory.group.readonly; enable the Admin SDK API in its \
             project; and let `admin_email` be an administrator who may read groups",
};

const CLOUD_IDENTITY: AccountList = AccountList {
    base: "https://cloudidentity.googleapis.com",
    fetch: Fetch {
        // member_key_id == 'EMAIL' && 'cloudidentity.googleapis.com/groups.discussion_forum' in labels
        path: "/v1/groups/-/memberships:searchTransitiveGroups?pageSize=1000&query=member_key_id%20%3D%3D%20\
               '{quoted_email}'%20%26%26%20'cloudidentity.googleapis.com%2Fgroups.discussion_forum'%20in%20labels",
        list: "/memberships",
        item: "{/groupKey/id}",
        paging: NEXT_PAGE,
    },
    scope: "https://www.googleapis.com/auth/cloud-identity.groups.readonly",
    remedy: "enable the Cloud Identity API in the project of the service account; in admin.google.com, Account, Admin roles, \
             assign the role Groups Reader to it; the organization needs Google Workspace Enterprise or Cloud Identity \
             Premium, else set `admin_email`",
};

const NEXT_PAGE: Paging = Paging::PageToken { field: "/nextPageToken", parameter: "pageToken" };
