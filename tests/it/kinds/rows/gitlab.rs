//! GitLab: groups are in userinfo.

use crate::kinds::row::Row;

pub(in crate::kinds) const ROW: Row = Row {
    keys: "url: \"ORIGIN\"",
    authorization: &[("scope", Some("openid email profile"))],
    user: "1024",
    preferred_username: Some("alice"),
    groups: Some("staff,staff/wiki"),
    groups_after_move: Some("staff/wiki"),
    revocation: Some("POST /oauth/revoke"),
    ..Row::of("gitlab")
};
