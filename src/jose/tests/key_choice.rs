//! Which key of a key set verifies a token, and which keys are skipped.

use super::*;

#[test]
fn token_is_verified_by_key_with_its_kid() {
    let (first, second) = (es256(), es256());
    let jwks = [first.public_jwk(), second.public_jwk()];
    check(&token(&second, json!({"alg": "ES256", "kid": second.kid()})), &jwks, Ok(()));
    check(
        &token(&second, json!({"alg": "ES256", "kid": first.kid()})),
        &jwks,
        Err(Error::Signature),
    );
    check(&token(&second, json!({"alg": "ES256", "kid": "new"})), &jwks, Err(Error::UnknownKey));
}

#[test]
fn key_without_kid_is_tried_for_token_with_kid() {
    let (first, second) = (es256(), es256());
    let nameless = second.public_jwk();
    let nameless = nameless.as_object().unwrap().iter().filter(|(name, _)| *name != "kid");
    let nameless: Value = nameless.map(|(name, value)| (name.clone(), value.clone())).collect();
    let signed = token(&second, json!({"alg": "ES256", "kid": second.kid()}));
    check(&signed, std::slice::from_ref(&nameless), Ok(()));
    check(&signed, &[first.public_jwk(), nameless.clone()], Ok(()));
    // The key may be in a newer key set.
    let other = token(&first, json!({"alg": "ES256", "kid": "new"}));
    check(&other, std::slice::from_ref(&nameless), Err(Error::UnknownKey));
    let forged = token(&es256(), json!({"alg": "ES256", "kid": first.kid()}));
    check(&forged, &[first.public_jwk(), nameless], Err(Error::Signature));
}

#[test]
fn token_without_kid_is_tried_with_every_fitting_key() {
    let (first, second, unlisted) = (es256(), es256(), es256());
    let rsa = SigningKey::generate(Algorithm::RS256).unwrap();
    let jwks = [rsa.public_jwk(), first.public_jwk(), second.public_jwk()];
    check(&token(&second, json!({"alg": "ES256"})), &jwks, Ok(()));
    check(&token(&rsa, json!({"alg": "RS256"})), &jwks, Ok(()));
    check(&token(&unlisted, json!({"alg": "ES256"})), &jwks, Err(Error::UnknownKey));
    check(&token(&second, json!({"alg": "ES256"})), &[], Err(Error::UnknownKey));
}

#[test]
fn keys_with_same_kid_are_all_tried() {
    let (first, second) = (es256().with_kid("1"), es256().with_kid("1"));
    let jwks = [first.public_jwk(), second.public_jwk()];
    check(&second.sign("JWT", &claims()).unwrap(), &jwks, Ok(()));
}

#[test]
fn key_verifies_only_its_purpose_and_algorithm() {
    let key = SigningKey::generate(Algorithm::RS256).unwrap();
    let (signed, jwk) = (key.sign("JWT", &claims()).unwrap(), key.public_jwk());
    check(&signed, &[with(jwk.clone(), json!({"alg": "PS256"}))], Err(Error::KeyMismatch));
    check(&signed, &[with(jwk.clone(), json!({"alg": "RSA-OAEP"}))], Err(Error::UnknownKey));
    check(&signed, &[with(jwk.clone(), json!({"use": "enc"}))], Err(Error::UnknownKey));
    check(&signed, &[with(jwk.clone(), json!({"use": 1}))], Err(Error::UnknownKey));
    check(&signed, &[with(jwk.clone(), json!({"key_ops": ["sign"]}))], Err(Error::UnknownKey));
    check(&signed, &[with(jwk.clone(), json!({"key_ops": ["verify"]}))], Ok(()));
    let bare = json!({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]});
    check(&token(&key, json!({"alg": "RS256"})), std::slice::from_ref(&bare), Ok(()));
    check(&token(&key, json!({"alg": "RS512"})), &[bare], Err(Error::UnknownKey));
}

#[test]
fn unusable_keys_are_skipped() {
    let key = es256();
    let rsa = |bytes: usize, e: &str| {
        let n = URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
        json!({"kty": "RSA", "kid": key.kid(), "n": n, "e": e})
    };
    let jwk = key.public_jwk();
    let unusable = [
        json!({"kty": "FUTURE", "kid": key.kid()}),
        json!({"kty": "oct", "kid": key.kid(), "k": "c2VjcmV0"}),
        json!({"kty": "OKP", "crv": "X25519", "x": jwk["x"]}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
        json!("key"),
        json!(null),
        json!({}),
        rsa(128, "AQAB"),
        rsa(2000, "AQAB"),
        rsa(256, "AQ"),
        rsa(256, "Ag"),
        rsa(256, ""),
        with(jwk.clone(), json!({"x": "AAAA"})),
        with(jwk.clone(), json!({"x": jwk["y"], "y": jwk["x"]})),
        with(jwk.clone(), json!({"crv": "P-384"})),
        with(jwk.clone(), json!({"crv": "secp256k1"})),
    ];
    assert!(set(&unusable).is_empty());
    let signed = key.sign("JWT", &claims()).unwrap();
    check(&signed, &[unusable.to_vec(), vec![jwk]].concat(), Ok(()));
}

#[test]
fn leading_zero_of_modulus_is_ignored() {
    let key = SigningKey::generate(Algorithm::RS256).unwrap();
    let jwk = key.public_jwk();
    let n = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let padded = with(jwk, json!({"n": URL_SAFE_NO_PAD.encode([&[0], n.as_slice()].concat())}));
    check(&key.sign("JWT", &claims()).unwrap(), &[padded], Ok(()));
}

/// The members of a key only: a token with padding is rejected.
#[test]
fn padding_of_key_material_is_ignored() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256] {
        let key = SigningKey::generate(algorithm).unwrap();
        let mut jwk = key.public_jwk();
        for name in ["n", "x", "y"] {
            if let Some(Value::String(text)) = jwk.get_mut(name) {
                text.push_str(&"=".repeat((4 - text.len() % 4) % 4));
            }
        }
        assert!(jwk.to_string().contains('='));
        let signed = key.sign("JWT", &claims()).unwrap();
        check(&signed, std::slice::from_ref(&jwk), Ok(()));
        check(&format!("{signed}=="), &[jwk], Err(Error::Encoding));
    }
}

#[test]
fn document_that_is_no_jwk_set_is_rejected() {
    for document in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>"] {
        assert_eq!(KeySet::parse(document.as_bytes()).unwrap_err(), Error::KeySet, "{document}");
    }
    assert!(KeySet::parse(br#"{"keys":[],"more":1}"#).unwrap().is_empty());
}

#[test]
fn key_set_keeps_first_hundred_keys() {
    let keys: Vec<_> = (0..150).map(|_| es256().public_jwk()).collect();
    assert_eq!(set(&keys).keys().len(), 100);
}
