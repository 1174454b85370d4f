//! One fixed key set; only the ID Token varies (OIDC Core §3.1.3.7, RFC 7515, RFC 7519, RFC 8725).

use std::time::Instant;

use super::{Failed, Outcome, SignedIn, Trials};
use crate::support::faults::{Fault, GrantType, IdTokenFault};

/// What each ID Token is worth; where the specifications leave it open, what we chose.
fn expected(fault: IdTokenFault) -> Outcome {
    use IdTokenFault as F;
    match fault {
        F::SignedEs256 | F::SignedPs256 | F::SignedEdDsa => SignedIn,
        // The only key that fits, or one of several.
        F::NoKid => SignedIn,
        F::AudGrown | F::AuthTimeLater => SignedIn,
        F::AudArray | F::SubOther | F::NoAuthTime | F::AuthTimeOld | F::NoAcr => SignedIn,
        F::EmailUnverified | F::Bare | F::GroupsElsewhere | F::GroupsAreObjects => SignedIn,
        // Within the leeway of a minute.
        F::ExpJustPast => SignedIn,
        // A session ends with its own lifetime.
        F::ExpHuge => SignedIn,
        // Only the hybrid flow has a c_hash to check.
        F::CHashOther => SignedIn,
        F::AlgNone
        | F::AlgNoneMixedCase
        | F::Hs256WrongSecret
        | F::Hs256ClientSecret
        | F::Hs256PublicKey
        | F::Hs256PublishedOct
        | F::KidTraversal => Failed(502, "the token's signature algorithm is not accepted"),
        F::BitTurned
        | F::BitTurnedEs256
        | F::SignatureEmpty
        | F::SignatureDer
        | F::SignatureZero => Failed(502, "the token's signature is wrong"),
        // Named like the main key, which is for another algorithm.
        F::HeaderJwk => Failed(502, "the token's key is not for its signature algorithm"),
        F::HeaderJku | F::HeaderX5u | F::KidUnknown | F::EncryptionKey => {
            Failed(502, "the key set has no key for the token's signature")
        }
        F::HeaderCrit => Failed(502, "critical extensions"),
        F::TypLogout => Failed(502, "`typ` is that of another kind of token"),
        F::IssSlash => Failed(502, "`iss` is not the issuer"),
        F::IssOther => {
            Failed(502, "it is \\\"https://evil.example\\\", and `issuer` is \\\"http://")
        }
        F::NoIss => Failed(502, "`iss` is absent"),
        F::AudOther => Failed(502, "someone-else\\\"], and `client_id` is \\\"wiki"),
        F::AudLetter => Failed(502, "`aud` does not contain the client_id"),
        F::NoAud => Failed(502, "`aud` is absent"),
        F::AudTwoAzpOther => Failed(502, "`azp` is not the client_id"),
        F::AudTwoNoAzp => Failed(502, "several audiences and no `azp`"),
        F::NoSub => Failed(502, "`sub` is absent"),
        F::SubEmpty | F::SubLong => Failed(502, "`sub` is empty or longer than 255 bytes"),
        F::IatAhead => Failed(502, "`iat` is in the future"),
        F::NoIat => Failed(502, "`iat` is absent"),
        F::NoExp => Failed(502, "`exp` is absent"),
        F::ExpString => Failed(502, "`exp` is a text, but must be a number"),
        F::ExpPast => Failed(502, "`exp` has passed"),
        F::NbfAhead => Failed(502, "`nbf` is in the future"),
        F::NonceOther | F::NoNonce => {
            Failed(502, "`nonce` is not that of the authorization request")
        }
        F::NonceArray => Failed(502, "`nonce` is a list, but must be a text"),
        F::AtHashOther => Failed(502, "`at_hash` is that of another access token"),
        F::NotAJwt => Failed(502, "not a signed token in compact form"),
        F::FiveParts => Failed(502, "the token is encrypted"),
        F::Empty | F::Missing => Failed(502, "the token response has no ID token"),
        F::PayloadText | F::PayloadArray | F::SubTwice | F::Deep => {
            Failed(502, "the token's payload is not a JSON object")
        }
        F::Padded => Failed(502, "not unpadded base64url"),
        // The answer is cut off before the token is looked at.
        F::Huge => Failed(503, "is larger than"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn id_token_fault_has_its_outcome() {
    let trials = Trials::start().await;
    for fault in IdTokenFault::ALL {
        let faults = [Fault::IdToken(GrantType::SignIn, *fault)];
        trials.check(&faults, fault.words(), expected(*fault)).await;
    }
}

/// What a valid token says of another person counts for that person.
#[tokio::test(flavor = "multi_thread")]
async fn user_is_the_sub_of_the_id_token() {
    let trials = Trials::start().await;
    let mut tried =
        trials.try_with(&[Fault::IdToken(GrantType::SignIn, IdTokenFault::SubOther)]).await;
    let received = tried.browser.fetch("/").await.json();
    assert_eq!(received["headers"]["x-forwarded-user"], "demo-mallory");
    let mut honest = trials.try_with(&[]).await;
    let received = honest.browser.fetch("/").await.json();
    assert_eq!(
        received["headers"]["x-forwarded-user"], "demo-alice",
        "the same e-mail, another person"
    );
}

/// For any number of tokens that name an unknown key, the key set is fetched twice, and then once in ten seconds.
#[tokio::test(flavor = "multi_thread")]
async fn id_tokens_with_unknown_kid_fetch_the_key_set_rarely() {
    let trials = Trials::start().await;
    trials.check(&[], "nothing wrong", SignedIn).await;
    let (before, began) = (trials.stack.provider.counts().jwks, Instant::now());
    for _ in 0..12 {
        let unknown = [Fault::IdToken(GrantType::SignIn, IdTokenFault::KidUnknown)];
        trials.hold(&unknown, "unknown key", expected(IdTokenFault::KidUnknown)).await;
    }
    let fetched = trials.stack.provider.counts().jwks - before;
    let most = 3 + usize::try_from(began.elapsed().as_secs() / 10).unwrap();
    assert!((1..=most).contains(&fetched), "fetched {fetched} times");
    trials.check(&[], "nothing wrong", SignedIn).await;
}
