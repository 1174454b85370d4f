//! Sign in with Apple.
//!
//! The client secret is a JWT that the client signs with a key of the developer team. With the scope `email` or `name` the
//! authorization response comes by `form_post`, and only the first one has the user's name. Access tokens have no use, and
//! Apple asks for at most one refresh a day. A revocation ends what the user agreed to, so the next sign-in asks again.
//! Source: developer.apple.com, "Sign in with Apple REST API": "Request an authorization to the Sign in with Apple server",
//! "Generate and validate tokens", "Creating a client secret", "Revoke tokens".

use crate::providers::kinds::{
    ClientAssertion, EndSession, Guide, IssuerSource, KindOption, NameSource, Nonce, ProviderKind,
    RedirectUris, SignInProtocol, TokenLifetime,
};

/// Apple.
pub(super) const KIND: ProviderKind = ProviderKind {
    name: "apple",
    label: "Apple",
    // A telephone.
    icon: "M8.5 2h7A1.5 1.5 0 0 1 17 3.5v17a1.5 1.5 0 0 1-1.5 1.5h-7A1.5 1.5 0 0 1 7 20.5v-17A1.5 1.5 0 0 1 8.5 2M11 18.5h2",
    protocol: SignInProtocol::OpenId {
        issuer: IssuerSource::Template(ISSUER),
        nonce: Nonce::Required,
    },
    scopes: &["openid", "email", "name"],
    form_post_scopes: &["email", "name"],
    redirect_uris: RedirectUris::HttpsDomain,
    client_assertion: ClientAssertion::AppleSecret { audience: ISSUER },
    token_lifetime: TokenLifetime::Irrelevant,
    name_source: NameSource::FirstResponse,
    end_session: EndSession::None,
    options: &[
        KindOption { required: Some("team_id: A1B2C3D4E5"), ..KindOption::named("team_id") },
        KindOption { required: Some("key_id: F6G7H8J9K0"), ..KindOption::named("key_id") },
    ],
    guide: Guide {
        register: &[
            "Open developer.apple.com/account, \"Certificates, Identifiers & Profiles\". Under Identifiers, register an App ID \
             with \"Sign in with Apple\".",
            "Register a Services ID, and configure \"Sign in with Apple\" in it with that App ID. The Services ID is the \
             client ID.",
            "Return URL: CALLBACK. It must be https with a domain; Apple accepts no IP address and no localhost.",
            "Under Keys, register a key with \"Sign in with Apple\", and download it: it can be downloaded once. The file is \
             `client_key`, and its name has the key ID.",
            "Copy the team ID from \"Membership details\".",
        ],
        groups: "None. Use rules about e-mail addresses or users.",
        pitfalls: &[
            "\"invalid_client\": the key does not belong to `key_id`, `team_id` or `client_id`. The client ID is the Services \
             ID, not the App ID. There is no client secret to renew: Portcullis makes one from the key.",
            "An e-mail address ends in @privaterelay.appleid.com: the user hides the real one. Rules about the domain of your \
             company do not match it. The claim `is_private_email` says so.",
            "The user is `sub`, which is another one for each developer team.",
            "`{name}` is empty: Apple sends the name at the first sign-in only. It comes through the browser, so the user \
             can write any name: rules cannot be about it.",
            "Each sign-in asks for the name and e-mail again: sign-out ends the authorization at Apple. To keep it, set \
             `sign_out: local`.",
            "Sessions go on until `session.lifetime`. With `session.recheck`, Apple is asked whether they still stand: use \
             24h or more, because Apple limits these requests.",
        ],
    },
    ..ProviderKind::oidc()
};

const ISSUER: &str = "https://appleid.apple.com";
