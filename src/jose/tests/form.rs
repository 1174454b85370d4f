//! Header, payload and encoding of a token: one form, read strictly.

use proptest::prelude::*;

use super::*;

#[test]
fn malformed_header_is_rejected() {
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
    check(&token(&key, json!({"alg": null, "kid": kid})), &jwks, Err(Error::Header));
    check(&token(&key, json!(["ES256"])), &jwks, Err(Error::Header));
    let payload = URL_SAFE_NO_PAD.encode("{}");
    let twice = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","alg":"ES256"}"#);
    check(&format!("{twice}.{payload}.AA"), &jwks, Err(Error::Header));
}

#[test]
fn null_in_an_optional_member_counts_as_absent() {
    let key = es256();
    let header = json!({"alg": "ES256", "kid": null, "typ": null, "crit": null});
    let jwk =
        with(key.public_jwk(), json!({"kid": null, "use": null, "alg": null, "key_ops": null}));
    check(&token(&key, header), &[jwk], Ok(()));
}

#[test]
fn token_in_other_form_than_compact_is_rejected() {
    let key = es256();
    let jwks = [key.public_jwk()];
    let signed = key.sign("JWT", &claims()).unwrap();
    check(&format!("{signed}.a.b"), &jwks, Err(Error::Encrypted));
    for text in ["", "a", "a.b", &format!("{signed}.a.b.c"), &format!("{signed}."), "{}"] {
        check(text, &jwks, Err(Error::NotCompact));
    }
    check(&format!(".{}", signed.split_once('.').unwrap().1), &jwks, Err(Error::Header));
    check(&"a".repeat(300_000), &jwks, Err(Error::TooLarge));
}

#[test]
fn base64url_with_padding_or_stray_bits_is_rejected() {
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
fn payload_that_is_not_one_object_is_rejected() {
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

proptest! {
    #[test]
    fn malformed_token_or_key_set_never_panics(
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

/// Whether a document has the array `keys` (RFC 7517 §5), with any members.
fn has_list_of_keys(document: &[u8]) -> bool {
    let document: Result<Value, _> = serde_json::from_slice(document);
    document.is_ok_and(|document| document["keys"].is_array())
}
