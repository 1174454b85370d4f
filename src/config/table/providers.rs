//! The keys of `providers.ID`.

use super::{Default, Key, MINUTE, Type, key, millis};

pub(in crate::config) const KEYS: &[Key] = &[
    key("kind", Type::Choice(&["oidc"]), Default::Is("oidc"), "What it speaks: OpenID Connect."),
    key(
        "name",
        Type::Text,
        Default::Unset("its ID"),
        "Stands on the button \"Sign in with NAME\".",
    ),
    key(
        "issuer",
        Type::Text,
        Default::Required("issuer: https://id.example.com/realms/main"),
        "The issuer identifier, exactly as the provider writes it; discovery starts there.",
    ),
    key(
        "danger_allow_http",
        Type::Flag,
        Default::Is("false"),
        "Takes http:// beyond loopback: codes and tokens then cross the network in the clear.",
    ),
    key(
        "endpoints",
        Type::Section(ENDPOINTS),
        Default::Unset("discovered"),
        "Endpoints by hand, instead of discovery or over it.",
    ),
    key(
        "client_id",
        Type::Text,
        Default::Required("client_id: wiki"),
        "From the registration at the provider.",
    ),
    key(
        "client_secret",
        Type::Secret,
        Default::Unset("needed unless token_endpoint_auth_method is none"),
        "From the registration at the provider.",
    ),
    key(
        "token_endpoint_auth_method",
        Type::Choice(&["client_secret_basic", "client_secret_post", "none"]),
        Default::Unset("what discovery offers, client_secret_basic first"),
        "How the gateway authenticates at the token endpoint.",
    ),
    key(
        "scopes",
        Type::List { of: &Type::Text, least: 1 },
        Default::Is("[openid, email, profile]"),
        "What is asked for; openid must be among them.",
    ),
    key(
        "authorization_parameters",
        Type::Map(&Type::Scalar),
        Default::Is("{}"),
        "Further parameters of the authorization request, such as prompt or hd.",
    ),
    key(
        "claims",
        Type::Section(CLAIMS),
        Default::Unset("all defaults"),
        "Which claim means what: a name, or a JSON pointer that starts with /.",
    ),
    key(
        "require_email_verified",
        Type::Flag,
        Default::Is("true"),
        "Whether an e-mail without email_verified: true has no value anywhere.",
    ),
    key(
        "sign_out",
        Type::Choice(&["provider", "local"]),
        Default::Is("provider"),
        "Whether sign-out also ends the session at the provider.",
    ),
    key(
        "distinct_redirect_uri",
        Type::Flag,
        Default::Is("false"),
        "Ends redirect_uri in /callback/ID: against mix-up among several providers.",
    ),
    key(
        "ca",
        Type::Pem,
        Default::Unset("none"),
        "PEM beside the system's roots: a path or the text.",
    ),
    key(
        "proxy",
        Type::Secret,
        Default::Unset("HTTPS_PROXY and NO_PROXY of the environment"),
        "The egress proxy toward the provider: http:// or https://, HOST:PORT.",
    ),
    key("timeout", millis(100, 5 * MINUTE), Default::Is("10s"), "One request to the provider."),
];

const ENDPOINTS: &[Key] = &[
    key("authorization", Type::Text, Default::Unset("discovered"), "Where browsers sign in."),
    key("token", Type::Text, Default::Unset("discovered"), "Where codes become tokens."),
    key("userinfo", Type::Text, Default::Unset("discovered"), "Where further claims come from."),
    key("jwks", Type::Text, Default::Unset("discovered"), "The provider's public keys."),
    key("end_session", Type::Text, Default::Unset("discovered"), "Where browsers sign out."),
    key("revocation", Type::Text, Default::Unset("discovered"), "Where refresh tokens end."),
];

const CLAIMS: &[Key] = &[
    key("user", Type::Text, Default::Is("sub"), "What {user} and the rule key users mean."),
    key("email", Type::Text, Default::Is("email"), "The e-mail."),
    key("groups", Type::Text, Default::Is("groups"), "The groups, such as /realm_access/roles."),
    key("name", Type::Text, Default::Is("name"), "The full name."),
    key(
        "preferred_username",
        Type::Text,
        Default::Is("preferred_username"),
        "The name that the person prefers.",
    ),
];
