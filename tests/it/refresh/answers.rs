//! What the provider answers to a refresh, and what that means for the session (OIDC Core §12.2).

use super::{Scene, token_in};
use crate::support::faults::{
    DemoEndpoint, Fault, GrantType, IdTokenFault, NetworkFault, TokenFault,
};

/// What becomes of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Becomes {
    /// It goes on with the new tokens.
    Renewed,
    /// It goes on with what it had, and tries again.
    Kept,
    /// It ends.
    Ended,
}

use Becomes::{Ended, Kept, Renewed};

fn of_id_token(fault: IdTokenFault) -> Becomes {
    use IdTokenFault as F;
    match fault {
        F::SignedEs256 | F::SignedPs256 | F::SignedEdDsa | F::NoKid => Renewed,
        F::AudArray | F::ExpJustPast | F::ExpHuge | F::CHashOther => Renewed,
        F::NoAuthTime | F::NoAcr | F::EmailUnverified | F::Bare => Renewed,
        // A refresh may leave out the nonce, and the whole token.
        F::NoNonce | F::Missing | F::Empty => Renewed,
        // Too much to read is an answer that was not there.
        F::Huge => Kept,
        F::AlgNone
        | F::AlgNoneMixedCase
        | F::BitTurned
        | F::BitTurnedEs256
        | F::SignatureEmpty
        | F::Hs256WrongSecret
        | F::Hs256ClientSecret
        | F::Hs256PublicKey
        | F::Hs256PublishedOct
        | F::HeaderJwk
        | F::HeaderJku
        | F::HeaderX5u
        | F::HeaderCrit
        | F::TypLogout
        | F::KidUnknown
        | F::KidTraversal
        | F::EncryptionKey
        | F::SignatureDer
        | F::SignatureZero
        | F::IssSlash
        | F::IssOther
        | F::NoIss
        | F::AudOther
        | F::NoAud
        | F::AudLetter
        | F::AudTwoAzpOther
        | F::AudTwoNoAzp
        | F::NoSub
        | F::SubEmpty
        | F::SubOther
        | F::SubLong
        | F::SubTwice
        | F::IatAhead
        | F::NoIat
        | F::NoExp
        | F::ExpPast
        | F::ExpString
        | F::NbfAhead
        | F::NonceOther
        | F::NonceArray
        | F::AtHashOther
        | F::AuthTimeOld
        | F::NotAJwt
        | F::PayloadText
        | F::PayloadArray
        | F::Padded
        | F::Deep
        | F::FiveParts => Ended,
    }
}

fn of_token(fault: TokenFault) -> Becomes {
    use TokenFault as F;
    match fault {
        F::NoExpiresIn | F::ExpiresHuge | F::ExpiresFraction | F::ExpiresText => Renewed,
        F::Created | F::TextPlain | F::ByteOrderMark | F::NoRefreshToken => Renewed,
        // These spoil refusals, and nothing is refused.
        F::RefusalOther | F::RefusalFails => Renewed,
        F::InvalidGrant | F::ErrorAsSuccess => Ended,
        // The operator's fault, such as a secret that ran out, must not sign everybody out.
        F::InvalidClient => Kept,
        F::NoTokenType | F::TokenTypeMac | F::NoAccessToken => Kept,
        F::RedirectAway | F::RedirectAgain => Kept,
        // A token that is over before it comes.
        F::ExpiresNegative => Kept,
    }
}

async fn check(scene: &Scene, fault: Fault, what: &str, expected: Becomes) {
    scene.at.provider.set_faults(&[]);
    let mut browser = scene.signed_in("alice").await;
    let first = token_in(&browser.fetch("/token").await);
    scene.expire();
    scene.at.provider.set_faults(&[fault]);
    let answer = browser.fetch("/token").await;
    match expected {
        Renewed => assert!(!["", &first].contains(&token_in(&answer).as_str()), "{what}"),
        Kept => {
            assert_eq!(answer.status, 503, "{what}: {answer:?}");
            assert!(!answer.header("retry-after").is_empty(), "{what}");
            assert_eq!(browser.fetch("/").await.status, 200, "{what}: the rest goes on");
        }
        Ended => {
            assert_eq!(answer.status, 401, "{what}: {answer:?}");
            let asked = scene.refreshes();
            scene.at.provider.set_faults(&[]);
            scene.expire();
            assert_eq!(browser.fetch("/").await.status, 401, "{what}: it came back");
            let person = browser.navigate("/page").await;
            assert_eq!(person.redirect().unwrap().path(), "/oauth2/start", "{what}");
            assert_eq!(scene.refreshes(), asked, "{what}: asked again");
        }
    }
    assert_eq!(scene.at.provider.counts().evil, 0, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refreshed_id_token_keeps_every_rule_or_the_session_ends() {
    let scene = Scene::start().await;
    for fault in IdTokenFault::ALL {
        let on_refresh = Fault::IdToken(GrantType::Refresh, *fault);
        check(&scene, on_refresh, fault.words(), of_id_token(*fault)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_grant_that_is_gone_ends_a_session() {
    let scene = Scene::start().await;
    for fault in TokenFault::ALL {
        let on_refresh = Fault::Token(GrantType::Refresh, *fault);
        check(&scene, on_refresh, fault.words(), of_token(*fault)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_grant_was_revoked_ends_without_a_storm() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    scene.at.provider.revoke_all();
    scene.expire();
    let person = browser.clone().navigate("/page?x=1").await;
    assert_eq!(person.redirect().unwrap().query(), Some("rd=%2Fpage%3Fx%3D1"));
    for _ in 0..50 {
        assert_eq!(browser.fetch("/").await.status, 401);
        scene.pass(10);
    }
    assert_eq!(scene.refreshes(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_removed_is_out_with_the_next_refresh() {
    let scene = Scene::start().await;
    let (mut alice, mut bob) = (scene.signed_in("alice").await, scene.signed_in("bob").await);
    scene.at.provider.remove_account("alice");
    scene.expire();
    assert_eq!(alice.fetch("/").await.status, 401);
    assert_eq!(bob.fetch("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_those_of_the_last_refresh() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    assert_eq!(browser.fetch("/staff").await.status, 200);
    scene.at.provider.set_groups("alice", &["guests"]);
    assert_eq!(browser.fetch("/staff").await.status, 200, "nobody has told us yet");
    scene.expire();
    assert_eq!(browser.fetch("/staff").await.status, 403);
    let told = browser.fetch("/").await.json();
    assert_eq!(told["headers"]["x-forwarded-groups"], "guests");
    scene.at.provider.set_groups("alice", &["staff"]);
    scene.expire();
    assert_eq!(browser.fetch("/staff").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_that_leaves_claims_to_userinfo_loses_none() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    assert_eq!(scene.at.provider.counts().userinfo, 0, "the first ID Token said all");
    scene.at.provider.set_faults(&[Fault::IdToken(GrantType::Refresh, IdTokenFault::Bare)]);
    scene.expire();
    assert_eq!(browser.fetch("/staff").await.status, 200);
    assert_eq!(scene.at.provider.counts().userinfo, 1);
}

/// Where sign-in asked userinfo, every refresh does: what it says no more is gone.
#[tokio::test(flavor = "multi_thread")]
async fn userinfo_is_asked_again_with_every_refresh() {
    let scene = Scene::start().await;
    let bare = [
        Fault::IdToken(GrantType::SignIn, IdTokenFault::Bare),
        Fault::IdToken(GrantType::Refresh, IdTokenFault::Bare),
    ];
    scene.at.provider.set_faults(&bare);
    let mut browser = scene.signed_in("alice").await;
    assert_eq!(browser.fetch("/staff").await.status, 200);
    scene.at.provider.set_groups("alice", &[]);
    scene.expire();
    assert_eq!(browser.fetch("/staff").await.status, 403);
    assert_eq!(scene.at.provider.counts().userinfo, 2);
    // While it cannot be asked, the claims stay as they were, and the new tokens count.
    scene.at.provider.set_groups("alice", &["staff"]);
    let down = Fault::Network(DemoEndpoint::Userinfo, NetworkFault::Unavailable);
    scene.at.provider.set_faults(&[bare[0], bare[1], down]);
    scene.expire();
    assert!(!token_in(&browser.fetch("/token").await).is_empty());
    assert_eq!(browser.fetch("/staff").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_signing_key_between_sign_in_and_refresh_is_found() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    scene.at.provider.rotate_keys().unwrap();
    scene.expire();
    assert_eq!(browser.fetch("/").await.status, 200);
    assert_eq!(scene.refreshes(), 1);
}
