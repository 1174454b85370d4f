//! Microsoft Entra ID: one tenant, and several; e-mail addresses that are not verified, and groups by Graph.

use crate::kinds::row::{Cut, Deviation, Outcome, Rest, Row};

pub(in crate::kinds) const ROW: Row = Row {
    keys: OF_ONE,
    authorization: &[("scope", Some("openid email profile offline_access")), ("access_type", None)],
    user: "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
    preferred_username: Some("alice@example.com"),
    groups: Some(GROUPS),
    groups_after_move: Some("3b2b0c93-acd8-4208-8eba-7a48db1cd4c0"),
    sign_out: Some((
        "/common/oauth2/v2.0/logout",
        &["client_id", "id_token_hint", "post_logout_redirect_uri"],
    )),
    lists: &["GET /v1.0/me/transitiveMemberOf"],
    listing: &["cut"],
    cut: &[Cut { variant: "graph_rejects", rest: Rest::Nothing }],
    deviations: &[
        Deviation {
            what: "with a mark in place of the groups",
            at: "entra",
            variants: &["cut"],
            keys: OF_ONE,
            outcome: Outcome::SignedIn { email: Some("alice@example.com"), groups: Some(GROUPS) },
        },
        Deviation {
            what: "with the other mark in place of the groups",
            at: "entra",
            variants: &["cut_implicit"],
            keys: OF_ONE,
            outcome: Outcome::SignedIn { email: Some("alice@example.com"), groups: Some(GROUPS) },
        },
        Deviation {
            what: "with an address that the owner of its domain did not confirm",
            at: "entra",
            variants: &["unverified_domain"],
            keys: OF_ONE,
            outcome: Outcome::SignedIn { email: None, groups: Some(GROUPS) },
        },
        Deviation {
            what: "with several tenants",
            at: "entra",
            variants: &["organizations"],
            keys: OF_SEVERAL,
            outcome: Outcome::SignedIn { email: None, groups: Some(GROUPS) },
        },
        Deviation {
            what: "with several tenants, and a confirmed address",
            at: "entra",
            variants: &["organizations", "verified_domain"],
            keys: OF_SEVERAL,
            outcome: Outcome::SignedIn { email: Some("alice@example.com"), groups: Some(GROUPS) },
        },
        Deviation {
            what: "with a user of a tenant that is not allowed",
            at: "entra",
            variants: &["organizations", "other_tenant"],
            keys: OF_SEVERAL,
            outcome: Outcome::Failed,
        },
        Deviation {
            what: "with an issuer of another tenant than the user's",
            at: "entra",
            variants: &["organizations", "tenant_of_another"],
            keys: OF_BOTH,
            outcome: Outcome::Failed,
        },
        Deviation {
            what: "with a token of another tenant than the only one",
            at: "entra",
            variants: &["other_tenant"],
            keys: OF_ONE,
            outcome: Outcome::Failed,
        },
    ],
    ..Row::of("entra")
};

const OF_ONE: &str = "issuer: \"ORIGIN/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0\"";
const OF_SEVERAL: &str = "issuer: \"ORIGIN/organizations/v2.0\", \
                          allowed_tenants: [72f988bf-86f1-41af-91ab-2d7cd011db47]";
const OF_BOTH: &str = "issuer: \"ORIGIN/organizations/v2.0\", \
                       allowed_tenants: [72f988bf-86f1-41af-91ab-2d7cd011db47, 9122040d-6c67-4c5b-b112-36a304b66dad]";
const GROUPS: &str = "0760b6cf-170e-4a14-91b3-4b78e0739963,3b2b0c93-acd8-4208-8eba-7a48db1cd4c0";
