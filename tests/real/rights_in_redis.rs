//! The rights that the README gives the user of the gateway in Redis: they are enough, at Redis and at Valkey.

use std::fs;
use std::path::Path;
use std::time::Duration;

use redis::Value;

use crate::component::redis::{RealRedis, RedisKind, RedisOptions};
use crate::support::browser::Browser;
use crate::support::operator::ready;
use crate::support::provider;
use crate::support::stack::Stack;
use crate::support::wait::until;

const PASSWORD: &str = "a-password-of-a-user-of-redis";

/// The words of the README's command.
fn rights() -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let mut lines = readme.lines().map(str::trim);
    let line = lines.find(|line| line.starts_with("ACL SETUSER portcullis ")).unwrap();
    let words = line.replace(">PASSWORD", &format!(">{PASSWORD}"));
    words.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_of_the_readme_are_enough_for_a_session_from_sign_in_to_sign_out() {
    for kind in RedisKind::ALL {
        let lines = vec!["maxmemory-policy noeviction"];
        let redis = RealRedis::start(*kind, RedisOptions { lines, ..Default::default() }).await;
        let words = rights();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        assert_eq!(redis.command(&words), Value::Okay, "{kind:?}: {words:?}");
        let session = format!(
            "session: {{ secret: {}, idle_timeout: 1h, store: {{ redis: {{ url: \"{}/1\", username: portcullis, \
             password: {PASSWORD} }} }} }}",
            "0123456789abcdef0123456789abcdef",
            redis.url()
        );
        let builder = Stack::builder().token_lifetime(Duration::from_secs(1)).admin();
        let stack = builder.sections(&session).start().await;
        ready(&stack.gateway, "ready\n").await;
        let mut alice = Browser::new(&stack.gateway);
        assert_eq!(provider::sign_in(&mut alice, "/", "alice").await.status, 200, "{kind:?}");
        until("two refreshes have succeeded", async || {
            assert_eq!(alice.fetch("/").await.status, 200, "{kind:?}");
            stack.provider.counts().refreshes > 1
        })
        .await;
        let page = alice.open("/oauth2/sign_out").await;
        assert!(page.url.as_str().ends_with("/oauth2/signed_out"), "{kind:?}: {page:?}");
        assert_eq!(alice.fetch("/").await.status, 401, "{kind:?}");
        // What it tried and was denied.
        assert_eq!(redis.command(&["ACL", "LOG"]), Value::Array(Vec::new()), "{kind:?}");
    }
}
