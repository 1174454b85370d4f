//! AD FS: no e-mail address that is verified, and groups by an issuance rule.

use crate::kinds::row::{Refresh, Row};

pub(in crate::kinds) const ROW: Row = Row {
    keys: "issuer: \"ORIGIN/adfs\", resource: \"https://wiki.example/\"",
    authorization: &[
        ("scope", Some("openid email profile")),
        ("resource", Some("https://wiki.example/")),
    ],
    user: "7gN2rJr6pX3jqGm1oTj0xg==",
    email: None,
    preferred_username: Some("alice@corp.example.com"),
    groups: Some("Staff,Wiki"),
    groups_after_move: Some("Wiki"),
    refresh: Refresh::Stays,
    sign_out: Some((
        "/adfs/oauth2/logout",
        &["client_id", "id_token_hint", "post_logout_redirect_uri"],
    )),
    ..Row::of("adfs")
};
