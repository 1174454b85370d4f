//! Google.
//!
//! Anyone can have an account, also one with the address of a company. The claim `hd` of the ID token says to which
//! Workspace domain an account belongs, and it is checked: the parameter of the authorization request is only a hint.
//! There is a refresh token only with `access_type=offline`, and only after a consent. No token has groups, and there is
//! no end session endpoint.
//! Source: developers.google.com, "OpenID Connect" and "Using OAuth 2.0 for Web Server Applications".

use crate::providers::kinds::{
    EndSession, Guide, IssuerSource, KindOption, Nonce, ProviderKind, RequiredClaim, SignInProtocol,
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
    end_session: EndSession::None,
    options: &[KindOption::named("hosted_domain")],
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
        groups: "None. Use rules about e-mail addresses or users.",
        pitfalls: &[
            "Write `hosted_domain` or a rule about addresses: everyone can have an account at Google. `email_domains` alone \
             is not enough for a company, because a private account can have an address of its domain.",
            "A user of the company is denied with `hosted_domain`: it is the primary domain of the Workspace account, which \
             the claim `hd` has, and it can differ from the domain of the address. Gmail accounts have no `hd`.",
            "Google sends a refresh token only when the user consents, which is at the first sign-in. Without it, claims \
             are those of the sign-in. To have one each time, set `authorization_parameters: { access_type: offline, \
             prompt: consent }`; users then consent at each sign-in.",
            "Sign-out ends the session here only: Google has no endpoint for it.",
        ],
    },
    ..ProviderKind::oidc()
};
