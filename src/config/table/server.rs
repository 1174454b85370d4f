//! The keys of `server:`.

use super::{DAY, Default, HOUR, KIB, Key, MIB, MINUTE, SECOND, Type, key, millis};

pub(super) const KEYS: &[Key] = &[
    key(
        "listen",
        Type::OneOrMore(&Type::Scalar),
        Default::Is("127.0.0.1:4180"),
        "Where to listen: HOST:PORT or unix:PATH, one or a list.",
    ),
    key(
        "public_url",
        Type::Text,
        Default::Required("public_url: https://wiki.example.com"),
        "The origin at which browsers reach the gateway; its scheme decides on secure cookies.",
    ),
    key(
        "danger_allow_http",
        Type::Flag,
        Default::Is("false"),
        "Takes an http:// public_url beyond loopback: cookies then cross the network in the clear.",
    ),
    key(
        "endpoint_prefix",
        Type::Text,
        Default::Is("/oauth2"),
        "Where the gateway's own paths begin.",
    ),
    key(
        "workers",
        Type::Count { least: 1, most: 1024 },
        Default::Unset("one per core, container limits respected"),
        "Threads that serve requests.",
    ),
    key(
        "tls",
        Type::Section(TLS),
        Default::Unset("plain HTTP"),
        "With certificates every TCP listener speaks TLS, unix sockets do not.",
    ),
    key(
        "trusted_proxies",
        Type::List { of: &Type::Text, least: 0 },
        Default::Is("[]"),
        "Whose X-Forwarded-For, -Proto and -Host are believed: CIDRs, or unix for unix sockets.",
    ),
    key(
        "forward_auth",
        Type::Section(FORWARD_AUTH),
        Default::Unset("no proxy may ask"),
        "Which proxies may ask at the auth endpoints, and where.",
    ),
    key("limits", Type::Section(LIMITS), Default::Unset("all defaults"), "Bounds of a request."),
    key(
        "timeouts",
        Type::Section(TIMEOUTS),
        Default::Unset("all defaults"),
        "Deadlines of a client's connection and of the end of the process.",
    ),
];

const TLS: &[Key] = &[key(
    "certificates",
    Type::List { of: &Type::Section(CERTIFICATE), least: 1 },
    Default::Unset("none: plain HTTP"),
    "Chains and their keys, chosen by the name that the client asks for; the first is the default.",
)];

const CERTIFICATE: &[Key] = &[
    key(
        "certificate",
        Type::Pem,
        Default::Required("certificate: /etc/portcullis/tls.crt"),
        "The chain, leaf first: a path or the PEM text.",
    ),
    key(
        "key",
        Type::Pem,
        Default::Required("key: /etc/portcullis/tls.key"),
        "Its private key: a path or the PEM text.",
    ),
];

const FORWARD_AUTH: &[Key] = &[
    key(
        "clients",
        Type::List { of: &Type::Section(FORWARD_AUTH_CLIENT), least: 0 },
        Default::Unset("none"),
        "The proxies that may ask; no other peer is admitted there.",
    ),
    key(
        "listen",
        Type::Scalar,
        Default::Unset("the auth endpoints are on the public listener"),
        "A listener for the auth endpoints alone: HOST:PORT or unix:PATH.",
    ),
];

const FORWARD_AUTH_CLIENT: &[Key] = &[
    key(
        "from",
        Type::OneOrMore(&Type::Text),
        Default::Required("from: [127.0.0.1/32]"),
        "Where the proxy asks from: CIDRs, or unix for unix sockets.",
    ),
    key(
        "proxy",
        Type::Choice(&[
            "nginx",
            "ingress-nginx",
            "nginx-gateway-fabric",
            "traefik",
            "caddy",
            "haproxy",
            "envoy",
        ]),
        Default::Required("proxy: nginx"),
        "What it is, which says in which headers it names the request; all others are ignored.",
    ),
];

const LIMITS: &[Key] = &[
    key(
        "header_bytes",
        Type::Size { least: KIB, most: MIB },
        Default::Is("32KiB"),
        "The head of a request, all fields together.",
    ),
    key(
        "target_bytes",
        Type::Size { least: 64, most: MIB },
        Default::Is("16KiB"),
        "The request target: path and query.",
    ),
    key(
        "header_count",
        Type::Count { least: 1, most: 1000 },
        Default::Is("100"),
        "Fields in the head of a request.",
    ),
    key(
        "connections",
        Type::Count { least: 1, most: 10_000_000 },
        Default::Is("20000"),
        "Open connections of clients; when reached, the longest idle one is closed for the next, and if all \
         have a request under way, the next one gets 503. Half the files that the process may open, if that \
         is less.",
    ),
    key(
        "connections_per_client",
        Type::Count { least: 1, most: 10_000_000 },
        Default::Unset("no limit"),
        "Open connections of one client address (IPv6: of one /64); one more gets 503. Trusted proxies and \
         peers on unix sockets are exempt.",
    ),
];

const TIMEOUTS: &[Key] = &[
    key(
        "request_headers",
        millis(100, HOUR),
        Default::Is("10s"),
        "From accept, TLS included, to the end of a request's head.",
    ),
    key(
        "request_body",
        millis(100, HOUR),
        Default::Is("30s"),
        "Without a byte of a request's body.",
    ),
    key("keep_alive", millis(0, HOUR), Default::Is("75s"), "Without a request on a connection."),
    key(
        "drain_delay",
        millis(0, 10 * MINUTE),
        Default::Is("0s"),
        "From the signal to stop until listeners close; /readyz already says 503.",
    ),
    key(
        "drain",
        millis(0, DAY - SECOND),
        Default::Is("30s"),
        "From then until requests that are still open are cut.",
    ),
];
