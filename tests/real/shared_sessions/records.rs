//! What is in Redis: it says nothing to its reader, and nothing that is put there by others is believed.

use redis::Value;

use super::*;

fn write(pair: &Pair, key: &str, value: &[u8]) {
    pair.redis.command(&[b"SET", key.as_bytes(), value, b"KEEPTTL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_keys_nor_values_contain_what_they_are_about() {
    let token = "identity_headers: { X-Token: \"{access_token}\" }";
    let routes = [format!("UPSTREAM, allow: authenticated, {token}")];
    let pair = Pair::with(Stack::builder().routes(routes), "").await;
    let alice = pair.first.browser_of("alice").await;
    let page = pair.second.fetch(&alice, "/").await.json();
    let token = page["headers"]["x-token"].as_str().unwrap();
    let cookie = alice.cookie("/", "portcullis").unwrap();
    let stored = stored::values(&pair.redis);
    assert!(stored.keys().any(|key| key.ends_with("}:s")), "{stored:?}");
    assert!(stored.keys().any(|key| key.contains(":u:")), "{stored:?}");
    let mut secrets = vec![token, cookie, "alice", "demo", "eyJ", "company", "staff", "wiki"];
    secrets.extend(token.split('.'));
    for (key, values) in stored {
        for text in values.iter().map(Vec::as_slice).chain([key.as_bytes()]) {
            for secret in &secrets {
                let found = text.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{secret:?} is in {key}");
            }
        }
        let left = pair.redis.command(&["PTTL", &key]);
        let Value::Int(left) = left else { panic!("{left:?}") };
        assert!((1..=12 * 3600 * 1000 + 60_000).contains(&left), "{key} is left for {left} ms");
    }
}

// T96
#[tokio::test(flavor = "multi_thread")]
async fn damaged_record_is_no_session() {
    let pair = Pair::start().await;
    let alice = pair.first.browser_of("alice").await;
    let (key, honest) = stored::records(&pair.redis).remove(0);
    let mut damaged = vec![Vec::new(), vec![honest[0]], honest[..honest.len() - 1].to_vec()];
    for at in [0, 1, 9, 17, 25, 40, honest.len() / 2, honest.len() - 1] {
        let mut value = honest.clone();
        value[at] ^= 1;
        damaged.push(value);
    }
    let mut newer = honest.clone();
    newer[0] += 1;
    damaged.push(newer);
    for value in damaged {
        // So that no instance knows it any more.
        pair.redis.command(&["UNLINK", &key]);
        for instance in pair.instances() {
            instance.becomes(401, &[200], &alice, A_SECOND).await;
        }
        pair.redis.command(&[b"SET", key.as_bytes(), &value, b"PX", b"60000"]);
        for instance in pair.instances() {
            assert_eq!(instance.status(&alice).await, 401);
        }
        write(&pair, &key, &honest);
        for instance in pair.instances() {
            instance.becomes(200, &[401], &alice, A_SECOND).await;
        }
    }
    let unreadable = "session_store_operations_total{operation=\"read\",outcome=\"unreadable\"}";
    for instance in pair.instances() {
        let counted = crate::support::operator::value(&instance.gateway, unreadable).await;
        assert!(counted.is_some_and(|count| count >= 11.0), "{counted:?}");
    }
}

// T96
#[tokio::test(flavor = "multi_thread")]
async fn record_at_the_key_of_another_session_is_no_session() {
    let pair = Pair::start().await;
    let (alice, bob) = (pair.first.browser_of("alice").await, pair.first.browser_of("bob").await);
    let records = stored::records(&pair.redis);
    let [(one, first), (other, second)] = &*records else { panic!("{records:?}") };
    write(&pair, one, second);
    write(&pair, other, first);
    for browser in [&alice, &bob] {
        for instance in pair.instances() {
            instance.becomes(401, &[200], browser, A_SECOND).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_is_replaced_by_a_list_without_signing_users_out() {
    const NEW: &str = "fedcba9876543210fedcba9876543210";
    let pair = Pair::start().await;
    let before = pair.first.browser_of("alice").await;
    let Pair { first, second, redis: _redis, provider: _provider, application: _application } =
        pair;
    let (one, both) = (format!("secret: {SECRET}"), format!("secret: [{NEW}, {SECRET}]"));
    let [first, second] = [first, second].map(|instance| instance.restarted(&one, &both));
    let between = first.browser_of("bob").await;
    for instance in [&first, &second] {
        for browser in [&before, &between] {
            instance.becomes(200, &[503], browser, RECOVERY).await;
        }
    }
    let [first, second] =
        [first, second].map(|instance| instance.restarted(&both, &format!("secret: {NEW}")));
    for instance in [&first, &second] {
        instance.becomes(200, &[503], &between, RECOVERY).await;
        instance.becomes(401, &[503], &before, RECOVERY).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_prefixes_share_a_server_and_no_sessions() {
    let pair = Pair::start().await;
    let alice = pair.first.browser_of("alice").await;
    let Pair { first, second, redis, provider: _provider, application: _application } = pair;
    let second = second.restarted("outage_cache: 2s", "outage_cache: 2s, key_prefix: other");
    second.becomes(401, &[503], &alice, RECOVERY).await;
    let bob = second.browser_of("bob").await;
    assert_eq!((first.status(&alice).await, second.status(&bob).await), (200, 200));
    assert_eq!(first.status(&bob).await, 401);
    let keys: Vec<_> = stored::values(&redis).into_keys().collect();
    assert!(keys.iter().any(|key| key.starts_with("other:")), "{keys:?}");
}
