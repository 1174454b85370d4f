//! The token endpoint cannot be reached, or fails, when a token has expired.

use std::time::Duration;

use tokio::time::Instant;

use super::{Scene, token_in};
use crate::support::browser::Answer;
use crate::support::faults::{
    DemoEndpoint, Fault, GrantType, IdTokenFault, NetworkFault, RefreshTokens, TokenFault,
};

pub(super) const DOWN: [Fault; 1] =
    [Fault::Network(DemoEndpoint::Token, NetworkFault::Unavailable)];

#[tokio::test(flavor = "multi_thread")]
async fn session_in_its_grace_period_is_used_without_its_access_token() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    scene.at.provider.set_faults(&DOWN);
    scene.expire();
    let answer = browser.fetch("/").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["headers"]["x-forwarded-user"], "demo-alice");
    let unavailable = browser.fetch("/token").await;
    assert_eq!(unavailable.status, 503, "{unavailable:?}");
    assert!(!unavailable.header("retry-after").is_empty());
    let page = browser.navigate("/token").await;
    assert!(page.body.contains("The sign-in service does not answer"), "{}", page.body);
    assert_eq!(browser.fetch("/open").await.status, 200);
    scene.pass(290);
    assert_eq!(browser.fetch("/").await.status, 200, "five minutes are not over");
    scene.pass(20);
    assert_eq!(browser.fetch("/").await.status, 401);
    let person = browser.navigate("/").await;
    assert_eq!(person.redirect().unwrap().path(), "/oauth2/start");
    scene.at.provider.set_faults(&[]);
    scene.pass(10);
    assert!(
        !token_in(&browser.fetch("/token").await).is_empty(),
        "its refresh token is good still"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn session_past_its_grace_period_identifies_no_user() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    scene.at.provider.set_faults(&DOWN);
    scene.expire();
    let user = |answer: &Answer| answer.json()["headers"]["x-user"].clone();
    assert_eq!(user(&browser.fetch("/open").await), "demo-alice");
    assert_eq!(browser.fetch("/oauth2/userinfo").await.status, 200);
    scene.pass(310);
    assert!(user(&browser.fetch("/open").await).is_null());
    assert_eq!(browser.fetch("/oauth2/userinfo").await.status, 401);
}

/// After the first timeout, requests do not wait for the provider again.
#[tokio::test(flavor = "multi_thread")]
async fn session_in_its_grace_period_waits_once_for_a_silent_provider() {
    let scene = Scene::with(RefreshTokens::Fixed, "5s").await;
    let mut browser = scene.signed_in("alice").await;
    scene.at.provider.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Hang)]);
    scene.expire();
    assert_eq!(browser.fetch("/").await.status, 200);
    for _ in 0..2 {
        scene.pass(10);
        let began = Instant::now();
        assert_eq!(browser.fetch("/").await.status, 200);
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
    assert!(scene.refreshes() >= 2, "it is tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_userinfo_refreshes_the_session_like_a_route() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    scene.at.provider.set_groups("alice", &["wiki"]);
    scene.expire();
    let answer = browser.fetch("/oauth2/userinfo").await.json();
    assert_eq!(answer["groups"], serde_json::json!(["wiki"]));
    scene.at.provider.set_faults(&[Fault::Token(GrantType::Refresh, TokenFault::InvalidGrant)]);
    scene.expire();
    assert_eq!(browser.fetch("/oauth2/userinfo").await.status, 401);
}

/// A member fares no worse than a stranger.
#[tokio::test(flavor = "multi_thread")]
async fn request_allowed_by_a_public_rule_does_not_refresh() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    assert!(!token_in(&browser.fetch("/mixed/assets/a.css").await).is_empty());
    scene.at.provider.set_faults(&DOWN);
    scene.expire();
    let asset = browser.fetch("/mixed/assets/a.css").await;
    assert_eq!(token_in(&asset), "", "an expired token is never sent");
    assert_eq!(asset.json()["headers"]["x-user"], "demo-alice");
    assert_eq!(scene.refreshes(), 0, "no identity was needed");
    assert_eq!(browser.fetch("/mixed/page").await.status, 503);
    assert_eq!(scene.refreshes(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn outage_makes_one_token_request_per_back_off() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    scene.at.provider.set_faults(&DOWN);
    scene.expire();
    for _ in 0..100 {
        assert_eq!(browser.fetch("/").await.status, 200);
    }
    assert_eq!(scene.refreshes(), 1);
    scene.pass(6);
    for _ in 0..100 {
        assert_eq!(browser.fetch("/").await.status, 200);
    }
    assert_eq!(scene.refreshes(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_arrive_expired_make_one_token_request() {
    let scene = Scene::start().await;
    scene.at.provider.set_faults(&[Fault::Token(GrantType::Refresh, TokenFault::ExpiresNegative)]);
    let mut browser = scene.signed_in("alice").await;
    scene.expire();
    for _ in 0..50 {
        assert_eq!(browser.fetch("/").await.status, 200);
        assert_eq!(browser.fetch("/token").await.status, 503, "an expired token is never sent");
    }
    assert_eq!(scene.refreshes(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_client_secret_is_treated_as_an_outage() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    scene.at.provider.set_faults(&[Fault::Token(GrantType::Refresh, TokenFault::InvalidClient)]);
    scene.expire();
    assert_eq!(browser.fetch("/").await.status, 200);
    assert_eq!(browser.fetch("/token").await.status, 503);
    scene.pass(310);
    assert_eq!(browser.fetch("/").await.status, 401, "the grace is over");
}

/// FAPI 2.0 Security Profile §5.3.2.1: a server that rotates accepts the same token once more.
#[tokio::test(flavor = "multi_thread")]
async fn lost_token_response_is_retried_once_with_the_same_token() {
    let scene = Scene::with(RefreshTokens::Rotating, "10s").await;
    let mut browser = scene.signed_in("alice").await;
    let first = token_in(&browser.fetch("/token").await);
    scene.at.provider.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::LostOnce)]);
    scene.expire();
    let second = token_in(&browser.fetch("/token").await);
    assert!(!second.is_empty() && second != first);
    assert_eq!(scene.refreshes(), 2);
    scene.expire();
    assert!(!token_in(&browser.fetch("/token").await).is_empty());
    assert_eq!(scene.refreshes(), 3);
}

/// A server that takes a repeated token for a stolen one ends the session; so do we, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn lost_token_response_of_a_strict_provider_ends_the_session() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    scene.at.provider.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::LostOnce)]);
    scene.expire();
    assert_eq!(browser.fetch("/").await.status, 401);
    assert_eq!(scene.refreshes(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn network_fault_of_the_token_endpoint_keeps_the_session() {
    let patient = Scene::with(RefreshTokens::Fixed, "10s").await;
    let hasty = Scene::with(RefreshTokens::Fixed, HASTY).await;
    for fault in NetworkFault::ALL {
        let scene = if fault.needs_timeout() { &hasty } else { &patient };
        let mut browser = scene.signed_in("alice").await;
        scene.at.provider.set_faults(&[Fault::Network(DemoEndpoint::Token, fault)]);
        scene.expire();
        let began = Instant::now();
        let answer = browser.fetch("/").await;
        // Faults with the long timeout fail without it.
        assert!(fault.needs_timeout() || began.elapsed() < Duration::from_secs(9), "{fault:?}");
        assert_eq!(answer.status, 200, "{fault:?}: {answer:?}");
        scene.at.provider.set_faults(&[]);
        scene.pass(10);
        assert!(!token_in(&browser.fetch("/token").await).is_empty(), "{fault:?}");
    }
}

/// Signing in does without the documents that were fetched before, and so does a refresh.
#[tokio::test(flavor = "multi_thread")]
async fn refresh_does_not_fetch_known_documents() {
    let scene = Scene::start().await;
    let mut browser = scene.signed_in("alice").await;
    scene.at.provider.set_faults(&[
        Fault::Network(DemoEndpoint::Discovery, NetworkFault::Hang),
        Fault::Network(DemoEndpoint::Jwks, NetworkFault::Hang),
    ]);
    scene.expire();
    assert!(!token_in(&browser.fetch("/token").await).is_empty());
}

/// New tokens count though their claims cannot be had: these stay as they were, unless the provider says
/// that it has no userinfo.
#[tokio::test(flavor = "multi_thread")]
async fn network_fault_of_userinfo_keeps_the_session() {
    let patient = Scene::start().await;
    let hasty = Scene::with(RefreshTokens::RotatingStrictly, HASTY).await;
    let bare = [GrantType::SignIn, GrantType::Refresh]
        .map(|grant| Fault::IdToken(grant, IdTokenFault::Bare));
    for fault in NetworkFault::ALL {
        let scene = if fault.needs_timeout() { &hasty } else { &patient };
        scene.at.provider.set_faults(&bare);
        let mut browser = scene.signed_in("alice").await;
        let first = token_in(&browser.fetch("/token").await);
        scene.at.provider.set_faults(&[
            bare[0],
            bare[1],
            Fault::Network(DemoEndpoint::Userinfo, fault),
        ]);
        scene.expire();
        let second = token_in(&browser.fetch("/token").await);
        assert!(!["", &first].contains(&second.as_str()), "{fault:?}");
        use NetworkFault as F;
        let none = matches!(fault, F::NotFound | F::RedirectLoop | F::RedirectAway);
        let expected = if none { 403 } else { 200 };
        assert_eq!(browser.fetch("/staff").await.status, expected, "{fault:?}");
    }
}

/// `outage_grace` counts from the first refresh without them.
#[tokio::test(flavor = "multi_thread")]
async fn claims_of_a_userinfo_that_stays_away_go_after_outage_grace_and_come_back() {
    let scene = Scene::start().await;
    let bare = [GrantType::SignIn, GrantType::Refresh]
        .map(|grant| Fault::IdToken(grant, IdTokenFault::Bare));
    scene.at.provider.set_faults(&bare);
    let mut browser = scene.signed_in("alice").await;
    assert_eq!(browser.fetch("/staff").await.status, 200);
    let away = Fault::Network(DemoEndpoint::Userinfo, NetworkFault::Unavailable);
    scene.at.provider.set_faults(&[bare[0], bare[1], away]);
    scene.expire();
    assert_eq!(browser.fetch("/staff").await.status, 200, "the grace period begins");
    scene.pass(230);
    assert_eq!(browser.fetch("/staff").await.status, 200, "five minutes are not over");
    scene.pass(80);
    assert_eq!(browser.fetch("/staff").await.status, 403);
    let answer = browser.fetch("/").await;
    assert_eq!(answer.status, 200, "the provider still accepts the refresh token");
    let headers = &answer.json()["headers"];
    assert_eq!(headers["x-forwarded-user"], "demo-alice");
    assert!(headers["x-forwarded-email"].is_null() && headers["x-forwarded-groups"].is_null());
    let page = browser.navigate("/staff").await;
    assert!(page.body.contains("did not send all groups"), "{}", page.body);
    scene.at.provider.set_faults(&bare);
    scene.expire();
    assert_eq!(browser.fetch("/staff").await.status, 200, "they are back");
}

/// An ID token whose key cannot be fetched yet does not end the session: its claims are read later.
#[tokio::test(flavor = "multi_thread")]
async fn network_fault_of_the_key_set_keeps_the_session() {
    let patient = Scene::start().await;
    let hasty = Scene::with(RefreshTokens::RotatingStrictly, HASTY).await;
    for fault in NetworkFault::ALL {
        let scene = if fault.needs_timeout() { &hasty } else { &patient };
        scene.at.provider.set_faults(&[]);
        scene.at.provider.set_groups("alice", &["staff"]);
        let mut browser = scene.signed_in("alice").await;
        let first = token_in(&browser.fetch("/token").await);
        scene.at.provider.rotate_keys().unwrap();
        scene.at.provider.set_groups("alice", &[]);
        scene.at.provider.set_faults(&[Fault::Network(DemoEndpoint::Jwks, fault)]);
        scene.expire();
        let second = token_in(&browser.fetch("/token").await);
        assert!(!["", &first].contains(&second.as_str()), "{fault:?}");
        // A document is requested once more at once: then the key is there.
        let expected = if fault == NetworkFault::LostOnce { 403 } else { 200 };
        assert_eq!(browser.fetch("/staff").await.status, expected, "{fault:?}");
        scene.at.provider.set_faults(&[]);
        scene.expire();
        assert_eq!(browser.fetch("/staff").await.status, 403, "{fault:?}: the new key is found");
    }
}

/// For a provider that lets us wait, and still time enough for an honest one on a busy machine.
const HASTY: &str = "3s";
