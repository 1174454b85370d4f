//! Facebook: no e-mail without a mark of verification, no refresh, no groups.

use crate::kinds::row::{ClientProof, Deviation, Outcome, Refresh, Row};

pub(in crate::kinds) const ROW: Row = Row {
    keys: "endpoints: { authorization: \"ORIGIN/v25.0/dialog/oauth\", \
           token: \"ORIGIN/v25.0/oauth/access_token\", userinfo: \"ORIGIN/v25.0/me\" }",
    authorization: &[("scope", Some("public_profile email")), ("nonce", None)],
    client: ClientProof::Post,
    user: "10150000000000001",
    email: None,
    refresh: Refresh::Never,
    profile: Some("GET /v25.0/me"),
    deviations: &[Deviation {
        what: "with addresses that are not verified, by the operator's choice",
        at: "facebook",
        variants: &[],
        keys: "require_email_verified: false, endpoints: { authorization: \"ORIGIN/v25.0/dialog/oauth\", \
               token: \"ORIGIN/v25.0/oauth/access_token\", userinfo: \"ORIGIN/v25.0/me\" }",
        outcome: Outcome::SignedIn { email: Some("alice@example.com"), groups: None },
    }],
    ..Row::of("facebook")
};
