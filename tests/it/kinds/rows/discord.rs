//! Discord: guilds, and the roles in one of them.

use crate::kinds::row::{Deviation, Outcome, Row};

pub(in crate::kinds) const ROW: Row = Row {
    keys: "issuer: \"ORIGIN\", guilds: [\"81384788765712384\", \"99999999999999999\"], \
           endpoints: { userinfo: \"ORIGIN/api/oauth2/userinfo\" }",
    authorization: &[("scope", Some("openid identify email guilds guilds.members.read"))],
    user: "80351110224678912",
    preferred_username: Some("alice"),
    groups: Some(
        "81384788765712384,197038439483310086,81384788765712384:41771983423143936,\
         81384788765712384:41771983423143937",
    ),
    groups_after_move: Some("197038439483310086"),
    revocation: Some("POST /api/oauth2/token/revoke"),
    deviations: &[Deviation {
        what: "without guilds",
        at: "discord",
        variants: &[],
        keys: "issuer: \"ORIGIN\", endpoints: { userinfo: \"ORIGIN/api/oauth2/userinfo\" }",
        outcome: Outcome::SignedIn { email: Some("alice@example.com"), groups: None },
    }],
    unpaged: &["GET /api/users/@me/guilds", "GET /api/users/@me/guilds/81384788765712384/member"],
    ..Row::of("discord")
};
