//! Dex: without sessions of its own, so that sign-out ends here.

use crate::kinds::row::Row;

pub(in crate::kinds) const ROW: Row = Row {
    keys: "issuer: \"ORIGIN/dex\"",
    authorization: &[("scope", Some("openid email profile groups offline_access"))],
    user: "CgVhbGljZRIFbG9jYWw",
    preferred_username: Some("alice"),
    groups: Some("staff,wiki"),
    groups_after_move: Some("wiki"),
    ..Row::of("dex")
};
