//! Active Directory Federation Services, from Windows Server 2019.
//!
//! Tokens often have no `email`, and `email_verified` never. `upn` has the form of an address, but is none.
//! Source: learn.microsoft.com, "AD FS OpenID Connect/OAuth concepts".

use crate::providers::kinds::{ClaimDefaults, Guide, KindOption, ProviderKind};

/// AD FS.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "adfs",
    label: "AD FS",
    // Servers.
    icon: "M4 4h16v7H4zm0 9h16v7H4zm4-5.5h0m0 9h0m5-9h3m-3 9h3",
    parameters: &[("resource", "{resource}")],
    claims: ClaimDefaults {
        groups: "group",
        preferred_username: "upn",
        ..ClaimDefaults::standard()
    },
    options: &[KindOption::named("resource")],
    guide: Guide {
        register: &[
            "Create an application group of type \"Server application accessing a web API\".",
            "Redirect URI: CALLBACK",
            "Generate a shared secret. Give the web API the client ID as its identifier, and allow it the scopes openid, \
             profile, email and allatclaims.",
            "Copy the client ID and the secret. The issuer is https://HOST/adfs.",
        ],
        groups: "Add an issuance transform rule to the web API that sends token groups as the claim type Group. Another claim: \
                 `claims: { groups: role }`.",
        pitfalls: &[
            "A user has no e-mail: AD FS does not send `email_verified`. Add a rule that sends the address, and set \
             `require_email_verified: false` if the directory is yours.",
            "Claims are missing in the ID token: add the scope allatclaims, or set `resource` to the identifier of the web \
             API.",
            "`upn` is not an e-mail address. Set `claims: { email: upn }` only if mail really arrives there.",
        ],
    },
    ..ProviderKind::oidc()
};
