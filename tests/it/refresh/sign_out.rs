//! A sign-out while a refresh of the session is in flight.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::Scene;
use super::outage::DOWN;
use crate::support::browser::{Answer, Browser};
use crate::support::faults::{DemoEndpoint, Fault, NetworkFault, RefreshTokens};

/// A user whose request waits for a provider that hangs.
async fn waiting(scene: &Scene) -> (Browser, JoinHandle<Answer>) {
    let browser = scene.signed_in("alice").await;
    scene.at.provider.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Hang)]);
    scene.expire();
    let mut asking = browser.clone();
    let request = tokio::spawn(async move { asking.fetch("/").await });
    scene.until_refreshes(1).await;
    (browser, request)
}

#[tokio::test(flavor = "multi_thread")]
async fn request_that_waits_for_a_failing_refresh_gets_401_after_sign_out() {
    let scene = Scene::with(RefreshTokens::Fixed, "10s").await;
    let (mut browser, request) = waiting(&scene).await;
    let mut stale = browser.clone();
    assert!(browser.navigate("/oauth2/sign_out").await.redirect().is_some());
    let before = scene.upstream.request_count();
    scene.at.provider.set_faults(&DOWN);
    // The grace of an outage is for those who are signed in.
    assert_eq!(request.await.unwrap().status, 401);
    assert_eq!(stale.fetch("/").await.status, 401);
    assert_eq!(scene.upstream.request_count(), before);
}

/// The refresh token that it brings is the one to be given back, not the one that it spent.
#[tokio::test(flavor = "multi_thread")]
async fn refresh_in_flight_at_sign_out_restores_no_session_and_its_token_is_revoked() {
    let scene = Scene::start().await;
    let (mut browser, request) = waiting(&scene).await;
    let mut stale = browser.clone();
    assert!(browser.navigate("/oauth2/sign_out").await.redirect().is_some());
    // From now on it answers: the same token is sent once more, as the first answer is lost.
    scene.at.provider.set_faults(&[]);
    let repeated = "the refresh is repeated";
    scene
        .at
        .provider
        .until(repeated, |counts| {
            assert!(counts.refreshes > 1 || counts.revocations == 0, "revoked during the refresh");
            counts.refreshes == 2
        })
        .await;
    assert_eq!(request.await.unwrap().status, 401);
    scene.at.provider.until("the new token is revoked", |counts| counts.revocations > 0).await;
    scene.at.clock.advance(Duration::from_secs(10));
    assert_eq!(stale.fetch("/").await.status, 401);
    assert_eq!(scene.refreshes(), 2);
}
