//! Auth0: an issuer with a slash at its end, and groups in a claim that an Action adds.

use crate::kinds::row::{Refresh, Row};

pub(in crate::kinds) const ROW: Row = Row {
    keys: "issuer: \"ORIGIN/\", claims: { groups: \"https://example.com/groups\", preferred_username: nickname }",
    authorization: &[("scope", Some("openid email profile offline_access"))],
    user: "auth0|5f7c8ec7c33c6c004bbafe82",
    preferred_username: Some("alice"),
    groups: Some("staff,wiki"),
    groups_after_move: Some("wiki"),
    refresh: Refresh::Stays,
    sign_out: Some(("/oidc/logout", &["client_id", "id_token_hint", "post_logout_redirect_uri"])),
    revocation: Some("POST /oauth/revoke"),
    ..Row::of("auth0")
};
