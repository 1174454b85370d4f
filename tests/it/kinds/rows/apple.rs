//! Apple: a posted response, a client secret made from a key, claims as texts, and no refreshes.

use crate::kinds::row::{ClientProof, Deviation, Outcome, Refresh, Row};

pub(in crate::kinds) const ROW: Row = Row {
    credentials: "client_key: /etc/client_key.pem, team_id: TEAM012345, key_id: KEY0123456",
    public_url: "https://wiki.example.com",
    authorization: &[
        ("scope", Some("openid email name")),
        ("response_mode", Some("form_post")),
        ("prompt", None),
    ],
    client: ClientProof::Post,
    user: "001234.4bbfb4b3ab4a4d6e8f2f.0731",
    // It has refresh tokens, for `session.recheck`.
    refresh: Refresh::Never,
    revocation: Some("POST /auth/revoke"),
    deviations: &[Deviation {
        what: "with a user who hides the address",
        at: "apple",
        variants: &["relay"],
        keys: "issuer: \"ORIGIN\"",
        outcome: Outcome::SignedIn {
            email: Some("dpdcnf87nu@privaterelay.appleid.com"),
            groups: None,
        },
    }],
    ..Row::of("apple")
};
