//! The keys of `session:`.

use super::{DAY, Default, KIB, Key, MIB, SECOND, Type, key, millis};

pub(super) const KEYS: &[Key] = &[
    key(
        "lifetime",
        millis(SECOND, 400 * DAY),
        Default::Is("12h"),
        "The absolute end, from sign-in; a refresh does not move it.",
    ),
    key(
        "idle_timeout",
        millis(SECOND, 400 * DAY),
        Default::Unset("none"),
        "The end after this long without a request.",
    ),
    key(
        "refresh_before",
        millis(0, DAY),
        Default::Is("60s"),
        "Refresh when the access token has less than this left, or half of its life if shorter.",
    ),
    key(
        "outage_grace",
        millis(0, 7 * DAY),
        Default::Is("5m"),
        "Go on this long after expiry while the token endpoint cannot be reached.",
    ),
    key("cookie", Type::Section(COOKIE), Default::Unset("all defaults"), "The session cookie."),
    key(
        "max_sessions",
        Type::Count { least: 1, most: 100_000_000 },
        Default::Is("100000"),
        "Sessions in all; when full, a long-unused one leaves.",
    ),
    key(
        "max_sessions_per_user",
        Type::Count { least: 1, most: 100_000_000 },
        Default::Is("1000"),
        "Sessions of one person.",
    ),
    key(
        "max_bytes",
        Type::Size { least: KIB, most: 64 * MIB },
        Default::Is("128KiB"),
        "Bytes of claims and tokens of one session; what nothing uses is dropped above it.",
    ),
    key(
        "secret",
        Type::OneOrMore(&Type::Secret),
        Default::Unset("made at start"),
        "Seals what leaves the process, newest first; `portcullis keygen` makes one.",
    ),
    key("store", Type::Choice(&["memory"]), Default::Is("memory"), "Where sessions are kept."),
];

const COOKIE: &[Key] = &[
    key(
        "name",
        Type::Text,
        Default::Unset("__Host-portcullis; __Secure-portcullis with a domain; portcullis for http"),
        "The name as it is sent.",
    ),
    key(
        "domain",
        Type::Text,
        Default::Unset("the host of public_url alone"),
        "Shares the session with every host in this domain.",
    ),
    key(
        "same_site",
        Type::Choice(&["lax", "none"]),
        Default::Is("lax"),
        "none sends the cookie from frames on other sites too.",
    ),
];
