//! LinkedIn, with the product "Sign In with LinkedIn using OpenID Connect".
//!
//! ID tokens have no `nonce`, and a `code_verifier` is `invalid_client`, so login cookie and one-time `state` are the only
//! binding of a sign-in to its browser. There is no refresh token, and no end session endpoint.
//! Source: learn.microsoft.com/linkedin, "Sign In with LinkedIn using OpenID Connect".

use crate::providers::kinds::{
    CodeMeaning, EndSession, Guide, IssuerSource, Nonce, POST, Pkce, ProviderKind, SignInProtocol,
};

/// LinkedIn.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "linkedin",
    label: "LinkedIn",
    // A briefcase.
    icon: "M3 8h18v12H3zm6 0V5h6v3M3 13h18",
    protocol: SignInProtocol::OpenId {
        issuer: IssuerSource::Template("https://www.linkedin.com/oauth"),
        nonce: Nonce::MayBeAbsent,
    },
    // A code that is used, expired or of another client: "authorization code not found".
    error_codes: &[("invalid_request", CodeMeaning::InvalidGrant)],
    auth_methods: &[POST],
    pkce: Pkce::Rejected,
    end_session: EndSession::None,
    guide: Guide {
        register: &[
            "Create an app at linkedin.com/developers/apps, and add the product \"Sign In with LinkedIn using OpenID \
             Connect\".",
            "Authorized redirect URL: CALLBACK",
            "Copy the client ID and the primary client secret.",
        ],
        groups: "None. Use rules about e-mail addresses or users.",
        pitfalls: &[
            "LinkedIn supports neither `nonce` nor PKCE, so only the login cookie and the one-time state protect a \
             sign-in. Prefer another provider for anything important.",
            "Anyone can have an account: allow users or e-mail addresses, not everyone who signed in.",
            "Claims are as old as the sign-in: there is no refresh token.",
        ],
    },
    ..ProviderKind::oidc()
};
