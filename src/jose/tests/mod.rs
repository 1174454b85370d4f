//! Tests of the room: published vectors, the choice of a key, signatures, and the form of tokens.

mod forgeries;
mod form;
mod key_choice;
mod signatures;
mod vectors;

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn claims() -> Map<String, Value> {
    json::object(br#"{"iss":"https://id.example.com","sub":"alice"}"#).unwrap()
}

fn es256() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).unwrap()
}

/// A token by `key` with this header and the usual claims.
fn token(key: &SigningKey, header: Value) -> String {
    key.sign_with_header(&header, json!(claims()).to_string().as_bytes()).unwrap()
}

#[track_caller]
fn check(token: &str, keys: &[Value], expected: Result<(), Error>) {
    let verified = verify(token, &set(keys), &Algorithm::ALL).map(|_| ());
    assert_eq!(verified, expected, "{token:.200}");
}

/// The JWK with these members replaced.
fn with(mut jwk: Value, members: Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}
