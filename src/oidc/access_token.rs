//! Verification of access tokens that are JWTs, for the claims in them: Keycloak has roles only there.
//! Invariant: the claims are returned only of a token with a verified signature that obeys every rule below. The client
//! received it from the token endpoint in this response, so its `aud`, an API, and its `typ` are not looked at.
//! Source: RFC 9068 §2.2 for the claims, which most providers follow in part only.

use serde_json::{Map, Value};

use crate::clock::UnixTime;
use crate::jose::Verified;
use crate::oidc::claimed::shortened;
use crate::oidc::error::Violation;
use crate::oidc::id_token::{Claims, check_issuer, check_validity};

/// The claims of the token, if it is valid, of this issuer, and for this client where it names one.
pub(super) fn verify(
    verified: Verified,
    issuer: &str,
    now: UnixTime,
    client_id: &str,
) -> Result<Map<String, Value>, Violation> {
    let claims = Claims(&verified.claims);
    check_issuer(&claims, issuer)?;
    check_validity(&claims, now)?;
    // SECURITY: a provider may issue a token to another client of the same user, whose roles are not meant for this one.
    for claim in ["azp", "client_id"] {
        match claims.optional_text(claim)? {
            Some(found) if found != client_id => {
                let (found, client_id) = (shortened(found), client_id.to_owned());
                return Err(Violation::OtherClient { claim, found, client_id });
            }
            None | Some(_) => {}
        }
    }
    Ok(verified.claims)
}
