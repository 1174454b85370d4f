//! Signed tokens (RFC 7515): header and payload of any bytes, signed by a key of the set; and any token.
//! Invariants: what is accepted says exactly what was signed, by the algorithm and the key that the set allows;
//! a token that was changed in one character is rejected.

use std::sync::OnceLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::jose::{Algorithm, Error, KeySet, verify};
use serde_json::{Map, Value, json};

/// Takes `HEADER \n PAYLOAD`, or a whole token.
pub fn run(data: &[u8]) {
    if let Ok(token) = str::from_utf8(data) {
        no_other_key_signs(token);
    }
    if let Some(at) = data.iter().position(|byte| *byte == b'\n') {
        signed(&data[..at], &data[at + 1..]);
    }
}

/// No private key is known to the input, so that only published tokens verify with published keys.
fn no_other_key_signs(token: &str) {
    let keys = published();
    if verify(token, &keys.set, &Algorithm::ALL).is_ok() {
        assert!(keys.tokens.iter().any(|known| known == token), "a forgery is accepted: {token}");
    }
}

fn signed(header: &[u8], payload: &[u8]) {
    let token = sign(header, payload);
    let keys = ours();
    match verify(&token, keys, &Algorithm::ALL) {
        Ok(verified) => {
            let said: Value = serde_json::from_slice(header).unwrap();
            let of = |name| said.get(name).filter(|member| !member.is_null());
            assert!(matches!(of("alg").and_then(Value::as_str), Some("EdDSA" | "Ed25519")));
            assert!(of("crit").is_none(), "a critical extension is ignored: {said}");
            assert!(of("kid").is_none_or(|kid| kid == KID), "another key is named: {said}");
            assert_eq!(of("kid").and_then(Value::as_str), verified.header.kid.as_deref());
            assert_eq!(of("typ").and_then(Value::as_str), verified.header.typ.as_deref());
            let claims: Map<String, Value> = serde_json::from_slice(payload).unwrap();
            assert_eq!(claims, verified.claims);
            assert_eq!(error_of(&token, &[Algorithm::ES256]), Some(Error::Algorithm));
            changed_is_rejected(&token, header.len() + payload.len());
        }
        Err(Error::Signature | Error::KeySet | Error::SigningKey) => {
            panic!("a good signature is rejected as a wrong one: {token}")
        }
        // The fault is in header, payload or size, and shows with every key set.
        Err(error) => {
            let newer = matches!(error, Error::UnknownKey | Error::KeyMismatch);
            assert_eq!(error.may_verify_with_newer_keys(), newer);
        }
    }
}

/// One character, chosen by the input, becomes its neighbour in the alphabet.
fn changed_is_rejected(token: &str, turn: usize) {
    let mut bytes = token.as_bytes().to_vec();
    let at = turn % bytes.len();
    bytes[at] = match bytes[at] {
        b'.' => b'A',
        b'z' => b'0',
        b'9' => b'-',
        b'-' => b'_',
        b'Z' | b'_' => b'a',
        other => other + 1,
    };
    let changed = String::from_utf8(bytes).unwrap();
    assert!(error_of(&changed, &Algorithm::ALL).is_some(), "changed at {at}: {changed}");
}

fn error_of(token: &str, allowed: &[Algorithm]) -> Option<Error> {
    verify(token, ours(), allowed).err()
}

fn sign(header: &[u8], payload: &[u8]) -> String {
    let input = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let signature = pair().sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn pair() -> &'static Ed25519KeyPair {
    static PAIR: OnceLock<Ed25519KeyPair> = OnceLock::new();
    PAIR.get_or_init(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap())
}

fn ours() -> &'static KeySet {
    static KEYS: OnceLock<KeySet> = OnceLock::new();
    KEYS.get_or_init(|| {
        let x = URL_SAFE_NO_PAD.encode(pair().public_key().as_ref());
        set(&[json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": KID })])
    })
}

struct Published {
    set: KeySet,
    tokens: Vec<String>,
}

fn published() -> &'static Published {
    static KEYS: OnceLock<Published> = OnceLock::new();
    KEYS.get_or_init(|| {
        let vectors = VECTORS.map(|text| serde_json::from_str::<Value>(text).unwrap());
        let text = |vector: &Value| vector["compact"].as_str().unwrap().to_owned();
        Published {
            set: set(&vectors.clone().map(|vector| vector["jwk"].clone())),
            tokens: vectors.iter().map(text).collect(),
        }
    })
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

const KID: &str = "k";

const VECTORS: [&str; 4] = [
    include_str!("../../../vectors/rfc7515-a2-rs256.json"),
    include_str!("../../../vectors/rfc7515-a3-es256.json"),
    include_str!("../../../vectors/rfc7520-4.2-ps384.json"),
    include_str!("../../../vectors/rfc8037-a4-eddsa.json"),
];
