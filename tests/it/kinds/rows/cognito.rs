//! Amazon Cognito: another parameter for the way back from its sign-out.

use crate::kinds::row::{Refresh, Row};

pub(in crate::kinds) const ROW: Row = Row {
    keys: "issuer: \"ORIGIN/us-east-1_example\"",
    authorization: &[("scope", Some("openid email profile"))],
    user: "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    preferred_username: Some("alice"),
    groups: Some("staff,wiki"),
    groups_after_move: Some("wiki"),
    refresh: Refresh::Stays,
    sign_out: Some(("/logout", &["client_id", "logout_uri"])),
    revocation: Some("POST /oauth2/revoke"),
    ..Row::of("cognito")
};
