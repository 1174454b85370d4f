//! The compact serialization (RFC 7515 §7.1), taken apart.
//! Invariant: there is one way to write each token: three parts, unpadded base64url, no stray bits.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{Algorithm, Error, json};

/// A token in its parts, of which nothing is believed yet.
pub(super) struct Compact<'t> {
    pub(super) header: Header,
    /// Header and payload as they were sent: what the signature covers.
    pub(super) signing_input: &'t str,
    payload: &'t str,
    pub(super) signature: Vec<u8>,
}

/// What a token says about its own signature. `jwk`, `jku`, `x5u` and `x5c` have no place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `kid`: the name of the key.
    pub kid: Option<String>,
    /// `typ`: what kind of token this is (RFC 8725 §3.11).
    pub typ: Option<String>,
}

impl<'t> Compact<'t> {
    pub(super) fn parse(token: &'t str) -> Result<Self, Error> {
        if token.len() > MAX_BYTES {
            return Err(Error::TooLarge);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(Error::NotCompact)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Error::NotCompact)?;
        // SECURITY: five parts are an encrypted token, which was not agreed upon (OIDC Core §3.1.3.7).
        if payload.contains('.') {
            return Err(Error::NotCompact);
        }
        Ok(Self {
            header: Header::parse(&decode(header)?)?,
            signing_input,
            payload,
            signature: decode(signature)?,
        })
    }

    /// The payload's bytes; to be called only after the signature has been checked.
    pub(super) fn payload(&self) -> Result<Vec<u8>, Error> {
        decode(self.payload)
    }
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let members = json::object(bytes).map_err(|_| Error::Header)?;
        // SECURITY: a critical extension must be understood, and we understand none (RFC 7515 §4.1.11).
        if members.contains_key("crit") {
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

fn text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, Error> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::Header),
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Error::Encoding)
}

/// The longest token that is read. Real ones have some kilobytes, with many groups some tens.
const MAX_BYTES: usize = 256 * 1024;
