//! The keys of `routes[]`, of its rules, and `identity_headers`.

use super::{DAY, Default, HOUR, Key, Type, key, millis};

pub(super) const IDENTITY_HEADERS: Type = Type::Map(&Type::Text);

pub(super) const DEFAULT_HEADERS: Default = Default::Is(
    "{X-Forwarded-User: \"{user}\", X-Forwarded-Email: \"{email}\", \
     X-Forwarded-Groups: \"{groups}\", X-Forwarded-Preferred-Username: \"{preferred_username}\"}",
);

pub(super) const ABOUT_HEADERS: &str = "Tells upstreams who asks: a header's name and its text with \
    {user} {subject} {email} {groups} {name} {preferred_username} {provider} {access_token} \
    {id_token} {claim:/pointer}; a written map replaces the default.";

pub(super) const KEYS: &[Key] = &[
    key("name", Type::Text, Default::Unset("host and path"), "In metrics, logs and pages."),
    key(
        "host",
        Type::Text,
        Default::Unset("the host of public_url"),
        "wiki.example.com, *.example.com or \"*\".",
    ),
    key(
        "path",
        Type::Text,
        Default::Is("/"),
        "A prefix by whole segments: /a is /a and /a/b, not /ab.",
    ),
    key(
        "upstream",
        Type::Text,
        Default::Unset("none: the route is only asked about at the auth endpoints"),
        "Where requests go: http:// or https:// and HOST:PORT, or unix:PATH.",
    ),
    key(
        "upstream_tls",
        Type::Section(UPSTREAM_TLS),
        Default::Unset("the system's roots"),
        "TLS toward an https:// upstream.",
    ),
    key(
        "preserve_host",
        Type::Flag,
        Default::Is("true"),
        "Whether the upstream sees the client's Host instead of its own.",
    ),
    key(
        "request_body",
        Type::Size { least: 0, most: u64::MAX },
        Default::Unset("none"),
        "The most bytes of a request's body.",
    ),
    key(
        "timeouts",
        Type::Section(TIMEOUTS),
        Default::Unset("all defaults"),
        "Deadlines of a forwarded request.",
    ),
    key(
        "allow",
        Type::Either(&[
            Type::Choice(&["public", "authenticated"]),
            Type::List { of: &Type::Section(RULE), least: 1 },
        ]),
        Default::Required("allow: authenticated"),
        "Who may pass: public, authenticated, or rules of which any must match.",
    ),
    key(
        "providers",
        Type::List { of: &Type::Text, least: 1 },
        Default::Unset("all"),
        "Which providers sign in here.",
    ),
    key(
        "unauthenticated",
        Type::Choice(&["auto", "redirect", "unauthorized"]),
        Default::Is("auto"),
        "What a visitor who is not signed in meets: auto redirects page loads and answers 401 else.",
    ),
    key(
        "websocket_origins",
        Type::List { of: &Type::Text, least: 0 },
        Default::Is("[]"),
        "Origins, beside the route's own, whose pages may open a WebSocket with the session.",
    ),
    key(
        "identity_headers",
        IDENTITY_HEADERS,
        Default::Unset("the map of the same name at the top"),
        "Replaces the map of the same name at the top for this route.",
    ),
];

const UPSTREAM_TLS: &[Key] = &[
    key(
        "ca",
        Type::Pem,
        Default::Unset("none"),
        "PEM beside the system's roots: a path or the text.",
    ),
    key(
        "client_certificate",
        Type::Pem,
        Default::Unset("none"),
        "What the gateway shows to the upstream: a path or the PEM text.",
    ),
    key(
        "client_key",
        Type::Pem,
        Default::Unset("none"),
        "Its private key: a path or the PEM text.",
    ),
    key(
        "server_name",
        Type::Text,
        Default::Unset("the upstream's host"),
        "The name to ask for and to verify.",
    ),
];

const TIMEOUTS: &[Key] = &[
    key("connect", millis(10, HOUR), Default::Is("5s"), "DNS, TCP and TLS together."),
    key(
        "response_headers",
        millis(10, DAY),
        Default::Is("60s"),
        "From the request's last byte to the response's head.",
    ),
    key(
        "idle",
        millis(10, DAY),
        Default::Is("5m"),
        "Between two bytes; none for WebSockets, event streams and gRPC.",
    ),
];

const RULE: &[Key] = &[
    key(
        "public",
        Type::Flag,
        Default::Is("false"),
        "Asks for no signed-in visitor; beside it only methods, paths and client_addresses.",
    ),
    rule("emails", "E-mail addresses, compared without case."),
    rule("email_domains", "Their domains: example.com, or *.example.com for those below it."),
    rule("groups", "Groups, exactly as the provider names them."),
    rule("users", "Values of the claim that is configured as user."),
    rule("providers", "IDs of providers."),
    key(
        "claims",
        Type::Map(&Type::OneOrMore(&Type::Scalar)),
        Default::Unset("not asked for"),
        "A claim or JSON pointer, and the values of which it must have one.",
    ),
    rule("methods", "Methods; GET includes HEAD."),
    rule("paths", "Path prefixes by whole segments."),
    rule("client_addresses", "Networks, or single addresses, of clients."),
];

const fn rule(name: &'static str, about: &'static str) -> Key {
    key(name, Type::List { of: &Type::Text, least: 1 }, Default::Unset("not asked for"), about)
}
