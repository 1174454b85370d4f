//! An ID Token that is signed again, so that faults can change any part of it: header, claims, payload, key, and
//! the finished text.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::RsaPublicKeyComponents;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis::demo::Keyring;
use portcullis::jose::{Algorithm, SigningKey, sign_hs256};
use serde_json::{Map, Value, json};

/// A token in the making.
#[derive(Debug)]
pub(crate) struct Draft {
    /// `alg` and `kid` come from the signer unless they are here; `null` leaves one out.
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    /// Makes the payload of the claims.
    pub(super) payload: fn(&Map<String, Value>) -> Vec<u8>,
    pub(super) signer: Signer,
    /// Works on the finished text; `None` leaves the token out of the answer.
    pub(super) finish: fn(String) -> Option<String>,
}

/// The key of a signature.
#[derive(Clone, Debug)]
pub(crate) enum Signer {
    /// The provider's usual key.
    Main,
    /// The published key for another algorithm.
    Published(Algorithm),
    /// The key published for encryption.
    Encryption,
    /// A key that is published nowhere.
    Attacker,
    /// HMAC with this secret.
    Secret(Vec<u8>),
    /// No signature at all.
    None,
}

impl Draft {
    /// Of the provider's own token.
    pub(super) fn of(token: &str) -> Self {
        let payload = token.split('.').nth(1).unwrap();
        Self {
            header: Map::from_iter([("typ".to_owned(), json!("JWT"))]),
            claims: serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap(),
            payload: |claims| json!(claims).to_string().into_bytes(),
            signer: Signer::Main,
            finish: Some,
        }
    }

    /// Another member of the header.
    pub(super) fn head(&mut self, name: &str, value: Value) {
        self.header.insert(name.to_owned(), value);
    }

    /// Another value of a claim.
    pub(super) fn claim(&mut self, name: &str, value: Value) {
        self.claims.insert(name.to_owned(), value);
    }

    /// Signs and finishes.
    pub(super) fn sign(self, keys: &mut Keyring, attacker: &SigningKey) -> Option<String> {
        let payload = (self.payload)(&self.claims);
        let published;
        let key = match &self.signer {
            Signer::Main => keys.main(),
            Signer::Published(algorithm) => {
                published = keys.signer(*algorithm).unwrap();
                &published
            }
            Signer::Encryption => keys.encryption(),
            Signer::Attacker => attacker,
            Signer::Secret(secret) => {
                let header = header(self.header, "HS256", keys.main());
                return (self.finish)(sign_hs256(secret, &header, &payload));
            }
            Signer::None => {
                let header = header(self.header, "none", keys.main()).to_string();
                let [header, payload] = [header.into_bytes(), payload].map(|part| encode(&part));
                return (self.finish)(format!("{header}.{payload}."));
            }
        };
        let header = header(self.header, key.algorithm().name(), key);
        (self.finish)(key.sign_with_header(&header, &payload).unwrap())
    }
}

fn header(mut members: Map<String, Value>, algorithm: &str, key: &SigningKey) -> Value {
    members.entry("alg").or_insert_with(|| json!(algorithm));
    members.entry("kid").or_insert_with(|| json!(key.kid()));
    members.retain(|_, value| !value.is_null());
    Value::Object(members)
}

/// The same token with its signature rewritten.
pub(super) fn with_signature(token: &str, rewrite: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let (rest, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    format!("{rest}.{}", encode(&rewrite(signature)))
}

/// A raw ECDSA signature as `SEQUENCE { INTEGER r, INTEGER s }`, the form that JOSE does not use.
pub(super) fn der_signature(raw: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| [&[0x02, half.len() as u8 + 1, 0], half].concat();
    let (r, s) = raw.split_at(raw.len() / 2);
    let content = [integer(r), integer(s)].concat();
    [vec![0x30, content.len() as u8], content].concat()
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An RSA key as a PEM text, which a confused verifier may take for an HMAC secret; empty for any other key.
pub(super) fn pem_of(key: &SigningKey) -> String {
    let jwk = key.public_jwk();
    let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok();
    let (Some(n), Some(e)) = (member("n"), member("e")) else { return String::new() };
    let der: PublicKeyX509Der<'_> = RsaPublicKeyComponents { n, e }.as_der().unwrap();
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    for (index, character) in STANDARD.encode(der.as_ref()).chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str("\n-----END PUBLIC KEY-----\n");
    pem
}
