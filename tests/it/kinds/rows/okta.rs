//! Okta: a custom authorization server.

use crate::kinds::row::{Cut, Rest, Row};

pub(in crate::kinds) const ROW: Row = Row {
    keys: "issuer: \"ORIGIN/oauth2/default\"",
    authorization: &[("scope", Some("openid email profile offline_access"))],
    user: "00uid4BxXw6I6TV4m0g3",
    preferred_username: Some("alice@example.com"),
    groups: Some("Everyone,Staff"),
    groups_after_move: Some("Everyone"),
    sign_out: Some((
        "/oauth2/default/v1/logout",
        &["client_id", "id_token_hint", "post_logout_redirect_uri"],
    )),
    revocation: Some("POST /oauth2/default/v1/revoke"),
    // Okta sends no more, and does not say that there are more.
    cut: &[Cut { variant: "cut", rest: Rest::Groups(100) }],
    ..Row::of("okta")
};
