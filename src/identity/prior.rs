//! What is kept of a sign-in, for the claims of a refresh to be compared with (OIDC Core §12.2).

use std::sync::Arc;

use super::claim_set::ClaimSet;

/// What a refresh must know of the sign-in before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prior {
    /// What later ID tokens must have in common with the first.
    pub original: Original,
    /// Where userinfo was asked: the ID token's own claims, without userinfo's, so that a claim that
    /// userinfo says no more does not live on. A refresh then asks again.
    pub beside_userinfo: Option<ClaimSet>,
}

/// What a refreshed ID token must have in common with that of the sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// `sub`.
    pub subject: Arc<str>,
    /// `aud`, sorted.
    pub audience: Vec<String>,
    /// `nonce`.
    pub nonce: String,
    /// `auth_time`, where it was said.
    pub auth_time: Option<i64>,
}
