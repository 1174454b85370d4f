//! `session.max_bytes`: what a session stores, what it drops, and which sign-in is denied.

use crate::support::faults::IdentityProvider;
use crate::support::operator::until;
use crate::support::provider;
use crate::support::stack::Stack;

/// Groups that together take about so many bytes of claims, `group-0000…` among them.
fn set_groups(provider: &IdentityProvider, bytes: usize) {
    let name = |number: usize| format!("group-{number:04}-{}", "x".repeat(37));
    let groups: Vec<String> = (0..bytes / 51).map(name).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    provider.set_groups("alice", &groups);
}

async fn stack(session: &str) -> Stack {
    let group = format!("group-0000-{}", "x".repeat(37));
    Stack::builder()
        .admin()
        .sections(&format!("session: {{ {session} }}"))
        .routes([format!("UPSTREAM, allow: [{{ groups: [{group}] }}]")])
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn session_over_max_bytes_drops_the_id_token_and_keeps_the_groups() {
    let stack = stack("max_bytes: 40KiB").await;
    set_groups(&stack.provider, 20 * 1024);
    let mut browser = stack.browser();
    let page = provider::sign_in(&mut browser, "/", "alice").await;
    assert_eq!(page.status, 200, "{page:?}");
    until(&stack.gateway, r#"limit_hits_total{limit="session_bytes"}"#, |hits| hits >= 1.0).await;
    stack.gateway.log_until_all(&["session_bytes", "the ID token"]);
    let sign_out = browser.navigate("/oauth2/sign_out").await;
    let there = sign_out.redirect().unwrap();
    let hint = there.query_pairs().any(|(name, _)| name == "id_token_hint");
    assert!(there.as_str().starts_with(stack.provider.issuer()) && !hint, "{there}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_over_max_bytes_gets_403_page_that_says_so() {
    let stack = stack("max_bytes: 16KiB").await;
    set_groups(&stack.provider, 20 * 1024);
    let mut browser = stack.browser();
    let page = provider::sign_in(&mut browser, "/", "alice").await;
    assert_eq!(page.status, 403, "{page:?}");
    assert!(page.body.contains("more data, such as groups"), "{}", page.body);
    stack.gateway.log_until("but session.max_bytes is 16384");
    assert_eq!(browser.cookie("/", "portcullis"), None, "no session");
    let failed = r#"sign_ins_total{provider="company",outcome="too_large"}"#;
    until(&stack.gateway, failed, |count| count == 1.0).await;
    set_groups(&stack.provider, 1024);
    let page = provider::sign_in(&mut stack.browser(), "/", "alice").await;
    assert_eq!(page.status, 200, "{page:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_a_session_is_near_the_bytes_of_its_claims() {
    const SESSIONS: usize = 60;
    const BYTES: usize = 90 * 1024;
    let stack = stack("max_sessions_per_user: 1000").await;
    set_groups(&stack.provider, BYTES);
    let sign_in = async || {
        let mut browser = stack.browser();
        let page = provider::sign_in(&mut browser, "/", "alice").await;
        assert_eq!(page.status, 200, "{page:?}");
    };
    for _ in 0..15 {
        sign_in().await;
    }
    let before = stack.gateway.memory();
    for _ in 0..SESSIONS {
        sign_in().await;
    }
    let each = stack.gateway.memory().saturating_sub(before) / SESSIONS;
    assert!(each < 2 * BYTES, "{each} bytes a session of {BYTES} bytes of claims");
}
