//! Google: one Workspace domain, and accounts that do not belong to it.

use crate::kinds::row::{Deviation, Outcome, Refresh, Row};

pub(in crate::kinds) const ROW: Row = Row {
    keys: OF_DOMAIN,
    authorization: &[
        ("scope", Some("openid email profile")),
        ("access_type", Some("offline")),
        ("hd", Some("example.com")),
        ("prompt", None),
    ],
    user: "110169484474386276334",
    refresh: Refresh::Stays,
    revocation: Some("POST /revoke"),
    deviations: &[
        Deviation {
            what: "with a private account, although its address has the domain",
            at: "google",
            variants: &["private_account"],
            keys: OF_DOMAIN,
            outcome: Outcome::Failed,
        },
        Deviation {
            what: "with an account of another domain",
            at: "google",
            variants: &["other_domain"],
            keys: OF_DOMAIN,
            outcome: Outcome::Failed,
        },
        Deviation {
            what: "with an account of the second domain",
            at: "google",
            variants: &["other_domain"],
            keys: "issuer: \"ORIGIN\", hosted_domain: [example.com, example.net]",
            outcome: Outcome::SignedIn { email: Some("alice@example.com"), groups: None },
        },
        Deviation {
            what: "with a private account, and no domain",
            at: "google",
            variants: &["private_account"],
            keys: "issuer: \"ORIGIN\"",
            outcome: Outcome::SignedIn { email: Some("alice@example.com"), groups: None },
        },
        Deviation {
            what: "with the issuer of old tokens",
            at: "google",
            variants: &["old_issuer"],
            keys: OF_DOMAIN,
            outcome: Outcome::Failed,
        },
    ],
    ..Row::of("google")
};

const OF_DOMAIN: &str = "issuer: \"ORIGIN\", hosted_domain: example.com";
