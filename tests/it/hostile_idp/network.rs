//! Endpoints of the provider that fail on the network or answer outside their protocol, each in every way.

use std::time::Duration;

use super::{Failed, HASTY, Outcome, SignedIn, Trials, each};
use crate::support::browser::Browser;
use crate::support::clocked::Clocked;
use crate::support::faults::{DemoEndpoint, Fault, GrantType, IdTokenFault, NetworkFault};
use crate::support::provider;
use crate::support::stack::Stack;
use crate::support::upstream::Upstream;

/// The outcome of a sign-in that needs the answer: 503 if the fault may end by itself, 502 if not.
fn expected(fault: NetworkFault) -> Outcome {
    use NetworkFault as F;
    match fault {
        F::InternalError => Failed(503, "unexpected status 500"),
        F::Unavailable => Failed(503, "unexpected status 503"),
        F::TooManyRequests => Failed(503, "unexpected status 429"),
        F::NotFound => Failed(502, "unexpected status 404"),
        F::RedirectLoop | F::RedirectAway => Failed(502, "unexpected status 302"),
        F::Html | F::Empty | F::Truncated | F::BadUtf8 => Failed(502, "unusable response"),
        F::ShortBody
        | F::Lost
        | F::LostOnce
        | F::Hang
        | F::Drip
        | F::Reset
        | F::HeaderFlood
        | F::Garbage => Failed(503, "no complete response from 127.0.0.1"),
        F::Huge | F::CompressedBomb => Failed(503, "is larger than"),
    }
}

/// A gateway that meets the fault when it asks for the first time.
async fn meets(endpoint: DemoEndpoint, fault: NetworkFault) {
    let faults = [Fault::Network(endpoint, fault)];
    let timeout = if fault.needs_timeout() { HASTY } else { "timeout: 10s" };
    let trials = Trials::of(Stack::builder().faults(&faults).provider_keys(timeout)).await;
    let what = format!("{endpoint:?}: {fault:?}");
    if fault == NetworkFault::LostOnce {
        // A document is requested once more at once; nothing else is.
        trials.stack.provider.until("the fault has occurred", |counts| counts.jwks > 0).await;
        trials.check(&[], &what, SignedIn).await;
    } else {
        trials.check_and_mend(&faults, &what, expected(fault)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn network_fault_of_discovery_has_its_outcome() {
    each(NetworkFault::ALL, |fault| meets(DemoEndpoint::Discovery, fault)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn network_fault_of_the_key_set_has_its_outcome() {
    each(NetworkFault::ALL, |fault| meets(DemoEndpoint::Jwks, fault)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn network_fault_of_the_token_endpoint_has_its_outcome() {
    let (patient, hasty) = tokio::join!(Trials::start(), Trials::hasty());
    for fault in NetworkFault::ALL {
        let trials = if fault.needs_timeout() { &hasty } else { &patient };
        let before = trials.stack.provider.counts().code_exchanges;
        let faults = [Fault::Network(DemoEndpoint::Token, fault)];
        trials.hold(&faults, &format!("{fault:?}"), expected(fault)).await;
        assert_eq!(
            trials.stack.provider.counts().code_exchanges,
            before + 1,
            "{fault:?}: sent once"
        );
        patient.check(&[], &format!("after {fault:?}"), SignedIn).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn network_fault_of_userinfo_has_its_outcome() {
    let (patient, hasty) = tokio::join!(Trials::start(), Trials::hasty());
    let bare = Fault::IdToken(GrantType::SignIn, IdTokenFault::Bare);
    for fault in NetworkFault::ALL {
        let (faults, what) =
            ([bare, Fault::Network(DemoEndpoint::Userinfo, fault)], format!("{fault:?}"));
        // It costs the claims, and not the sign-in.
        let trials = if fault.needs_timeout() { &hasty } else { &patient };
        let tried = trials.check(&faults, &what, SignedIn).await;
        assert!(tried.answer.json()["headers"]["x-forwarded-groups"].is_null(), "{what}");
    }
}

/// A sign-out does not wait for the provider to revoke its token.
#[tokio::test(flavor = "multi_thread")]
async fn network_fault_of_revocation_does_not_delay_sign_out() {
    let trials = Trials::start().await;
    for (number, fault) in NetworkFault::ALL.into_iter().enumerate() {
        let faults = [Fault::Network(DemoEndpoint::Revocation, fault)];
        let mut tried = trials.check(&[], "honest", SignedIn).await;
        trials.stack.provider.set_faults(&faults);
        let began = tokio::time::Instant::now();
        let answer = tried.browser.navigate("/oauth2/sign_out").await;
        assert!(began.elapsed() < Duration::from_secs(9), "{fault:?}: waited for");
        assert!(answer.redirect().unwrap().path().ends_with("/end_session"), "{fault:?}");
        assert_eq!(tried.browser.fetch("/").await.status, 401, "{fault:?}");
        let revoked = "the refresh token is revoked";
        trials.stack.provider.until(revoked, |counts| counts.revocations > number).await;
    }
    trials.stack.provider.set_faults(&[]);
    trials.check(&[], "after all of them", SignedIn).await;
}

/// T79: what a provider sends is read as far as we need it, and no further.
#[tokio::test(flavor = "multi_thread")]
async fn oversize_provider_answers_do_not_stay_in_memory() {
    let trials = Trials::start().await;
    let floods = [NetworkFault::Huge, NetworkFault::CompressedBomb, NetworkFault::HeaderFlood];
    let round = async || {
        for fault in floods {
            let faults = [Fault::Network(DemoEndpoint::Token, fault)];
            trials.hold(&faults, &format!("{fault:?}"), expected(fault)).await;
        }
        trials.check(&[], "honest", SignedIn).await;
    };
    round().await;
    let before = trials.stack.gateway.memory();
    for _ in 0..5 {
        round().await;
    }
    let grown = trials.stack.gateway.memory().saturating_sub(before) >> 20;
    assert!(grown < 24, "grown by {grown} MiB");
}

/// A breaker: after five failures in a row the token endpoint is left alone for a while.
#[tokio::test(flavor = "multi_thread")]
async fn circuit_breaker_of_the_token_endpoint_opens_after_five_failures() {
    let upstream = Upstream::start().await;
    let at = Clocked::in_front_of(&upstream).await;
    let mut browser = at.browser();
    let try_one = async |browser: &mut Browser| {
        let callback = provider::callback(browser, "/", "alice").await;
        browser.navigate(callback.as_str()).await.status.as_u16()
    };
    at.provider.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Unavailable)]);
    for _ in 0..8 {
        assert_eq!(try_one(&mut browser).await, 503);
    }
    assert_eq!(at.provider.counts().code_exchanges, 5);
    at.provider.set_faults(&[]);
    assert_eq!(try_one(&mut browser).await, 503, "it rests, though the provider is up again");
    assert_eq!(at.provider.counts().code_exchanges, 5);
    at.clock.advance(Duration::from_secs(5));
    assert_eq!(try_one(&mut browser).await, 302);
    assert_eq!(browser.fetch("/").await.status, 200);
}

/// At most 64 token requests at a time, of however many addresses: who comes then waits.
#[tokio::test(flavor = "multi_thread")]
async fn hanging_token_endpoint_gets_64_requests_at_a_time() {
    const BROWSERS: usize = 70;
    // Longer than the test takes.
    let trials = Trials::of(Stack::builder().provider_keys("timeout: 60s")).await;
    let mut ready = Vec::new();
    for _ in 0..BROWSERS {
        let mut browser = trials.stranger();
        let callback = provider::callback(&mut browser, "/", "alice").await;
        ready.push((browser, callback));
    }
    trials.stack.provider.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Hang)]);
    let mut asking = tokio::task::JoinSet::new();
    for (mut browser, callback) in ready {
        asking.spawn(async move { browser.navigate(callback.as_str()).await });
    }
    trials.stack.provider.until("64 codes are sent", |counts| counts.code_exchanges >= 64).await;
    trials.stack.provider.set_faults(&[]);
    let answers = asking.join_all().await;
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(503), count(302)), (64, BROWSERS - 64), "those who waited met it mended");
    assert_eq!(
        trials.stack.provider.counts().code_exchanges,
        BROWSERS,
        "a code is never sent twice"
    );
}
