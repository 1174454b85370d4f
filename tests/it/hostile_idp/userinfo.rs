//! Userinfo, where the ID Token leaves the person's claims to it (OIDC Core §5.3 and §5.4).

use serde_json::{Value, json};

use super::{Failed, SignedIn, Trials, check_page};
use crate::support::faults::{Fault, GrantType, IdTokenFault, UserinfoFault};
use crate::support::stack::Stack;

/// The identity of the user afterwards: e-mail, groups, name.
enum Known {
    /// As this says; the e-mail opens `/ours` where it is there.
    As(Value),
    /// No user is signed in.
    NoSession(&'static str),
}

fn expected(fault: UserinfoFault) -> Known {
    use UserinfoFault as F;
    match fault {
        F::NoSub | F::SubOther => {
            Known::NoSession("userinfo: `sub` is absent or differs from that of the ID token")
        }
        // No userinfo for us: nothing of it is used, and nothing is followed.
        F::InvalidToken | F::Html | F::Signed | F::RedirectAgain => {
            Known::As(json!([null, null, null]))
        }
        // A value with a control character is no value.
        F::LineBreaks => Known::As(json!([null, null, null])),
        F::WrongTypes => Known::As(json!([null, "staff", null])),
        // An unverified address is not used.
        F::EmailUnverified => Known::As(json!([null, "staff", "Alice Adams"])),
        F::EmailVerifiedText => Known::As(json!(["alice@example.com", "staff", "Alice Adams"])),
    }
}

/// Headers with the name in them too.
async fn trials() -> Trials {
    Trials::of(Stack::builder().provider_keys("claims: { preferred_username: name }")).await
}

fn faults(fault: Option<UserinfoFault>) -> Vec<Fault> {
    let bare = Fault::IdToken(GrantType::SignIn, IdTokenFault::Bare);
    std::iter::once(bare).chain(fault.map(Fault::Userinfo)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn userinfo_fault_has_its_outcome() {
    let trials = trials().await;
    for fault in UserinfoFault::ALL {
        let (faults, what) = (faults(Some(*fault)), fault.words());
        let before = trials.stack.provider.counts().userinfo;
        match expected(*fault) {
            Known::NoSession(check) => drop(trials.check(&faults, what, Failed(502, check)).await),
            Known::As(known) => {
                let mut tried = trials.check(&faults, what, SignedIn).await;
                let headers = &tried.answer.json()["headers"];
                let name = |part| headers[format!("x-forwarded-{part}")].clone();
                let received = ["email", "groups", "preferred-username"].map(name);
                assert_eq!(json!(received), known, "{what}");
                assert_eq!(headers["x-forwarded-user"], "demo-alice", "{what}");
                let ours = tried.browser.navigate("/ours").await;
                let expected = if known[0].is_null() { 403 } else { 200 };
                assert_eq!(ours.status, expected, "{what}: {ours:?}");
                if ours.status == 403 {
                    check_page(&ours, what);
                }
            }
        }
        assert_eq!(trials.stack.provider.counts().userinfo, before + 1, "{what}: one request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn userinfo_completes_what_the_id_token_leaves_out() {
    let trials = trials().await;
    let tried = trials.check(&faults(None), "bare ID Token", SignedIn).await;
    let headers = &tried.answer.json()["headers"];
    assert_eq!(headers["x-forwarded-email"], "alice@example.com");
    assert_eq!(headers["x-forwarded-groups"], "staff");
}

#[tokio::test(flavor = "multi_thread")]
async fn required_userinfo_that_cannot_be_used_rejects_the_sign_in() {
    let trials = Trials::of(Stack::builder().provider_keys("userinfo: always")).await;
    trials.check(&[], "honest", SignedIn).await;
    for (fault, check) in [
        (UserinfoFault::InvalidToken, "userinfo rejected the access token"),
        (UserinfoFault::Html, "not a JSON object"),
        (UserinfoFault::Signed, "in place of 200 with JSON"),
    ] {
        trials.check(&[Fault::Userinfo(fault)], fault.words(), Failed(502, check)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn userinfo_is_not_requested_with_never() {
    let stack =
        Stack::builder().provider_keys("userinfo: never").faults(&faults(None)).start().await;
    let mut browser = stack.browser_of("alice").await;
    assert_eq!(browser.fetch("/staff").await.status, 403, "the ID token has no groups");
    assert_eq!(stack.provider.counts().userinfo, 0);
}
