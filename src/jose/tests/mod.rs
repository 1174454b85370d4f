//! Published vectors, the other library as oracle, and everything a hostile token may be.

mod forgeries;

use proptest::prelude::*;

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::json;

/// The vectors, by file of `tests/vectors`.
const VECTORS: [&str; 6] = [
    include_str!("../../../tests/vectors/rfc7515-a2-rs256.json"),
    include_str!("../../../tests/vectors/rfc7515-a3-es256.json"),
    include_str!("../../../tests/vectors/rfc7520-4.1-rs256.json"),
    include_str!("../../../tests/vectors/rfc7520-4.2-ps384.json"),
    include_str!("../../../tests/vectors/rfc7520-4.3-es512.json"),
    include_str!("../../../tests/vectors/rfc8037-a4-eddsa.json"),
];

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn claims() -> Map<String, Value> {
    json::object(br#"{"iss":"https://id.example.com","sub":"alice"}"#).unwrap()
}

fn es256() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).unwrap()
}

/// A token by `key` under any header, payload the usual claims.
fn token(key: &SigningKey, header: Value) -> String {
    key.sign_with_header(&header, json!(claims()).to_string().as_bytes()).unwrap()
}

#[track_caller]
fn check(token: &str, keys: &[Value], expected: Result<(), Error>) {
    let verified = verify(token, &set(keys), &Algorithm::ALL).map(|_| ());
    assert_eq!(verified, expected, "{token:.200}");
}

/// The same key with other members.
fn with(mut jwk: Value, members: Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

#[test]
fn published_vectors_verify() {
    for vector in VECTORS {
        let vector: Value = serde_json::from_str(vector).unwrap();
        let (source, compact) = (&vector["source"], vector["compact"].as_str().unwrap());
        let keys = set(&[vector["jwk"].clone()]);
        let (_, payload) = verify_bytes(compact, &keys, &Algorithm::ALL).expect("verifies");
        assert_eq!(String::from_utf8(payload).unwrap(), vector["payload"], "{source}");
        let (rest, signature) = compact.rsplit_once('.').unwrap();
        let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        signature[10] ^= 1;
        let turned = format!("{rest}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert!(verify_bytes(&turned, &keys, &Algorithm::ALL).is_err(), "{source}, one bit turned");
    }
}

#[test]
fn thumbprints_are_those_of_the_standards() {
    let published = [
        include_str!("../../../tests/vectors/rfc7638-3.1.json"),
        include_str!("../../../tests/vectors/rfc8037-a4-eddsa.json"),
    ];
    for vector in published {
        let vector: Value = serde_json::from_str(vector).unwrap();
        let key = Jwk::parse(&vector["jwk"]).unwrap();
        assert_eq!(key.key().thumbprint(), vector["thumbprint"], "{}", vector["source"]);
    }
}

#[test]
fn what_we_sign_we_verify() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(algorithm).unwrap();
        let keys = set(&[key.public_jwk()]);
        let verified = verify(&key.sign("JWT", &claims()).unwrap(), &keys, &[algorithm]).unwrap();
        assert_eq!(verified.claims, claims());
        let (kid, typ) = (Some(key.kid().to_owned()), Some("JWT".to_owned()));
        assert_eq!(verified.header, Header { algorithm, kid, typ });
    }
}

/// The algorithms that the oracle knows too, with a fresh key of each in PEM.
fn shared_with_oracle() -> Vec<(Algorithm, jsonwebtoken::Algorithm, String)> {
    use jsonwebtoken::Algorithm as Theirs;
    let pem = |kind| rcgen::KeyPair::generate_for(kind).unwrap().serialize_pem();
    let (rsa, ed25519) = (pem(&rcgen::PKCS_RSA_SHA256), pem(&rcgen::PKCS_ED25519));
    let p256 = pem(&rcgen::PKCS_ECDSA_P256_SHA256);
    let p384 = pem(&rcgen::PKCS_ECDSA_P384_SHA384);
    vec![
        (Algorithm::RS256, Theirs::RS256, rsa.clone()),
        (Algorithm::RS384, Theirs::RS384, rsa.clone()),
        (Algorithm::RS512, Theirs::RS512, rsa.clone()),
        (Algorithm::PS256, Theirs::PS256, rsa.clone()),
        (Algorithm::PS384, Theirs::PS384, rsa.clone()),
        (Algorithm::PS512, Theirs::PS512, rsa),
        (Algorithm::ES256, Theirs::ES256, p256),
        (Algorithm::ES384, Theirs::ES384, p384),
        (Algorithm::EdDSA, Theirs::EdDSA, ed25519),
    ]
}

#[test]
fn another_library_agrees_both_ways() {
    use jsonwebtoken::jwk::Jwk as TheirJwk;
    use jsonwebtoken::{AlgorithmFamily, DecodingKey, EncodingKey, Validation};
    use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
    for (ours, theirs, pem) in shared_with_oracle() {
        let key = SigningKey::from_pem(ours, &pem).unwrap();
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let der = der.secret_der();
        let their_key = match theirs.family() {
            // Theirs wants PKCS#1, which begins behind the 26 bytes that PKCS#8 puts before it.
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_der(&der[26..]),
            AlgorithmFamily::Ec => EncodingKey::from_ec_der(der),
            AlgorithmFamily::Ed | AlgorithmFamily::Hmac => EncodingKey::from_ed_der(der),
        };
        let theirs_signed =
            jsonwebtoken::encode(&jsonwebtoken::Header::new(theirs), &claims(), &their_key)
                .unwrap();
        check(&theirs_signed, &[key.public_jwk()], Ok(()));

        let jwk: TheirJwk = serde_json::from_value(key.public_jwk()).unwrap();
        let mut validation = Validation::new(theirs);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        let signed = key.sign("JWT", &claims()).unwrap();
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(
            &signed,
            &DecodingKey::from_jwk(&jwk).unwrap(),
            &validation,
        );
        assert_eq!(decoded.unwrap().claims, claims(), "{ours}");
    }
}

#[test]
fn algorithms_outside_the_list_are_refused() {
    let key = es256();
    let keys = set(&[key.public_jwk()]);
    let signed = key.sign("JWT", &claims()).unwrap();
    let refused = verify(&signed, &keys, &[Algorithm::RS256]).unwrap_err();
    assert_eq!(refused, Error::Algorithm);
    for name in ["none", "nOnE", "HS256", "", "es256"] {
        let header = json!({"alg": name, "kid": key.kid()});
        check(&token(&key, header), &[key.public_jwk()], Err(Error::Algorithm));
    }
}

#[test]
fn a_shared_secret_never_verifies() {
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
fn a_turned_bit_is_seen() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256] {
        let key = SigningKey::generate(algorithm).unwrap();
        let signed = key.sign("JWT", &claims()).unwrap();
        let (rest, signature) = signed.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bytes[0] ^= 0x10;
        let turned = format!("{rest}.{}", URL_SAFE_NO_PAD.encode(bytes));
        check(&turned, &[key.public_jwk()], Err(Error::Signature));
        check(&format!("{rest}."), &[key.public_jwk()], Err(Error::Signature));
        let (header, _) = rest.split_once('.').unwrap();
        let other = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(r#"{"sub":"bob"}"#));
        check(&other, &[key.public_jwk()], Err(Error::Signature));
    }
}

#[test]
fn ecdsa_signatures_have_one_form() {
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
fn keys_that_a_token_brings_along_are_ignored() {
    let (ours, attacker) = (es256(), es256());
    for (name, value) in [
        ("jwk", attacker.public_jwk()),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/x5u")),
        ("x5c", json!(["MIIB"])),
    ] {
        let header = with(json!({"alg": "ES256", "kid": ours.kid()}), json!({ name: value }));
        check(&token(&attacker, header.clone()), &[ours.public_jwk()], Err(Error::Signature));
        check(&token(&ours, header), &[ours.public_jwk()], Ok(()));
    }
}

#[test]
fn headers_are_read_strictly() {
    let key = es256();
    let jwks = [key.public_jwk()];
    let kid = key.kid();
    check(
        &token(&key, json!({"alg": "ES256", "kid": kid, "crit": ["exp"]})),
        &jwks,
        Err(Error::Critical),
    );
    check(
        &token(&key, json!({"alg": "ES256", "kid": kid, "crit": []})),
        &jwks,
        Err(Error::Critical),
    );
    check(&token(&key, json!({"kid": kid})), &jwks, Err(Error::Header));
    check(&token(&key, json!({"alg": ["ES256"]})), &jwks, Err(Error::Header));
    check(&token(&key, json!({"alg": "ES256", "kid": 7})), &jwks, Err(Error::Header));
    check(&token(&key, json!({"alg": "ES256", "typ": null})), &jwks, Err(Error::Header));
    check(&token(&key, json!(["ES256"])), &jwks, Err(Error::Header));
    let payload = URL_SAFE_NO_PAD.encode("{}");
    let twice = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","alg":"ES256"}"#);
    check(&format!("{twice}.{payload}.AA"), &jwks, Err(Error::Header));
}

#[test]
fn kid_chooses_the_key() {
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
fn a_key_without_kid_may_be_the_one_that_a_token_names() {
    let (first, second) = (es256(), es256());
    let nameless = second.public_jwk();
    let nameless = nameless.as_object().unwrap().iter().filter(|(name, _)| *name != "kid");
    let nameless: Value = nameless.map(|(name, value)| (name.clone(), value.clone())).collect();
    let signed = token(&second, json!({"alg": "ES256", "kid": second.kid()}));
    check(&signed, std::slice::from_ref(&nameless), Ok(()));
    check(&signed, &[first.public_jwk(), nameless.clone()], Ok(()));
    // Another key's token may have a newer set.
    let other = token(&first, json!({"alg": "ES256", "kid": "new"}));
    check(&other, std::slice::from_ref(&nameless), Err(Error::UnknownKey));
    let forged = token(&es256(), json!({"alg": "ES256", "kid": first.kid()}));
    check(&forged, &[first.public_jwk(), nameless], Err(Error::Signature));
}

#[test]
fn without_kid_any_fitting_key_may_be_meant() {
    let (first, second, stranger) = (es256(), es256(), es256());
    let rsa = SigningKey::generate(Algorithm::RS256).unwrap();
    let jwks = [rsa.public_jwk(), first.public_jwk(), second.public_jwk()];
    check(&token(&second, json!({"alg": "ES256"})), &jwks, Ok(()));
    check(&token(&rsa, json!({"alg": "RS256"})), &jwks, Ok(()));
    check(&token(&stranger, json!({"alg": "ES256"})), &jwks, Err(Error::UnknownKey));
    check(&token(&second, json!({"alg": "ES256"})), &[], Err(Error::UnknownKey));
}

#[test]
fn of_several_keys_with_one_name_each_is_tried() {
    let (first, second) = (es256().with_kid("1"), es256().with_kid("1"));
    let jwks = [first.public_jwk(), second.public_jwk()];
    check(&second.sign("JWT", &claims()).unwrap(), &jwks, Ok(()));
}

#[test]
fn a_key_serves_its_own_purpose_and_algorithm_only() {
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
fn unusable_keys_beside_a_good_one_do_no_harm() {
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
fn a_modulus_with_a_zero_in_front_is_the_same_key() {
    let key = SigningKey::generate(Algorithm::RS256).unwrap();
    let jwk = key.public_jwk();
    let n = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let padded = with(jwk, json!({"n": URL_SAFE_NO_PAD.encode([&[0], n.as_slice()].concat())}));
    check(&key.sign("JWT", &claims()).unwrap(), &[padded], Ok(()));
}

#[test]
fn only_a_jwk_set_is_a_key_set() {
    for document in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>"] {
        assert_eq!(KeySet::parse(document.as_bytes()).unwrap_err(), Error::KeySet, "{document}");
    }
    assert!(KeySet::parse(br#"{"keys":[],"more":1}"#).unwrap().is_empty());
}

#[test]
fn key_sets_are_bounded() {
    let keys: Vec<_> = (0..150).map(|_| es256().public_jwk()).collect();
    assert_eq!(set(&keys).keys().len(), 100);
}

#[test]
fn other_forms_than_the_compact_one_are_refused() {
    let key = es256();
    let jwks = [key.public_jwk()];
    let signed = key.sign("JWT", &claims()).unwrap();
    for text in ["", "a", "a.b", &format!("{signed}.a.b"), &format!("{signed}."), "{}"] {
        check(text, &jwks, Err(Error::NotCompact));
    }
    check(&format!(".{}", signed.split_once('.').unwrap().1), &jwks, Err(Error::Header));
    check(&"a".repeat(300_000), &jwks, Err(Error::TooLarge));
}

#[test]
fn base64url_has_one_form() {
    let key = es256();
    let jwks = [key.public_jwk()];
    let header = json!({"alg": "ES256", "kid": key.kid()}).to_string();
    let header = format!("{header}{}", " ".repeat(2 - header.len() % 3));
    let signed = key.sign("JWT", &claims()).unwrap();
    let (_, rest) = signed.split_once('.').unwrap();
    check(&format!("{}.{rest}", URL_SAFE.encode(&header)), &jwks, Err(Error::Encoding));
    check(&format!("{signed}="), &jwks, Err(Error::Encoding));
    check(&format!("{signed}\n"), &jwks, Err(Error::Encoding));
    check(&format!(" {signed}"), &jwks, Err(Error::Encoding));
    // 64 bytes leave four bits unused in the last character; they must be zero.
    let mut stray = signed;
    stray.pop();
    stray.push('B');
    check(&stray, &jwks, Err(Error::Encoding));
}

#[test]
fn payloads_must_be_one_object() {
    let key = es256();
    let header = json!({"alg": "ES256", "kid": key.kid()});
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let bad = ["", "no json", "[]", r#""a""#, r#"{"sub":"a","sub":"b"}"#, "{}{}", deep.as_str()];
    for payload in bad {
        let signed = key.sign_with_header(&header, payload.as_bytes()).unwrap();
        check(&signed, &[key.public_jwk()], Err(Error::Payload));
    }
    let latin1 = key.sign_with_header(&header, b"{\"name\":\"Ren\xe9\"}").unwrap();
    check(&latin1, &[key.public_jwk()], Err(Error::Payload));
}

#[test]
fn debug_shows_no_private_key() {
    let key = es256();
    assert_eq!(format!("{key:?}"), format!("SigningKey(ES256 {})", key.kid()));
}

#[test]
fn only_a_private_key_of_its_kind_is_read() {
    let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    for algorithm in Algorithm::ALL {
        let read = SigningKey::from_pem(algorithm, &pem).is_ok();
        assert_eq!(read, algorithm == Algorithm::ES256, "{algorithm}");
    }
    assert!(SigningKey::from_pem(Algorithm::ES256, "no PEM").is_err());
}

proptest! {
    #[test]
    fn no_token_and_no_key_set_makes_it_panic(
        token in "\\PC{0,80}", parts in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}",
        header in "\\{(\"(alg|kid|typ|crit)\":(\"(ES256|RS256|none)\"|[0-9]|null),?){0,4}\\}",
        document in proptest::collection::vec(any::<u8>(), 0..200),
        nearly in "\\{\"(keys|key)\":(\\[(1|null|\\{\\}|\\{\"kty\":(\"RSA\"|1)\\})?\\]|\\{\\}|\"a\"|1)\\}?",
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        kty in "RSA|EC|OKP", crv in "P-256|P-521|Ed25519",
    ) {
        let text = URL_SAFE_NO_PAD.encode(&bytes);
        let keys = set(&[json!({"kty": kty, "crv": crv, "n": text, "e": "AQAB", "x": text, "y": text})]);
        let header = URL_SAFE_NO_PAD.encode(header);
        for token in [token, parts, format!("{header}.e30.{text}")] {
            prop_assert!(verify(&token, &keys, &Algorithm::ALL).is_err());
        }
        for document in [&*document, nearly.as_bytes()] {
            prop_assert_eq!(KeySet::parse(document).is_ok(), has_list_of_keys(document));
        }
    }
}

/// RFC 7517 §5: what is in the list is another matter.
fn has_list_of_keys(document: &[u8]) -> bool {
    let document: Result<Value, _> = serde_json::from_slice(document);
    document.is_ok_and(|document| document["keys"].is_array())
}
