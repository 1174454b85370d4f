//! How an ID Token can be wrong: its signature, its header, its claims, its form.

use portcullis::jose::Algorithm;
use serde_json::{Map, Value, json};

use super::documents::OCT_SECRET;
use super::forgery::{Draft, Signer, der_signature, pem_of, with_signature};

faults! {
    /// What is wrong with an ID Token.
    IdTokenFault of Draft {
        // Algorithms and keys.
        SignedEs256 "ES256, with a key of the JWK Set" =>
            |token, _| token.signer = Signer::Published(Algorithm::ES256),
        SignedPs256 "PS256, with a key of the JWK Set" =>
            |token, _| token.signer = Signer::Published(Algorithm::PS256),
        SignedEdDsa "EdDSA, with a key of the JWK Set" => |token, _| {
            token.signer = Signer::Published(Algorithm::EdDSA);
            // Optional, and there made by the main key's hash.
            token.claims.remove("at_hash");
        },
        AlgNone "alg none, no signature" => |token, _| token.signer = Signer::None,
        AlgNoneMixedCase "alg nOnE, no signature" => |token, _| {
            token.signer = Signer::None;
            token.head("alg", json!("nOnE"));
        },
        BitTurned "signature with one bit turned" => |token, _| token.finish = turn_a_bit,
        BitTurnedEs256 "ES256 signature with one bit turned" => |token, _| {
            token.signer = Signer::Published(Algorithm::ES256);
            token.finish = turn_a_bit;
        },
        SignatureEmpty "empty signature" =>
            |token, _| token.finish = |token| Some(with_signature(&token, |_| vec![])),
        Hs256WrongSecret "HS256 with a wrong secret" =>
            |token, _| token.signer = Signer::Secret(b"wrong".to_vec()),
        Hs256ClientSecret "HS256 with the client secret" =>
            |token, facts| token.signer = Signer::Secret(facts.client_secret.into()),
        Hs256PublicKey "HS256 keyed with the PEM of the published RSA key" => |token, facts| {
            token.signer = Signer::Secret(pem_of(facts.keys.main()).into_bytes());
        },
        Hs256PublishedOct "HS256 keyed with the oct key of the JWK Set" => |token, _| {
            token.signer = Signer::Secret(OCT_SECRET.into());
            token.head("kid", json!("oct"));
        },
        HeaderJwk "the attacker's key in the jwk header" => |token, facts| {
            token.signer = Signer::Attacker;
            token.head("jwk", facts.attacker.public_jwk());
            token.head("kid", json!(facts.keys.main().kid()));
        },
        HeaderJku "a jku header that points elsewhere" => |token, facts| {
            token.signer = Signer::Attacker;
            token.head("jku", json!(facts.evil()));
        },
        HeaderX5u "an x5u header that points elsewhere" => |token, facts| {
            token.signer = Signer::Attacker;
            token.head("x5u", json!(facts.evil()));
        },
        HeaderCrit "crit names an unknown extension" => |token, _| {
            token.head("crit", json!(["urn:example:unknown"]));
            token.head("urn:example:unknown", json!(true));
        },
        TypLogout "typ is logout+jwt" => |token, _| token.head("typ", json!("logout+jwt")),
        NoKid "no kid" => |token, _| token.head("kid", Value::Null),
        KidUnknown "a kid that is not in the JWK Set, the right key" =>
            |token, _| token.head("kid", json!("unknown")),
        KidTraversal "kid ../../../../dev/null, HS256 with an empty secret" => |token, _| {
            token.signer = Signer::Secret(vec![]);
            token.head("kid", json!("../../../../dev/null"));
        },
        EncryptionKey "signed with the key published as use=enc" =>
            |token, _| token.signer = Signer::Encryption,
        SignatureDer "ES256 signature in DER form" => |token, _| {
            token.signer = Signer::Published(Algorithm::ES256);
            token.finish = |token| Some(with_signature(&token, |raw| der_signature(&raw)));
        },
        SignatureZero "ES256 signature r=s=0" => |token, _| {
            token.signer = Signer::Published(Algorithm::ES256);
            token.finish = |token| Some(with_signature(&token, |raw| vec![0; raw.len()]));
        },
        // Claims.
        IssSlash "iss with a slash added" =>
            |token, facts| token.claim("iss", json!(format!("{}/", facts.issuer))),
        IssOther "other iss" => |token, _| token.claim("iss", json!("https://evil.example")),
        NoIss "no iss" => |token, _| drop(token.claims.remove("iss")),
        AudOther "other aud" => |token, _| token.claim("aud", json!("someone-else")),
        NoAud "no aud" => |token, _| drop(token.claims.remove("aud")),
        AudLetter "aud is the client_id with a letter added" =>
            |token, facts| token.claim("aud", json!(format!("{}x", facts.client_id))),
        AudArray "aud is an array of the client_id" =>
            |token, facts| token.claim("aud", json!([facts.client_id])),
        AudTwoAzpOther "two audiences, azp is the other" => |token, facts| {
            token.claim("aud", json!([facts.client_id, "other"]));
            token.claim("azp", json!("other"));
        },
        AudTwoNoAzp "two audiences, no azp" =>
            |token, facts| token.claim("aud", json!([facts.client_id, "other"])),
        AudGrown "two audiences, azp is the client_id" => |token, facts| {
            token.claim("aud", json!([facts.client_id, "added"]));
            token.claim("azp", json!(facts.client_id));
        },
        NoSub "no sub" => |token, _| drop(token.claims.remove("sub")),
        SubEmpty "an empty sub" => |token, _| token.claim("sub", json!("")),
        SubOther "another person's sub" => |token, _| token.claim("sub", json!("demo-mallory")),
        SubLong "sub of 4096 characters" => |token, _| token.claim("sub", json!("s".repeat(4096))),
        SubTwice "sub twice" =>
            |token, _| token.payload = |claims| with_member(claims, r#""sub":"demo-mallory""#),
        IatAhead "iat a day ahead" => |token, facts| token.claim("iat", json!(facts.now + 86_400)),
        NoIat "no iat" => |token, _| drop(token.claims.remove("iat")),
        NoExp "no exp" => |token, _| drop(token.claims.remove("exp")),
        ExpPast "exp an hour ago" => |token, facts| token.claim("exp", json!(facts.now - 3600)),
        ExpJustPast "exp 5 s ago" => |token, facts| token.claim("exp", json!(facts.now - 5)),
        ExpString "exp is a string" =>
            |token, facts| token.claim("exp", json!((facts.now + 300).to_string())),
        ExpHuge "exp is 1e300" => |token, _| token.claim("exp", json!(1e300)),
        NbfAhead "nbf an hour ahead" => |token, facts| token.claim("nbf", json!(facts.now + 3600)),
        NonceOther "other nonce" => |token, _| token.claim("nonce", json!("other")),
        NonceArray "nonce in an array" => |token, _| {
            let nonce = token.claims.remove("nonce");
            token.claim("nonce", json!([nonce]));
        },
        NoNonce "no nonce" => |token, _| drop(token.claims.remove("nonce")),
        AtHashOther "wrong at_hash" =>
            |token, _| token.claim("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        CHashOther "wrong c_hash" =>
            |token, _| token.claim("c_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        NoAuthTime "no auth_time" => |token, _| drop(token.claims.remove("auth_time")),
        AuthTimeOld "auth_time a day ago" =>
            |token, facts| token.claim("auth_time", json!(facts.now - 86_400)),
        AuthTimeLater "auth_time now" =>
            |token, facts| token.claim("auth_time", json!(facts.now)),
        NoAcr "no acr" => |token, _| drop(token.claims.remove("acr")),
        EmailUnverified "email_verified is false" =>
            |token, _| token.claim("email_verified", json!(false)),
        Bare "nothing of the person but sub: the rest is at userinfo (OIDC Core §5.4)" =>
            |token, _| token.claims.retain(|name, _| !OF_THE_PERSON.contains(&name.as_str())),
        GroupsElsewhere "a reference in place of more than 200 groups, as Entra sends it" => |token, _| {
            token.claims.remove("groups");
            token.claim("_claim_names", json!({"groups": "src1"}));
            let graph = "https://graph.windows.net/t/users/o/getMemberObjects";
            token.claim("_claim_sources", json!({"src1": {"endpoint": graph}}));
        },
        GroupsAreObjects "groups are a list of objects" =>
            |token, _| token.claim("groups", json!([{"name": "staff"}])),
        // Form.
        NotAJwt "not a JWT" => |token, _| token.finish = |_| Some("not-a-jwt".into()),
        Empty "an empty text" => |token, _| token.finish = |_| Some(String::new()),
        Missing "no id_token member" => |token, _| token.finish = |_| None,
        PayloadText "signed payload is not JSON" =>
            |token, _| token.payload = |_| b"no JSON".to_vec(),
        PayloadArray "signed payload is a JSON array" =>
            |token, _| token.payload = |claims| json!([claims]).to_string().into(),
        Padded "base64url with padding" =>
            |token, _| token.finish = |token| Some(format!("{token}==")),
        Deep "a claim nested 5000 arrays deep" => |token, _| token.payload = |claims| {
            with_member(claims, &format!(r#""deep":{}{}"#, "[".repeat(5000), "]".repeat(5000)))
        },
        Huge "a claim of 1.1 MB" => |token, _| token.claim("huge", json!("h".repeat(1_100_000))),
        FiveParts "five parts" => |token, _| token.finish = |token| Some(format!("{token}.AA.AA")),
    }
}

fn turn_a_bit(token: String) -> Option<String> {
    let turned = with_signature(&token, |mut signature| {
        if let Some(byte) = signature.last_mut() {
            *byte ^= 1;
        }
        signature
    });
    Some(turned)
}

/// The claims as text, with one more member in front, written as it is.
fn with_member(claims: &Map<String, Value>, member: &str) -> Vec<u8> {
    json!(claims).to_string().replacen('{', &format!("{{{member},"), 1).into_bytes()
}

const OF_THE_PERSON: [&str; 5] =
    ["name", "preferred_username", "email", "email_verified", "groups"];
