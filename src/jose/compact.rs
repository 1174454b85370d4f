//! Parser of the compact serialization (RFC 7515 §7.1).
//! Invariant: each token has one spelling: three parts, unpadded base64url, no stray bits.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::jose::{Algorithm, Error, json};

/// The parts of a token, not verified yet.
pub(super) struct Compact<'t> {
    pub(super) header: Header,
    /// Header and payload as received, which the signature covers.
    pub(super) signing_input: &'t str,
    payload: &'t str,
    pub(super) signature: Vec<u8>,
}

/// The header of a token. `jwk`, `jku`, `x5u` and `x5c` are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `kid`: the ID of the key.
    pub kid: Option<String>,
    /// `typ`: the kind of token (RFC 8725 §3.11).
    pub typ: Option<String>,
}

impl<'t> Compact<'t> {
    pub(super) fn parse(token: &'t str) -> Result<Self, Error> {
        if token.len() > MAX_BYTES {
            return Err(Error::TooLarge);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(Error::NotCompact)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Error::NotCompact)?;
        // SECURITY: five parts are an encrypted token, which no client registration asks for (OIDC Core §3.1.3.7).
        match payload.matches('.').count() {
            0 => {}
            2 => return Err(Error::Encrypted),
            _ => return Err(Error::NotCompact),
        }
        Ok(Self {
            header: Header::parse(&decode(header)?)?,
            signing_input,
            payload,
            signature: decode(signature)?,
        })
    }

    /// The bytes of the payload. Call it only after the signature has been verified.
    pub(super) fn payload(&self) -> Result<Vec<u8>, Error> {
        decode(self.payload)
    }
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let members = json::object(bytes).map_err(|_| Error::Header)?;
        // SECURITY: a critical extension must be understood, and none is supported (RFC 7515 §4.1.11).
        if members.get("crit").is_some_and(|critical| !critical.is_null()) {
            return Err(Error::Critical);
        }
        let name = text(&members, "alg")?.ok_or(Error::Header)?;
        Ok(Self {
            algorithm: Algorithm::parse(&name).ok_or(Error::Algorithm)?,
            kid: text(&members, "kid")?,
            typ: text(&members, "typ")?,
        })
    }
}

/// A text in the header of a token that is not verified, for a message about it.
pub fn claimed_member(token: &str, name: &str) -> Option<String> {
    let (header, _) = token.split_once('.')?;
    let members = json::object(&decode(header).ok()?).ok()?;
    text(&members, name).ok()?
}

/// `exp` of a token that is not verified, in seconds since 1970, for a message about it.
pub fn claimed_expiry(token: &str) -> Option<i64> {
    let payload = token.split('.').nth(1)?;
    json::object(&decode(payload).ok()?).ok()?.get("exp")?.as_i64()
}

fn text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, Error> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::Header),
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Error::Encoding)
}

/// The longest accepted token. Usual ones have a few KiB; with many groups, tens of KiB.
const MAX_BYTES: usize = 256 * 1024;
