//! `session.max_bytes`: what a session holds, what it drops, and whose sign-in is refused.

use std::time::Duration;

use crate::support::browser::Browser;
use crate::support::faults::IdentityProvider;
use crate::support::gateway::Gateway;
use crate::support::operator::{gateway, until};
use crate::support::provider;
use crate::support::upstream::Upstream;

/// Groups that together take about so many bytes of claims, `group-0000…` among them.
fn set_groups(provider: &IdentityProvider, bytes: usize) {
    let name = |number: usize| format!("group-{number:04}-{}", "x".repeat(37));
    let groups: Vec<String> = (0..bytes / 51).map(name).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    provider.set_groups("alice", &groups);
}

struct House {
    provider: IdentityProvider,
    _upstream: Upstream,
    gateway: Gateway,
}

async fn house(session: &str) -> House {
    let (provider, upstream) =
        (provider::start(Duration::from_secs(60)).await, Upstream::start().await);
    let group = format!("group-0000-{}", "x".repeat(37));
    let gateway = gateway(
        "",
        &format!(
            "session: {{ {session} }}\n{}routes:\n  \
             - {{ upstream: \"http://{}\", allow: [{{ groups: [{group}] }}] }}\n",
            provider::section(&provider),
            upstream.address
        ),
    );
    House { provider, _upstream: upstream, gateway }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_over_max_bytes_drops_the_id_token_and_keeps_the_groups() {
    let house = house("max_bytes: 40KiB").await;
    set_groups(&house.provider, 20 * 1024);
    let mut browser = Browser::new(&house.gateway);
    let page = provider::sign_in(&mut browser, "/", "alice").await;
    assert_eq!(page.status, 200, "{page:?}");
    until(&house.gateway, r#"limit_hits_total{limit="session_bytes"}"#, |hits| hits >= 1.0).await;
    house.gateway.log_until_all(&["session_bytes", "the ID token"]);
    let sign_out = browser.navigate("/oauth2/sign_out").await;
    let there = sign_out.redirect().unwrap();
    let hint = there.query_pairs().any(|(name, _)| name == "id_token_hint");
    assert!(there.as_str().starts_with(house.provider.issuer()) && !hint, "{there}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_over_max_bytes_gets_403_with_a_page_that_says_so() {
    let house = house("max_bytes: 16KiB").await;
    set_groups(&house.provider, 20 * 1024);
    let mut browser = Browser::new(&house.gateway);
    let page = provider::sign_in(&mut browser, "/", "alice").await;
    assert_eq!(page.status, 403, "{page:?}");
    assert!(page.body.contains("session.max_bytes"), "{}", page.body);
    assert_eq!(browser.cookie("/", "portcullis"), None, "no session");
    let failed = r#"sign_ins_total{provider="company",outcome="too_large"}"#;
    until(&house.gateway, failed, |count| count == 1.0).await;
    set_groups(&house.provider, 1024);
    let page = provider::sign_in(&mut Browser::new(&house.gateway), "/", "alice").await;
    assert_eq!(page.status, 200, "{page:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_a_session_is_near_the_bytes_of_its_claims() {
    const SESSIONS: usize = 60;
    const BYTES: usize = 90 * 1024;
    let house = house("max_sessions_per_user: 1000").await;
    set_groups(&house.provider, BYTES);
    let sign_in = async || {
        let mut browser = Browser::new(&house.gateway);
        let page = provider::sign_in(&mut browser, "/", "alice").await;
        assert_eq!(page.status, 200, "{page:?}");
    };
    for _ in 0..15 {
        sign_in().await;
    }
    let before = house.gateway.memory();
    for _ in 0..SESSIONS {
        sign_in().await;
    }
    let each = house.gateway.memory().saturating_sub(before) / SESSIONS;
    assert!(each < 2 * BYTES, "{each} bytes a session of {BYTES} bytes of claims");
}
