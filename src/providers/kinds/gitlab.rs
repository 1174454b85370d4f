//! GitLab, and one's own server by the option `url`. Only userinfo has all groups of a user, also inherited ones.
//! Source: docs.gitlab.com, "GitLab as an OpenID Connect identity provider".

use crate::providers::kinds::{
    EndSession, Guide, IssuerSource, KindOption, Nonce, ProviderKind, SignInProtocol,
};

/// GitLab.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "gitlab",
    label: "GitLab",
    // Branches.
    icon: "M9 5a2 2 0 1 1-4 0 2 2 0 0 1 4 0m0 14a2 2 0 1 1-4 0 2 2 0 0 1 4 0m10-6a2 2 0 1 1-4 0 2 2 0 0 1 4 0M7 7v10M7 7c0 4 4 6 8 6",
    protocol: SignInProtocol::OpenId {
        issuer: IssuerSource::Template("{url}"),
        nonce: Nonce::Required,
    },
    end_session: EndSession::None,
    options: &[KindOption { default: Some("https://gitlab.com"), ..KindOption::named("url") }],
    guide: Guide {
        register: &[
            "Open Applications in the settings of a group, or of the instance, and add one: confidential, with the scopes \
             openid, email and profile.",
            "Redirect URI: CALLBACK",
            "Copy the application ID and the secret.",
        ],
        groups: "Userinfo has the paths of all groups (`example/ops`). Portcullis requests it at each sign-in and refresh.",
        pitfalls: &[
            "A rule names a group that the user is in only by another group: paths are whole, `example/ops` is not `example`.",
            "Sign-out ends the session here only: GitLab has no endpoint for it.",
        ],
    },
    ..ProviderKind::oidc()
};
