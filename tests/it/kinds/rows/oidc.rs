//! Any OpenID Connect provider: nothing but the standards. What the other kinds know about their provider, this one
//! does not.

use crate::kinds::row::{Deviation, Outcome, Row};

pub(in crate::kinds) const ROW: Row = Row {
    authorization: &[
        ("scope", Some("openid email profile")),
        ("response_mode", None),
        ("access_type", None),
        ("prompt", None),
    ],
    user: "248289761001",
    preferred_username: Some("alice"),
    groups: Some("staff,wiki"),
    groups_after_move: Some("wiki"),
    sign_out: Some(("/end_session", &["client_id", "id_token_hint", "post_logout_redirect_uri"])),
    revocation: Some("POST /revoke"),
    deviations: &[
        Deviation {
            what: "at a provider that rejects PKCE",
            at: "linkedin",
            variants: &[],
            keys: LINKEDIN,
            outcome: Outcome::Failed,
        },
        Deviation {
            what: "at a provider whose ID tokens have no nonce",
            at: "linkedin",
            variants: &["takes_pkce"],
            keys: LINKEDIN,
            outcome: Outcome::Failed,
        },
        Deviation {
            what: "at a provider whose issuer has a placeholder",
            at: "entra",
            variants: &["common"],
            keys: "issuer: \"ORIGIN/common/v2.0\"",
            outcome: Outcome::Failed,
        },
        Deviation {
            what: "at a provider with another mark of verified addresses",
            at: "entra",
            variants: &["verified_domain"],
            keys: ENTRA,
            outcome: Outcome::SignedIn {
                email: None,
                groups: Some(
                    "0760b6cf-170e-4a14-91b3-4b78e0739963,3b2b0c93-acd8-4208-8eba-7a48db1cd4c0",
                ),
            },
        },
        Deviation {
            what: "at a provider that has groups elsewhere",
            at: "entra",
            variants: &["cut"],
            keys: ENTRA,
            outcome: Outcome::SignedIn { email: None, groups: None },
        },
        Deviation {
            what: "at a provider whose ID tokens name its issuer without a scheme",
            at: "google",
            variants: &["old_issuer"],
            keys: "issuer: \"ORIGIN\"",
            outcome: Outcome::Failed,
        },
    ],
    ..Row::of("oidc")
};

const LINKEDIN: &str = "issuer: \"ORIGIN/oauth\", token_endpoint_auth_method: client_secret_post";
const ENTRA: &str = "issuer: \"ORIGIN/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0\"";
