//! Any OAuth 2.0 provider, by its endpoints and by pointers into its profile.

use crate::kinds::row::{Deviation, Outcome, Row};

pub(in crate::kinds) const ROW: Row = Row {
    keys: "scopes: [profile], endpoints: { authorization: \"ORIGIN/authorize\", token: \"ORIGIN/token\", \
           userinfo: \"ORIGIN/api/me\", revocation: \"ORIGIN/revoke\" }, \
           claims: { user: /data/uid, email: /data/mail, groups: /data/teams/*/name, \
           preferred_username: /data/handle }",
    authorization: &[("scope", Some("profile")), ("nonce", None)],
    user: "1042",
    // Nothing says that the address is verified.
    email: None,
    preferred_username: Some("alice"),
    groups: Some("staff,wiki"),
    profile: Some("GET /api/me"),
    groups_after_move: Some("wiki"),
    revocation: Some("POST /revoke"),
    deviations: &[Deviation {
        what: "at a provider with addresses and groups in an API",
        at: "github",
        variants: &[],
        keys: "endpoints: { authorization: \"ORIGIN/login/oauth/authorize\", \
               token: \"ORIGIN/login/oauth/access_token\", userinfo: \"ORIGIN/api/v3/user\" }, \
               scopes: [\"read:org\", \"user:email\"], claims: { user: id }",
        outcome: Outcome::SignedIn { email: None, groups: None },
    }],
    ..Row::of("oauth2")
};
