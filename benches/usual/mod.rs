//! A usual session, and what a benchmark of sessions asks the kernel.

use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::Clock;
use portcullis::identity::claims::{ClaimNames, identity};
use portcullis::identity::refresh_baseline::{IdTokenBinding, RefreshBaseline};
use portcullis::oauth::token::TokenSet;
use portcullis::secret::Secret;
use portcullis::session::{SessionData, Tokens};
use serde_json::json;

/// The data of a session of the user with this number.
pub(crate) fn data(provider: &Arc<str>, number: usize, clock: &Clock) -> SessionData {
    let subject = format!("user-{number:032}");
    let claims = json!({
        "sub": subject, "email": format!("user-{number}@example.com"), "email_verified": true,
        "name": "A Usual Name", "preferred_username": format!("user-{number}"),
        "groups": ["staff", "wiki"], "iss": "https://id.example.com/realms/main", "aud": "wiki",
    });
    let claims = claims.as_object().cloned().unwrap_or_default();
    let tokens = Tokens::new(tokens(clock), Duration::from_secs(60));
    let identity = identity(provider, &ClaimNames::default(), true, claims).unwrap();
    SessionData::new(identity, baseline(&subject), tokens)
}

/// What a refresh is compared with.
pub(crate) fn baseline(subject: &str) -> RefreshBaseline {
    RefreshBaseline::of(IdTokenBinding {
        subject: subject.into(),
        nonce: "n".repeat(43),
        auth_time: Some(1_700_000_000),
    })
}

/// Tokens that are JWTs.
pub(crate) fn tokens(clock: &Clock) -> TokenSet {
    TokenSet {
        access_token: Secret::new("a".repeat(ACCESS_TOKEN)),
        requested_at: clock.moment(),
        expires_in: Some(Duration::from_secs(300)),
        refresh_token: Some(Secret::new("r".repeat(REFRESH_TOKEN))),
        id_token: Some(Secret::new("i".repeat(ID_TOKEN))),
    }
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    4096 * pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
}

/// Bytes of usual tokens, which are JWTs.
pub(crate) const ACCESS_TOKEN: usize = 1100;
pub(crate) const ID_TOKEN: usize = 1000;
pub(crate) const REFRESH_TOKEN: usize = 600;
