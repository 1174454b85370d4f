//! GitHub: an OAuth App, and where refresh tokens matter a GitHub App.

use crate::kinds::row::{Deviation, Outcome, Refresh, Row};

pub(in crate::kinds) const ROW: Row = Row {
    keys: "endpoints: { authorization: \"ORIGIN/login/oauth/authorize\", \
           token: \"ORIGIN/login/oauth/access_token\", userinfo: \"ORIGIN/api/v3/user\" }",
    authorization: &[("scope", Some("read:org user:email")), ("nonce", None)],
    // The login can be renamed, and another user can take it.
    user: "583231",
    preferred_username: Some("alice"),
    groups: Some("example,wiki,example:staff,wiki:editors"),
    groups_after_move: Some("wiki"),
    refreshing: &["app"],
    revocation: Some("DELETE /api/v3/applications/wiki.example/token"),
    lists: &["GET /api/v3/user/orgs", "GET /api/v3/user/teams"],
    deviations: &[Deviation {
        what: "after its user was renamed, at a server of its own",
        at: "github",
        variants: &["renamed"],
        keys: OWN,
        outcome: Outcome::SignedIn {
            // A server of one's own says of each address that it is verified.
            email: None,
            groups: Some("example,wiki,example:staff,wiki:editors"),
        },
    }],
    refresh: Refresh::Rotates,
    ..Row::of("github")
};

const OWN: &str = "url: \"ORIGIN\"";
