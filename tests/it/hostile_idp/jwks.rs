//! The key set, met by a gateway that has none yet (RFC 7517, OIDC Core §10.1).

use super::{Outcome, Refused, SignedIn, Trials, each};
use crate::support::faults::{Fault, GrantType, IdTokenFault, JwksFault};
use crate::support::stack::Stack;

fn expected(fault: JwksFault) -> Outcome {
    use JwksFault as F;
    match fault {
        // A key without a name may be any that a token names.
        F::OneKeyNoKid | F::NoKids | F::TwinNoKid => SignedIn,
        F::UnknownType | F::NoUseNoAlg | F::SameKid | F::Oct => SignedIn,
        F::NoKeys => Refused(502, "no key that we can use"),
        F::NoMember => Refused(502, "not a JWK Set"),
        F::ShortRsa => Refused(502, "the key set has no key for the token's signature"),
        F::AlgOther => Refused(502, "the token's key is not for its signature algorithm"),
    }
}

async fn check(faults: Vec<Fault>, what: String, expected: Outcome) {
    let trials = Trials::of(Stack::builder().faults(&faults)).await;
    trials.check_and_mend(&faults, &what, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_used_only_for_what_it_is() {
    each(JwksFault::ALL, |fault| {
        check(vec![Fault::Jwks(*fault)], fault.words().to_owned(), expected(*fault))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_names_no_key_is_tried_with_those_that_fit() {
    let nameless = [JwksFault::OneKeyNoKid, JwksFault::NoKids, JwksFault::TwinNoKid];
    each(nameless, |fault| {
        let no_kid = Fault::IdToken(GrantType::SignIn, IdTokenFault::NoKid);
        let what = format!("{}, and none in the token", fault.words());
        check(vec![Fault::Jwks(fault), no_kid], what, SignedIn)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_secret_signs_nothing() {
    let hs256 = Fault::IdToken(GrantType::SignIn, IdTokenFault::Hs256PublishedOct);
    let refused = Refused(502, "the token's signature algorithm is not accepted");
    check(vec![Fault::Jwks(JwksFault::Oct), hs256], "an oct key and HS256".into(), refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_between_two_sign_ins_is_found_at_once() {
    let trials = Trials::start().await;
    let mut before = trials.check(&[], "the first key", SignedIn).await;
    let fetched = trials.stack.provider.counts().jwks;
    trials.stack.provider.rotate_keys().unwrap();
    trials.check(&[], "the second key", SignedIn).await;
    assert_eq!(trials.stack.provider.counts().jwks, fetched + 1);
    assert_eq!(before.browser.fetch("/").await.status, 200, "a session needs no key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_set_that_broke_leaves_the_last_good_one() {
    let trials = Trials::start().await;
    trials.check(&[], "the good set", SignedIn).await;
    let unknown = Fault::IdToken(GrantType::SignIn, IdTokenFault::KidUnknown);
    let broken = Fault::Jwks(JwksFault::NoKeys);
    let refused = Refused(502, "no key that we can use");
    trials.hold(&[broken, unknown], "an unknown key and an empty set", refused).await;
    trials.check(&[broken], "a known key and an empty set", SignedIn).await;
}
