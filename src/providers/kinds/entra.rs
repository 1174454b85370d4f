//! Microsoft Entra ID.
//!
//! For users of several tenants the metadata has an issuer with a placeholder, and the issuer of an ID token is that of the
//! user's tenant. What a user's e-mail claim says is not verified unless `xms_edov` says so. Above 200 groups the ID token
//! has a mark in their place, and Microsoft Graph lists them.
//! Source: learn.microsoft.com, "OpenID Connect on the Microsoft identity platform", "ID token claims reference",
//! "Configure group claims" and, for Graph, "List a user's memberships".

use crate::providers::fetch::{Fetch, Paging};
use crate::providers::kinds::{
    ClientAssertion, EmailTrust, Groups, Guide, IssuerSource, KindOption, Nonce, ProviderKind,
    RequiredClaim, SignInProtocol,
};

/// Entra.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "entra",
    label: "Microsoft",
    // An organization chart.
    icon: "M9 3h6v5H9zM3 16h6v5H3zm12 0h6v5h-6zM12 8v8m-6 0v-4h12v4",
    protocol: SignInProtocol::OpenId {
        issuer: IssuerSource::Tenants("https://login.microsoftonline.com/{tenant}/v2.0"),
        nonce: Nonce::Required,
    },
    scopes: &["openid", "email", "profile", "offline_access"],
    api_headers: &[("consistencylevel", "eventual")],
    verified: EmailTrust::EntraDomain,
    groups: Groups::Overage(Fetch {
        path: "/v1.0/me/transitiveMemberOf?$select=id&$top=100",
        list: "/value",
        item: "{/id}",
        paging: Paging::BodyNext("/@odata.nextLink"),
    }),
    options: &[
        KindOption { name: "tenant", default: None, required: None, unset: None },
        KindOption { name: "allowed_tenants", default: None, required: None, unset: None },
    ],
    required_claims: &[RequiredClaim { claim: "tid", option: "allowed_tenants" }],
    guide: Guide {
        register: &[
            "Open entra.microsoft.com, App registrations, and choose \"New registration\".",
            "Redirect URI, platform \"Web\": CALLBACK",
            "Copy the application (client) ID and the directory (tenant) ID.",
            "Under \"Certificates & secrets\", add a client secret, and copy its value (not its ID).",
            "Under \"Token configuration\", add a groups claim, and the optional claims email and xms_edov of the ID token.",
        ],
        groups: "The claim `groups` of the ID token: the object IDs of groups, not their names. Above 200 groups Microsoft Graph \
                 is asked for all of them, which needs the delegated permission GroupMember.Read.All with the consent of an \
                 administrator. Without end: use app roles, and set `claims: { groups: roles }`.",
        pitfalls: &[
            "A user has no e-mail: Entra does not verify the claim `email`, so anyone could claim yours. It counts if the \
             optional claim xms_edov says so, or, for one tenant, if the user is not a guest.",
            "The user is `sub`, which is another one for each application. For the same ID in all applications of the \
             tenant, set `claims: { user: oid }`.",
            "`tenant` with a domain is an error: the issuer in the tokens has the ID of the tenant.",
            "`tenant: organizations` stands for every organization, so `allowed_tenants` must name those that you mean.",
            "A user has more than 200 groups, and the groups are missing: the log has the answer of Microsoft Graph. If the \
             permission is granted, add User.Read and GroupMember.Read.All to `scopes`.",
        ],
    },
    client_assertion: ClientAssertion::TokenEndpointPs256,
    ..ProviderKind::oidc()
};
