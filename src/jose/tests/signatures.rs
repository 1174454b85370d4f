//! Tokens whose signature is wrong, or made with what the token itself names.

use super::*;

#[test]
fn algorithm_that_caller_does_not_allow_is_rejected() {
    let key = es256();
    let keys = set(&[key.public_jwk()]);
    let signed = key.sign("JWT", &claims()).unwrap();
    let error = verify(&signed, &keys, &[Algorithm::RS256]).unwrap_err();
    assert_eq!(error, Error::Algorithm);
    for name in ["none", "nOnE", "HS256", "", "es256"] {
        let header = json!({"alg": name, "kid": key.kid()});
        check(&token(&key, header), &[key.public_jwk()], Err(Error::Algorithm));
    }
}

#[test]
fn hmac_with_any_secret_is_rejected() {
    let key = SigningKey::generate(Algorithm::RS256).unwrap();
    let payload = br#"{"sub":"alice"}"#;
    let published = key.public_jwk().to_string();
    for (secret, kid) in [
        (published.as_str(), key.kid()),
        ("client-secret", key.kid()),
        ("", "../../../../dev/null"),
    ] {
        let signed = sign_hs256(secret.as_bytes(), &json!({"alg": "HS256", "kid": kid}), payload);
        let oct = json!({"kty": "oct", "kid": kid, "k": URL_SAFE_NO_PAD.encode(secret)});
        check(&signed, &[key.public_jwk(), oct], Err(Error::Algorithm));
    }
}

#[test]
fn changed_signature_or_payload_is_rejected() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256] {
        let key = SigningKey::generate(algorithm).unwrap();
        let signed = key.sign("JWT", &claims()).unwrap();
        let (rest, signature) = signed.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bytes[0] ^= 0x10;
        let flipped = format!("{rest}.{}", URL_SAFE_NO_PAD.encode(bytes));
        check(&flipped, &[key.public_jwk()], Err(Error::Signature));
        check(&format!("{rest}."), &[key.public_jwk()], Err(Error::Signature));
        let (header, _) = rest.split_once('.').unwrap();
        let other = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"sub":"bob"}"#));
        check(&other, &[key.public_jwk()], Err(Error::Signature));
    }
}

#[test]
fn ecdsa_signature_in_der_or_of_wrong_length_is_rejected() {
    let key = es256();
    let signed = key.sign("JWT", &claims()).unwrap();
    let (rest, signature) = signed.rsplit_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let der = |half: &[u8]| [&[0x02, 33, 0], half].concat();
    let (r, s) = raw.split_at(32);
    let der = [vec![0x30, 70], der(r), der(s)].concat();
    for bad in [der, vec![0; 64], raw[..63].to_vec(), [raw.as_slice(), &[0]].concat()] {
        let token = format!("{rest}.{}", URL_SAFE_NO_PAD.encode(bad));
        check(&token, &[key.public_jwk()], Err(Error::Signature));
    }
}

#[test]
fn keys_and_urls_in_header_are_ignored() {
    let (trusted, attacker) = (es256(), es256());
    for (name, value) in [
        ("jwk", attacker.public_jwk()),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/x5u")),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = with(json!({"alg": "ES256", "kid": trusted.kid()}), json!({ name: value }));
        check(&token(&attacker, header.clone()), &[trusted.public_jwk()], Err(Error::Signature));
        check(&token(&trusted, header), &[trusted.public_jwk()], Ok(()));
    }
}
