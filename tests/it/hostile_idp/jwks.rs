//! The key set, met by a gateway that has none yet (RFC 7517, OIDC Core §10.1).

use super::{Failed, Outcome, SignedIn, Trials, each};
use crate::support::faults::{Fault, GrantType, IdTokenFault, JwksFault};
use crate::support::stack::Stack;

fn expected(fault: JwksFault) -> Outcome {
    use JwksFault as F;
    match fault {
        // A key without a name may be any that a token names.
        F::OneKeyNoKid | F::NoKids | F::TwinNoKid => SignedIn,
        F::UnknownType | F::NoUseNoAlg | F::SameKid | F::Oct => SignedIn,
        F::Nulls | F::Padded => SignedIn,
        F::NoKeys => Failed(502, "no usable key"),
        F::NoMember => Failed(502, "not a JWK Set"),
        F::ShortRsa => Failed(502, "the key set has no key for the token's signature"),
        F::AlgOther => Failed(502, "the token's key is not for its signature algorithm"),
    }
}

async fn check(faults: Vec<Fault>, what: String, expected: Outcome) {
    let trials = Trials::of(Stack::builder().faults(&faults)).await;
    trials.check_and_mend(&faults, &what, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_set_fault_has_its_outcome() {
    each(JwksFault::ALL, |fault| {
        check(vec![Fault::Jwks(*fault)], fault.words().to_owned(), expected(*fault))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn id_token_without_kid_is_verified_with_the_keys_that_fit() {
    let nameless = [JwksFault::OneKeyNoKid, JwksFault::NoKids, JwksFault::TwinNoKid];
    each(nameless, |fault| {
        let no_kid = Fault::IdToken(GrantType::SignIn, IdTokenFault::NoKid);
        let what = format!("{}, and none in the token", fault.words());
        check(vec![Fault::Jwks(fault), no_kid], what, SignedIn)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn symmetric_key_in_the_key_set_verifies_no_id_token() {
    let hs256 = Fault::IdToken(GrantType::SignIn, IdTokenFault::Hs256PublishedOct);
    let failed = Failed(502, "the token's signature algorithm is not accepted");
    check(vec![Fault::Jwks(JwksFault::Oct), hs256], "an oct key and HS256".into(), failed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_signing_key_is_fetched_at_the_next_sign_in() {
    let trials = Trials::start().await;
    let mut before = trials.check(&[], "the first key", SignedIn).await;
    let fetched = trials.stack.provider.counts().jwks;
    trials.stack.provider.rotate_keys().unwrap();
    trials.check(&[], "the second key", SignedIn).await;
    assert_eq!(trials.stack.provider.counts().jwks, fetched + 1);
    assert_eq!(before.browser.fetch("/").await.status, 200, "a session needs no key");
}

#[tokio::test(flavor = "multi_thread")]
async fn last_good_key_set_is_kept_while_the_new_one_is_broken() {
    let trials = Trials::start().await;
    trials.check(&[], "the good set", SignedIn).await;
    let unknown = Fault::IdToken(GrantType::SignIn, IdTokenFault::KidUnknown);
    let broken = Fault::Jwks(JwksFault::NoKeys);
    let failed = Failed(502, "no usable key");
    trials.hold(&[broken, unknown], "an unknown key and an empty set", failed).await;
    trials.check(&[broken], "a known key and an empty set", SignedIn).await;
}
