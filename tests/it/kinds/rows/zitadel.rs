//! Zitadel: claims are in userinfo, and roles are keys of an object.

use crate::kinds::row::Row;

pub(in crate::kinds) const ROW: Row = Row {
    keys: "issuer: \"ORIGIN\"",
    authorization: &[(
        "scope",
        Some("openid email profile offline_access urn:zitadel:iam:org:projects:roles"),
    )],
    user: "170086824411201793",
    preferred_username: Some("alice@example.com"),
    groups: Some("staff,wiki"),
    groups_after_move: Some("wiki"),
    sign_out: Some((
        "/oidc/v1/end_session",
        &["client_id", "id_token_hint", "post_logout_redirect_uri"],
    )),
    revocation: Some("POST /oauth/v2/revoke"),
    ..Row::of("zitadel")
};
