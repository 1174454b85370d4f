//! Answers of the provider to a refresh, and their outcome for the session (OIDC Core §12.2).

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
        F::GroupsElsewhere | F::GroupsAreObjects => Renewed,
        // Another client of the browser asked the user to sign in again; an audience mapper was added.
        F::AuthTimeLater | F::AudGrown => Renewed,
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
        // These change error responses, and there is none.
        F::ErrorOther | F::ErrorFails => Renewed,
        // Rejected, in any words: the user can only sign in again.
        F::InvalidGrant | F::ErrorAsSuccess | F::InteractionRequired => Ended,
        F::UnauthorizedClient | F::NotOk | F::NoAccessToken => Ended,
        // A fault of the operator, such as an expired secret, must not sign all users out.
        F::InvalidClient | F::WrongSecret => Kept,
        F::NoTokenType | F::TokenTypeMac | F::SlowDown => Kept,
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
            let before = scene.refreshes();
            scene.at.provider.set_faults(&[]);
            scene.expire();
            assert_eq!(browser.fetch("/").await.status, 401, "{what}: it came back");
            let person = browser.navigate("/page").await;
            assert_eq!(person.redirect().unwrap().path(), "/oauth2/start", "{what}");
            assert_eq!(scene.refreshes(), before, "{what}: requested again");
        }
    }
    assert_eq!(scene.at.provider.counts().evil, 0, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn id_token_fault_on_refresh_has_its_outcome() {
    let scene = Scene::start().await;
    for fault in IdTokenFault::ALL {
        let on_refresh = Fault::IdToken(GrantType::Refresh, *fault);
        check(&scene, on_refresh, fault.words(), of_id_token(*fault)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_response_fault_on_refresh_has_its_outcome() {
    let scene = Scene::start().await;
    for fault in TokenFault::ALL {
        let on_refresh = Fault::Token(GrantType::Refresh, *fault);
        check(&scene, on_refresh, fault.words(), of_token(*fault)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_with_a_revoked_grant_ends_after_one_token_request() {
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
async fn removed_account_is_signed_out_with_the_next_refresh() {
    let scene = Scene::start().await;
    let (mut alice, mut bob) = (scene.signed_in("alice").await, scene.signed_in("bob").await);
    scene.at.provider.remove_account("alice");
    scene.expire();
    assert_eq!(alice.fetch("/").await.status, 401);
    assert_eq!(bob.fetch("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_taken_from_the_last_refresh() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    assert_eq!(browser.fetch("/staff").await.status, 200);
    scene.at.provider.set_groups("alice", &["guests"]);
    assert_eq!(browser.fetch("/staff").await.status, 200, "before the next refresh");
    scene.expire();
    assert_eq!(browser.fetch("/staff").await.status, 403);
    let received = browser.fetch("/").await.json();
    assert_eq!(received["headers"]["x-forwarded-groups"], "guests");
    scene.at.provider.set_groups("alice", &["staff"]);
    scene.expire();
    assert_eq!(browser.fetch("/staff").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn refreshed_id_token_without_claims_is_completed_by_userinfo() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    assert_eq!(scene.at.provider.counts().userinfo, 0, "the first ID Token said all");
    scene.at.provider.set_faults(&[Fault::IdToken(GrantType::Refresh, IdTokenFault::Bare)]);
    scene.expire();
    assert_eq!(browser.fetch("/staff").await.status, 200);
    assert_eq!(scene.at.provider.counts().userinfo, 1);
}

/// If the sign-in needed userinfo, every refresh requests it: claims that it no longer has are removed.
#[tokio::test(flavor = "multi_thread")]
async fn userinfo_is_requested_with_every_refresh() {
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
    // While userinfo fails, the claims stay as they were, and the new tokens are used.
    scene.at.provider.set_groups("alice", &["staff"]);
    let down = Fault::Network(DemoEndpoint::Userinfo, NetworkFault::Unavailable);
    scene.at.provider.set_faults(&[bare[0], bare[1], down]);
    scene.expire();
    assert!(!token_in(&browser.fetch("/token").await).is_empty());
    assert_eq!(browser.fetch("/staff").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_signing_key_is_fetched_at_a_refresh() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    scene.at.provider.rotate_keys().unwrap();
    scene.expire();
    assert_eq!(browser.fetch("/").await.status, 200);
    assert_eq!(scene.refreshes(), 1);
}
