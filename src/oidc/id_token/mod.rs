//! Verification of ID tokens.
//! Invariant: a `VerifiedIdToken` is made only here, from a token with a verified signature that obeys every rule
//! below.
//! Source: OpenID Connect Core §2, §3.1.3.7 (in its order), §3.1.3.8 and, after a refresh, §12.2.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::clock::UnixTime;
use crate::identity::refresh_baseline::IdTokenBinding;
use crate::jose::{Algorithm, Verified};
use crate::oidc::claimed::shortened;
use crate::oidc::error::{LEEWAY, Times, Violation};
use crate::secret::Secret;

/// Whether ID tokens with this signature algorithm are accepted.
pub fn is_accepted(algorithm: &str) -> bool {
    Algorithm::parse(algorithm).is_some()
}

/// The names of the accepted signature algorithms.
pub fn accepted_algorithms() -> [&'static str; Algorithm::ALL.len()] {
    Algorithm::ALL.map(Algorithm::name)
}

/// Expected values of an ID token.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The `client_id`.
    pub client_id: &'a str,
    /// The access token of the same response.
    pub access_token: &'a Secret,
    /// Why the token was issued.
    pub occasion: Occasion<'a>,
}

/// Why an ID token was issued.
#[derive(Clone, Copy, Debug)]
pub enum Occasion<'a> {
    /// A sign-in (§3.1.3.7).
    SignIn {
        /// The `nonce` of the authorization request.
        nonce: &'a str,
        /// Whether the provider, by its kind, leaves it out.
        nonce_may_be_absent: bool,
        /// Its `max_age`, in seconds.
        max_age: Option<i64>,
    },
    /// A refresh (§12.2).
    Refresh {
        /// The ID token of the sign-in.
        binding: &'a IdTokenBinding,
    },
}

/// The claims of a valid ID token.
#[derive(Clone, Debug)]
pub struct VerifiedIdToken {
    binding: IdTokenBinding,
    claims: Map<String, Value>,
}

impl VerifiedIdToken {
    /// `sub`.
    pub fn subject(&self) -> &str {
        &self.binding.subject
    }

    /// The values that later ID tokens of this sign-in must have, and all claims.
    pub fn into_parts(self) -> (IdTokenBinding, Map<String, Value>) {
        (self.binding, self.claims)
    }
}

/// Checks every rule, except the signature (6. to 8.), which is verified. Encrypted tokens (1.) were rejected with
/// the signature, because this client does not register for them.
pub(super) fn verify(
    verified: Verified,
    issuer: &str,
    now: UnixTime,
    expected: &Expected<'_>,
) -> Result<VerifiedIdToken, Violation> {
    let claims = Claims(&verified.claims);
    // SECURITY: a logout token or an access token of the same issuer is not an ID token.
    if let Some(typ) = verified.header.typ.as_deref().filter(|typ| is_another_kind(typ)) {
        return Err(Violation::Type { found: shortened(typ) });
    }
    check_issuer(&claims, issuer)?;
    let audience = check_audience(&claims, expected.client_id)?;
    // 4. Several audiences need `azp`. 5. `azp` is the client_id.
    match claims.optional_text("azp")? {
        None if audience.len() > 1 => {
            return Err(Violation::NoAuthorizedParty { audience: in_message(&audience) });
        }
        Some(party) if party != expected.client_id => {
            let (found, client_id) = (shortened(party), expected.client_id.to_owned());
            return Err(Violation::AuthorizedParty { found, client_id });
        }
        None | Some(_) => {}
    }
    check_times(&claims, now)?;
    let binding = IdTokenBinding {
        subject: claims.subject()?.into(),
        nonce: check_nonce(claims.optional_text("nonce")?, expected.occasion)?.to_owned(),
        // 12. `acr_values` is voluntary (§3.1.2.1): the provider can ignore it.
        auth_time: check_auth_time(claims.optional_number("auth_time")?, now, expected.occasion)?,
    };
    if let Some(hash) = claims.optional_text("at_hash")? {
        check_access_token_hash(hash, verified.header.algorithm, expected.access_token)?;
    }
    let binding = match expected.occasion {
        Occasion::SignIn { .. } => binding,
        Occasion::Refresh { binding: first } => check_refreshed(binding, first)?,
    };
    Ok(VerifiedIdToken { binding, claims: verified.claims })
}

/// 2. `iss` is exactly the issuer.
pub(super) fn check_issuer(claims: &Claims<'_>, issuer: &str) -> Result<(), Violation> {
    match claims.text("iss")? {
        found if found == issuer => Ok(()),
        found => Err(Violation::Issuer { found: shortened(found), issuer: issuer.to_owned() }),
    }
}

/// 3. `aud` has the client_id. Returns `aud`.
pub(super) fn check_audience(
    claims: &Claims<'_>,
    client_id: &str,
) -> Result<Vec<String>, Violation> {
    let audience = claims.audience()?;
    if audience.iter().any(|one| one == client_id) {
        return Ok(audience);
    }
    Err(Violation::Audience { found: in_message(&audience), client_id: client_id.to_owned() })
}

/// 9. `exp` is in the future. 10. `iat` and `nbf` are not. All within the leeway.
pub(super) fn check_times(claims: &Claims<'_>, now: UnixTime) -> Result<(), Violation> {
    check_validity(claims, now)?;
    match claims.number("iat")? {
        iat if is_in_future(iat, now) => Err(Violation::IssuedInFuture(times(claims, iat, now))),
        _ => Ok(()),
    }
}

/// `exp` is in the future, and `nbf` is not if it is present. All within the leeway.
pub(super) fn check_validity(claims: &Claims<'_>, now: UnixTime) -> Result<(), Violation> {
    match claims.number("exp")? {
        exp if exp.saturating_add(LEEWAY) <= now.0 => {
            return Err(Violation::Expired(times(claims, exp, now)));
        }
        _ => {}
    }
    match claims.optional_number("nbf")? {
        Some(nbf) if is_in_future(nbf, now) => Err(Violation::NotYet(times(claims, nbf, now))),
        None | Some(_) => Ok(()),
    }
}

fn is_in_future(time: i64, now: UnixTime) -> bool {
    time.saturating_sub(LEEWAY) > now.0
}

fn times(claims: &Claims<'_>, claim: i64, now: UnixTime) -> Times {
    let issued = claims.optional_number("iat").ok().flatten().map(UnixTime);
    Times { claim: UnixTime(claim), issued, now }
}

/// The beginning of a list of audiences, for a message.
fn in_message(audience: &[String]) -> Vec<String> {
    audience.iter().take(5).map(|one| shortened(one)).collect()
}

/// 11. `nonce` is that of the authorization request. After a refresh it can be absent, but not different (§12.2).
fn check_nonce<'a>(found: Option<&'a str>, occasion: Occasion<'a>) -> Result<&'a str, Violation> {
    match (found, occasion) {
        (Some(found), Occasion::SignIn { nonce, .. }) if found == nonce => Ok(nonce),
        (Some(found), Occasion::Refresh { binding }) if found == binding.nonce => Ok(found),
        (None, Occasion::Refresh { binding }) => Ok(&binding.nonce),
        (None, Occasion::SignIn { nonce, nonce_may_be_absent: true, .. }) => Ok(nonce),
        (Some(_), Occasion::SignIn { .. } | Occasion::Refresh { .. })
        | (None, Occasion::SignIn { .. }) => Err(Violation::Nonce),
    }
}

/// 13. With a requested `max_age`, `auth_time` is present and not older than that, within the leeway.
// SECURITY: a visitor can remove `max_age` from the request, which goes through the browser.
fn check_auth_time(
    found: Option<i64>,
    now: UnixTime,
    occasion: Occasion<'_>,
) -> Result<Option<i64>, Violation> {
    let Occasion::SignIn { max_age: Some(max_age), .. } = occasion else { return Ok(found) };
    let oldest = now.0.saturating_sub(max_age).saturating_sub(LEEWAY);
    match found {
        Some(time) if time >= oldest => Ok(found),
        None | Some(_) => Err(Violation::AuthTime { found: found.map(UnixTime), max_age, now }),
    }
}

/// `at_hash` is the left half of the hash of the access token, with the hash of the signature algorithm (§3.1.3.8).
fn check_access_token_hash(
    found: &str,
    algorithm: Algorithm,
    access_token: &Secret,
) -> Result<(), Violation> {
    let hash = match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => &digest::SHA256,
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &digest::SHA384,
        // Ed25519 uses SHA-512, and so does OpenID Connect for it.
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::ES512 | Algorithm::EdDSA => {
            &digest::SHA512
        }
    };
    let hash = digest::digest(hash, access_token.expose().as_bytes());
    let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    if URL_SAFE_NO_PAD.encode(left) == found { Ok(()) } else { Err(Violation::AccessTokenHash) }
}

/// §12.2: the same user, and no older sign-in. (`iss`, `aud` and `azp` were checked as at a sign-in: a provider
/// may add an audience.) Returns the binding of the sign-in, to compare the next refresh with.
fn check_refreshed(
    refreshed: IdTokenBinding,
    first: &IdTokenBinding,
) -> Result<IdTokenBinding, Violation> {
    // SECURITY: a session must not change to another user.
    if refreshed.subject != first.subject {
        return Err(Violation::OtherSubject);
    }
    // It is later if another client of the same browser asked the user to sign in again.
    match (refreshed.auth_time, first.auth_time) {
        (Some(again), Some(before)) if again < before => Err(Violation::EarlierAuthTime),
        (Some(_) | None, Some(_) | None) => Ok(first.clone()),
    }
}

/// An explicit type (`at+jwt`, `logout+jwt`, …) is never that of an ID token.
fn is_another_kind(typ: &str) -> bool {
    typ.to_ascii_lowercase().ends_with("+jwt")
}

/// Claims by name and type. Null counts as absent.
pub(super) struct Claims<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Claims<'a> {
    pub(super) fn find(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn optional_text(&self, name: &'static str) -> Result<Option<&'a str>, Violation> {
        let text = |value: &'a Value| value.as_str().ok_or(wrong_type(name, value, "a text"));
        self.find(name).map(text).transpose()
    }

    pub(super) fn text(&self, name: &'static str) -> Result<&'a str, Violation> {
        self.optional_text(name)?.ok_or(Violation::Absent(name))
    }

    /// A `NumericDate` (RFC 7519 §2) in whole seconds.
    // SECURITY: `1e300` must not wrap into the past or the future: the cast saturates.
    fn optional_number(&self, name: &'static str) -> Result<Option<i64>, Violation> {
        let seconds = |value: &Value| value.as_i64().or_else(|| Some(value.as_f64()? as i64));
        let number = |value| seconds(value).ok_or(wrong_type(name, value, "a number"));
        self.find(name).map(number).transpose()
    }

    pub(super) fn number(&self, name: &'static str) -> Result<i64, Violation> {
        self.optional_number(name)?.ok_or(Violation::Absent(name))
    }

    /// `sub`: at least one and at most 255 bytes (§2).
    pub(super) fn subject(&self) -> Result<&'a str, Violation> {
        let subject = self.text("sub")?;
        match subject.len() {
            1..=255 => Ok(subject),
            length => Err(Violation::SubjectLength { length }),
        }
    }

    /// `aud`: one string or a list of strings; sorted, without duplicates.
    pub(super) fn audience(&self) -> Result<Vec<String>, Violation> {
        let one = |value: &Value| value.as_str().map(str::to_owned);
        let value = self.find("aud").ok_or(Violation::Absent("aud"))?;
        let audience: Option<Vec<String>> = match value.as_array() {
            Some(list) => list.iter().map(one).collect(),
            None => one(value).map(|only| vec![only]),
        };
        let mut audience =
            audience.ok_or(wrong_type("aud", value, "a text, or a list with texts only"))?;
        audience.sort_unstable();
        audience.dedup();
        Ok(audience)
    }
}

fn wrong_type(claim: &'static str, value: &Value, expected: &'static str) -> Violation {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Violation::WrongType { claim, found, expected }
}

#[cfg(test)]
mod tests;
