//! A provider that cannot be reached: at the start, later, and until it is back.

use std::time::Duration;

use portcullis::clock::Clock;
use tokio::net::TcpSocket;

use super::{SignedIn, Trials, check_page, is_ours};
use crate::support::browser::Browser;
use crate::support::faults::{DemoEndpoint, Fault, IdentityProvider, NetworkFault, Settings};
use crate::support::gateway::Gateway;
use crate::support::provider;
use crate::support::stack::Stack;
use crate::support::upstream::Upstream;
use crate::support::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn gateway_starts_without_its_provider_and_finds_it_later() {
    // Bound, so that no other process gets the port, and not listening, so that no client can connect.
    let place = TcpSocket::new_v4().unwrap();
    place.set_reuseaddr(true).unwrap();
    place.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listen = place.local_addr().unwrap();
    let upstream = Upstream::start().await;
    let target = format!("upstream: \"http://{}\"", upstream.address);
    let gateway = Gateway::start(&format!(
        "{}routes:\n  - {{ {target}, allow: authenticated }}\n  \
         - {{ path: /open, {target}, allow: public }}\n",
        provider::section_with(&format!("http://{listen}"), "")
    ));
    let mut browser = Browser::new(&gateway);
    let page = browser.open("/page").await;
    assert_eq!(page.status, 503, "{page:?}");
    check_page(&page, "down at the start");
    assert!(page.body.contains("Company cannot be reached"), "{page:?}");
    let cause = format!("cannot reach {listen}");
    gateway.log_until_all(&["cannot get metadata and keys", "\"provider\":\"company\"", &cause]);
    assert_eq!(browser.fetch("/open").await.status, 200);
    assert_eq!(browser.fetch("/").await.status, 401, "an API client gets the sign-in URL");

    let settings = Settings { listen, ..provider::settings() };
    let provider = IdentityProvider::start(settings, Clock::system()).await.unwrap();
    let mut found = None;
    until("the provider is found", async || {
        found = Some(browser.open("/page").await).filter(|page| !is_ours(&page.url));
        found.is_some()
    })
    .await;
    let page = found.unwrap();
    let answer = browser.fill(&page, &[("username", "alice"), ("password", "alice")]).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["target"]), (200, &"/page".into()));
    drop(provider);
    assert_eq!(browser.fetch("/").await.status, 200, "a session needs no provider");
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_discovery_is_requested_once_a_second() {
    let upstream = Upstream::start().await;
    let fails = [Fault::Network(DemoEndpoint::Discovery, NetworkFault::NotFound)];
    let at = Stack::builder().faults(&fails).start_clocked(&upstream).await;
    let mut browser = at.browser();
    for second in 1..=3 {
        for _ in 0..50 {
            assert_eq!(browser.open("/").await.status, 502);
        }
        assert_eq!(at.provider.counts().discovery, second);
        at.clock.advance(Duration::from_secs(1));
    }
    at.provider.set_faults(&[]);
    assert_eq!(provider::sign_in(&mut browser, "/", "alice").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_documents_serve_sign_ins_while_new_ones_hang() {
    let trials = Trials::start().await;
    let mut tried = trials.check(&[], "honest", SignedIn).await;
    let documents = [
        Fault::Network(DemoEndpoint::Discovery, NetworkFault::Hang),
        Fault::Network(DemoEndpoint::Jwks, NetworkFault::Hang),
    ];
    trials.check(&documents, "documents hang", SignedIn).await;
    assert_eq!(tried.browser.fetch("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_at_a_silent_provider_share_one_request_and_delay_no_other() {
    let silent = [Fault::Network(DemoEndpoint::Discovery, NetworkFault::Hang)];
    // Longer than the test takes.
    let builder = Stack::builder().faults(&silent).provider_keys("timeout: 60s");
    let trials = Trials::of(builder).await;
    let received = "the provider receives the request";
    trials.stack.provider.until(received, |counts| counts.discovery > 0).await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let mut browser = trials.stranger();
        waiting.spawn(async move { browser.open("/").await });
    }
    let mut browser = trials.stranger();
    for _ in 0..20 {
        assert_eq!(browser.fetch("/open").await.status, 200);
    }
    assert!(waiting.try_join_next().is_none(), "who opened the door waited as well");
    let requests = trials.stack.provider.counts().discovery;
    trials
        .stack
        .provider
        .set_faults(&[Fault::Network(DemoEndpoint::Discovery, NetworkFault::Unavailable)]);
    for page in waiting.join_all().await {
        assert_eq!(page.status, 503, "{page:?}");
    }
    assert_eq!(requests, 1, "all wait for the same");
}
