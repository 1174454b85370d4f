//! Key sets (RFC 7517) of any bytes.
//! Invariants: a key that is used is one that its owner published for signatures, and strong enough; reading it
//! again gives the same key under the same thumbprint (RFC 7638), and a published token verifies only where the
//! set has its key.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::jose::{Algorithm, Jwk, KeySet, PublicKey, verify};
use serde_json::{Value, json};

/// Takes a JWK Set.
pub fn run(data: &[u8]) {
    let Ok(set) = KeySet::parse(data) else { return };
    let document: Value = serde_json::from_slice(data).unwrap();
    let members = document["keys"].as_array().unwrap();
    let used: Vec<_> = members.iter().filter(|jwk| Jwk::parse(jwk).is_some()).collect();
    assert!(set.keys().len() <= used.len());
    for (key, jwk) in set.keys().iter().zip(used) {
        assert_eq!(key.kid(), jwk.get("kid").and_then(Value::as_str));
        assert!(is_for_signatures(jwk), "{jwk}");
        strong(key.key());
        same_again(key.key());
        assert_eq!(key.key().thumbprint(), thumbprint(key.key()), "{jwk}");
    }
    let (token, x) = published();
    if verify(token, &set, &Algorithm::ALL).is_ok() {
        let is_its_key = |key: &Jwk| key.key().to_jwk()["x"] == x;
        assert!(set.keys().iter().any(is_its_key), "a token verifies without its key");
    }
}

/// `use`, `key_ops` and `alg` (RFC 7517 §4.2 to §4.4) do not say otherwise.
fn is_for_signatures(jwk: &Value) -> bool {
    let says = |name: &str, good: &[&str]| match jwk.get(name) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => good.contains(&text.as_str()),
        Some(Value::Array(all)) => all.iter().any(|one| good.iter().any(|good| one == good)),
        Some(_) => false,
    };
    let family: &[&str] = match (&jwk["kty"], &jwk["crv"]) {
        (Value::String(kty), _) if kty == "RSA" => {
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
        }
        (_, Value::String(curve)) => match curve.as_str() {
            "P-256" => &["ES256"],
            "P-384" => &["ES384"],
            "P-521" => &["ES512"],
            "Ed25519" => &["EdDSA", "Ed25519"],
            _ => return false,
        },
        _ => return false,
    };
    says("use", &["sig"]) && says("key_ops", &["verify"]) && says("alg", family)
}

fn strong(key: &PublicKey) {
    match key {
        PublicKey::Rsa { n, e } => {
            let bits = n.len() * 8 - n[0].leading_zeros() as usize;
            assert!((2048..=8192).contains(&bits), "{bits} bits");
            let e = e.iter().fold(0_u64, |e, byte| e << 8 | u64::from(*byte));
            assert!(e % 2 == 1 && (3..=u64::from(u32::MAX)).contains(&e), "exponent {e}");
        }
        PublicKey::Ec { x, y, .. } => {
            assert!(x.len() == y.len() && matches!(x.len(), 32 | 48 | 66))
        }
        PublicKey::Ed25519 { x } => assert_eq!(x.len(), 32),
    }
}

fn same_again(key: &PublicKey) {
    let again = Jwk::parse(&key.to_jwk()).unwrap();
    assert_eq!(again.key(), key);
    assert_eq!(again.kid(), None);
}

/// RFC 7638 §3, step by step: required members, sorted, without white space, hashed.
fn thumbprint(key: &PublicKey) -> String {
    let jwk = key.to_jwk();
    let members: BTreeMap<_, _> = jwk.as_object().unwrap().iter().collect();
    URL_SAFE_NO_PAD.encode(digest(&SHA256, json!(members).to_string().as_bytes()).as_ref())
}

/// A token with JSON claims, and a member of its key (RFC 7515 appendix A.3).
fn published() -> (&'static str, &'static str) {
    static VECTOR: OnceLock<Value> = OnceLock::new();
    let vector = VECTOR.get_or_init(|| {
        let text = include_str!("../../../vectors/rfc7515-a3-es256.json");
        serde_json::from_str(text).unwrap()
    });
    let text = |value: &'static Value| value.as_str().unwrap();
    (text(&vector["compact"]), text(&vector["jwk"]["x"]))
}
