//! Somebody signs out while a refresh of the session is under way.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::Scene;
use super::outage::DOWN;
use crate::support::browser::{Answer, Browser};
use crate::support::faults::{DemoEndpoint, Fault, NetworkFault, RefreshTokens};
use crate::support::wait::Patience;

/// Somebody whose request waits for a provider that hangs.
async fn waiting(scene: &Scene) -> (Browser, JoinHandle<Answer>) {
    let browser = scene.signed_in("alice").await;
    scene.at.provider.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Hang)]);
    scene.expire();
    let mut asking = browser.clone();
    let asker = tokio::spawn(async move { asking.fetch("/").await });
    let patience = Patience::until("the provider is asked");
    while scene.refreshes() == 0 {
        patience.pause().await;
    }
    (browser, asker)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_refresh_that_fails_is_out_with_the_session() {
    let scene = Scene::with(RefreshTokens::Fixed, "10s").await;
    let (mut browser, asker) = waiting(&scene).await;
    let mut stale = browser.clone();
    assert!(browser.navigate("/oauth2/sign_out").await.redirect().is_some());
    let asked = scene.upstream.asked();
    scene.at.provider.set_faults(&DOWN);
    // The grace of an outage is for those who are signed in.
    assert_eq!(asker.await.unwrap().status, 401);
    assert_eq!(stale.fetch("/").await.status, 401);
    assert_eq!(scene.upstream.asked(), asked);
}

/// The refresh token that it brings is the one to be given back, not the one that it spent.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_under_way_brings_no_session_back_and_its_token_is_revoked() {
    let scene = Scene::start().await;
    let (mut browser, asker) = waiting(&scene).await;
    let mut stale = browser.clone();
    assert!(browser.navigate("/oauth2/sign_out").await.redirect().is_some());
    // From now on it answers: the same token is sent once more, as the first answer is lost.
    scene.at.provider.set_faults(&[]);
    let patience = Patience::until("the refresh is repeated");
    loop {
        let counts = scene.at.provider.counts();
        if counts.refreshes == 2 {
            break;
        }
        assert_eq!(counts.revocations, 0, "revoked behind the back of a refresh");
        patience.pause().await;
    }
    assert_eq!(asker.await.unwrap().status, 401);
    let patience = Patience::until("the new token is revoked");
    while scene.at.provider.counts().revocations == 0 {
        patience.pause().await;
    }
    scene.at.clock.advance(Duration::from_secs(10));
    assert_eq!(stale.fetch("/").await.status, 401);
    assert_eq!(scene.refreshes(), 2);
}
