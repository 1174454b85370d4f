//! LinkedIn: no nonce, no PKCE, no refresh token.

use crate::kinds::row::{ClientProof, Deviation, Outcome, Pkce, Refresh, Row};

pub(in crate::kinds) const ROW: Row = Row {
    keys: "issuer: \"ORIGIN/oauth\"",
    authorization: &[("scope", Some("openid email profile")), ("code_challenge_method", None)],
    client: ClientProof::Post,
    pkce: Pkce::None,
    user: "782bbtaQ",
    refresh: Refresh::Never,
    deviations: &[Deviation {
        what: "with the nonce of another sign-in",
        at: "linkedin",
        variants: &["wrong_nonce"],
        keys: "issuer: \"ORIGIN/oauth\"",
        outcome: Outcome::Failed,
    }],
    ..Row::of("linkedin")
};
