//! Published vectors, and another library as oracle.

use super::*;

/// Signed tokens of the standards.
const VECTORS: [&str; 6] = [
    include_str!("../../../tests/vectors/rfc7515-a2-rs256.json"),
    include_str!("../../../tests/vectors/rfc7515-a3-es256.json"),
    include_str!("../../../tests/vectors/rfc7520-4.1-rs256.json"),
    include_str!("../../../tests/vectors/rfc7520-4.2-ps384.json"),
    include_str!("../../../tests/vectors/rfc7520-4.3-es512.json"),
    include_str!("../../../tests/vectors/rfc8037-a4-eddsa.json"),
];

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
        let flipped = format!("{rest}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert!(
            verify_bytes(&flipped, &keys, &Algorithm::ALL).is_err(),
            "{source}, one bit flipped"
        );
    }
}

#[test]
fn thumbprint_equals_published_one() {
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
fn signed_token_verifies_with_each_algorithm() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(algorithm).unwrap();
        let keys = set(&[key.public_jwk()]);
        let verified = verify(&key.sign("JWT", &claims()).unwrap(), &keys, &[algorithm]).unwrap();
        assert_eq!(verified.claims, claims());
        let (kid, typ) = (Some(key.kid().to_owned()), Some("JWT".to_owned()));
        assert_eq!(verified.header, Header { algorithm, kid, typ });
    }
}

/// Algorithms that the other library has too, each with a new key in PEM.
fn shared_with_oracle() -> Vec<(Algorithm, jsonwebtoken::Algorithm, String)> {
    use jsonwebtoken::Algorithm as Other;
    let pem = |kind| rcgen::KeyPair::generate_for(kind).unwrap().serialize_pem();
    let (rsa, ed25519) = (pem(&rcgen::PKCS_RSA_SHA256), pem(&rcgen::PKCS_ED25519));
    let p256 = pem(&rcgen::PKCS_ECDSA_P256_SHA256);
    let p384 = pem(&rcgen::PKCS_ECDSA_P384_SHA384);
    vec![
        (Algorithm::RS256, Other::RS256, rsa.clone()),
        (Algorithm::RS384, Other::RS384, rsa.clone()),
        (Algorithm::RS512, Other::RS512, rsa.clone()),
        (Algorithm::PS256, Other::PS256, rsa.clone()),
        (Algorithm::PS384, Other::PS384, rsa.clone()),
        (Algorithm::PS512, Other::PS512, rsa),
        (Algorithm::ES256, Other::ES256, p256),
        (Algorithm::ES384, Other::ES384, p384),
        (Algorithm::EdDSA, Other::EdDSA, ed25519),
    ]
}

#[test]
fn tokens_verify_in_both_directions_with_another_library() {
    use jsonwebtoken::jwk::Jwk as OtherJwk;
    use jsonwebtoken::{AlgorithmFamily, DecodingKey, EncodingKey, Validation};
    use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
    for (algorithm, other, pem) in shared_with_oracle() {
        let key = SigningKey::from_pem(algorithm, &pem).unwrap();
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let der = der.secret_der();
        let other_key = match other.family() {
            // The other library needs PKCS#1, which starts after the 26 bytes of the PKCS#8 header.
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_der(&der[26..]),
            AlgorithmFamily::Ec => EncodingKey::from_ec_der(der),
            AlgorithmFamily::Ed | AlgorithmFamily::Hmac => EncodingKey::from_ed_der(der),
        };
        let signed_elsewhere =
            jsonwebtoken::encode(&jsonwebtoken::Header::new(other), &claims(), &other_key).unwrap();
        check(&signed_elsewhere, &[key.public_jwk()], Ok(()));

        let jwk: OtherJwk = serde_json::from_value(key.public_jwk()).unwrap();
        let mut validation = Validation::new(other);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        let signed = key.sign("JWT", &claims()).unwrap();
        let decoded = jsonwebtoken::decode::<Map<String, Value>>(
            &signed,
            &DecodingKey::from_jwk(&jwk).unwrap(),
            &validation,
        );
        assert_eq!(decoded.unwrap().claims, claims(), "{algorithm}");
    }
}

#[test]
fn debug_output_has_no_private_key() {
    let key = es256();
    assert_eq!(format!("{key:?}"), format!("SigningKey(ES256 {})", key.kid()));
}

#[test]
fn private_key_of_another_kind_is_rejected() {
    let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    for algorithm in Algorithm::ALL {
        let read = SigningKey::from_pem(algorithm, &pem).is_ok();
        assert_eq!(read, algorithm == Algorithm::ES256, "{algorithm}");
    }
    assert!(SigningKey::from_pem(Algorithm::ES256, "no PEM").is_err());
}
