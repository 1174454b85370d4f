//! Keycloak: groups by a mapper, and roles in the access token.

use crate::kinds::row::{Deviation, Outcome, Refresh, Row};

pub(in crate::kinds) const ROW: Row = Row {
    keys: "issuer: \"ORIGIN/realms/main\"",
    authorization: &[("scope", Some("openid email profile"))],
    user: "f7a5e8f1-6f1c-4a36-8b4b-3c7b4b0c5a11",
    preferred_username: Some("alice"),
    groups: Some("/staff,/wiki/editors"),
    groups_after_move: Some("/wiki/editors"),
    refresh: Refresh::Stays,
    sign_out: Some((
        "/realms/main/protocol/openid-connect/logout",
        &["client_id", "id_token_hint", "post_logout_redirect_uri"],
    )),
    revocation: Some("POST /realms/main/protocol/openid-connect/revoke"),
    deviations: &[
        Deviation {
            what: "with roles of the access token",
            at: "keycloak",
            variants: &[],
            keys: ROLES,
            outcome: Outcome::SignedIn {
                email: Some("alice@example.com"),
                groups: Some("staff,offline_access"),
            },
        },
        Deviation {
            what: "with an access token without roles",
            at: "keycloak",
            variants: &["lightweight"],
            keys: ROLES,
            outcome: Outcome::SignedIn { email: Some("alice@example.com"), groups: None },
        },
    ],
    ..Row::of("keycloak")
};

const ROLES: &str =
    "issuer: \"ORIGIN/realms/main\", claims: { groups: \"access_token:/realm_access/roles\" }";
