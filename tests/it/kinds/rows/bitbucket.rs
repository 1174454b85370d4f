//! Bitbucket Cloud: workspaces, and the permission in one of them.

use crate::kinds::row::{Refresh, Row};

pub(in crate::kinds) const ROW: Row = Row {
    keys: "workspaces: [example], endpoints: { authorization: \"ORIGIN/site/oauth2/authorize\", \
           token: \"ORIGIN/site/oauth2/access_token\", userinfo: \"ORIGIN/2.0/user\" }",
    authorization: &[("scope", Some("account email")), ("nonce", None)],
    // Names can be changed.
    user: "{a54f16da-24e9-4d7f-a3a7-b1ba2cd98aa3}",
    preferred_username: Some("alice"),
    groups: Some("example,wiki,example:owner"),
    groups_after_move: Some("wiki"),
    refresh: Refresh::Stays,
    lists: &["GET /2.0/user/workspaces"],
    unpaged: &["GET /2.0/user/workspaces/example/permission"],
    ..Row::of("bitbucket")
};
