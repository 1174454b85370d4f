//! Google: one Workspace domain, and accounts that do not belong to it. Groups by Cloud Identity.

use crate::kinds::row::{Cut, Deviation, Outcome, Refresh, Rest, Row};

pub(in crate::kinds) const ROW: Row = Row {
    keys: WITH_GROUPS,
    authorization: &[
        ("scope", Some("openid email profile")),
        ("access_type", Some("offline")),
        ("hd", Some("example.com")),
        ("prompt", None),
    ],
    user: "110169484474386276334",
    groups: Some("staff@example.com,everyone@example.com"),
    groups_after_move: Some("everyone@example.com"),
    refresh: Refresh::Stays,
    revocation: Some("POST /revoke"),
    lists: &["GET /v1/groups/-/memberships:searchTransitiveGroups"],
    cut: &[Cut { variant: "free_tier", rest: Rest::Nothing }],
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
            what: "without a service account",
            at: "google",
            variants: &[],
            keys: OF_DOMAIN,
            outcome: Outcome::SignedIn { email: Some("alice@example.com"), groups: None },
        },
        Deviation {
            what: "with a user of no group",
            at: "google",
            variants: &["no_groups"],
            keys: WITH_GROUPS,
            outcome: Outcome::SignedIn { email: Some("alice@example.com"), groups: None },
        },
        Deviation {
            what: "with an address that is not verified, which may be of another user",
            at: "google",
            variants: &["unverified"],
            keys: WITH_GROUPS,
            outcome: Outcome::SignedIn { email: None, groups: None },
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

const WITH_GROUPS: &str =
    "issuer: \"ORIGIN\", hosted_domain: example.com, service_account: /etc/account.json";
const OF_DOMAIN: &str = "issuer: \"ORIGIN\", hosted_domain: example.com";
