//! How an operator can have it: unix socket, TLS, users, databases; and what the server says no to.

use std::time::Duration;

use portcullis::secret::Secret;
use portcullis::session::redis::{
    ErrorReplyKind, Notice, RedisAddress, RedisError, RedisSettings, RedisTls,
};
use redis::Value;
use tokio::time::timeout;

use super::{Client, HOUR, settings};
use crate::component::redis::{RealRedis, RedisKind, RedisOptions, RedisTransport};
use crate::support::gateway::Gateway;
use crate::support::wait::Patience;

const RECORD: &str = "portcullis:{a}:s";
const LOCK: &str = "portcullis:{a}:l";

/// All that the gateway does with one record.
async fn check_works(client: &mut Client) {
    assert_eq!(client.notice().await, Notice::Connected);
    let server = &client.server;
    server.insert(RECORD, b"1generation-is-ab", HOUR).await.unwrap();
    assert!(server.lock(LOCK, "me", HOUR).await.unwrap());
    let generation = b"generation-is-ab";
    assert!(server.replace(RECORD, LOCK, "me", generation, b"1generation-is-bc").await.unwrap());
    assert!(server.renew_lock(LOCK, "me", HOUR).await.unwrap());
    assert!(server.extend(RECORD, HOUR).await.unwrap());
    assert!(server.read(RECORD).await.unwrap().is_some() && server.exists(RECORD).await.unwrap());
    server.index("portcullis:u:{b}", b"a", 1, HOUR, 1).await.unwrap();
    server.index_score("portcullis:u:{b}", b"a", 2).await.unwrap();
    server.unindex("portcullis:u:{b}", b"a").await.unwrap();
    assert!(server.claim("portcullis:n:1", HOUR).await.unwrap());
    assert!(server.remove_if(RECORD, LOCK, "me", b"generation-is-bc").await.unwrap());
    server.unlock(LOCK, "me").await.unwrap();
    assert!(!server.remove(RECORD).await.unwrap());
}

/// It does not connect, in the time of some attempts.
async fn check_fails(settings: RedisSettings) {
    let mut client = Client::with(settings);
    let attempts = timeout(Duration::from_millis(150), client.notices.recv());
    assert!(attempts.await.is_err());
    assert!(!client.server.link().up && !client.server.has_answered());
    assert_eq!(client.server.read(RECORD).await, Err(RedisError::Down));
}

#[tokio::test]
async fn unix_socket_and_another_database_work() {
    for kind in RedisKind::EVERY {
        let options = RedisOptions { transport: RedisTransport::Unix, ..Default::default() };
        let redis = RealRedis::start(*kind, options).await;
        let address = RedisAddress::Unix(redis.socket());
        let mut client = Client::with(RedisSettings { address, database: 3, ..settings(&redis) });
        check_works(&mut client).await;
        let Value::BulkString(keyspace) = redis.command(&["INFO", "keyspace"]) else { panic!() };
        let keyspace = String::from_utf8(keyspace).unwrap();
        assert!(keyspace.contains("db3:") && !keyspace.contains("db0:"), "{keyspace}");
        check_fails(RedisSettings { database: 99, ..settings(&redis) }).await;
        check_fails(RedisSettings {
            address: RedisAddress::Unix(redis.file("missing")),
            ..settings(&redis)
        })
        .await;
    }
}

#[tokio::test]
async fn tls_needs_the_authority_of_the_operator_and_a_client_certificate() {
    let options = RedisOptions { transport: RedisTransport::Tls, ..Default::default() };
    let redis = RealRedis::start(RedisKind::Redis, options).await;
    let file = |name| std::fs::read_to_string(redis.file(name)).unwrap();
    let ca = file("ca.pem");
    let client = (file("client.pem"), Secret::new(file("client.key")));
    let with = |ca: Option<&String>, client: Option<&(String, Secret)>| {
        let name = redis.address().ip().into();
        let tls = RedisTls::new(name, ca.cloned(), client.cloned()).unwrap();
        RedisSettings { tls: Some(tls), ..settings(&redis) }
    };
    check_works(&mut Client::with(with(Some(&ca), Some(&client)))).await;
    check_fails(with(Some(&ca), None)).await;
    check_fails(with(None, Some(&client))).await;
    let other = "other.internal".try_into().unwrap();
    let tls = Some(RedisTls::new(other, Some(ca), Some(client)).unwrap());
    check_fails(RedisSettings { tls, ..settings(&redis) }).await;
    check_fails(settings(&redis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_says_what_keeps_the_gateway_from_connecting() {
    let options = RedisOptions {
        transport: RedisTransport::Tls,
        lines: vec!["requirepass hunter2", "maxmemory-policy allkeys-lru"],
    };
    let redis = RealRedis::start(RedisKind::Redis, options).await;
    let (url, file) = (redis.url(), |name| redis.file(name).display().to_string());
    let ca = format!(", ca: {}", file("ca.pem"));
    let key =
        format!(", client_certificate: {}, client_key: {}", file("client.pem"), file("client.key"));
    let (wrong, right) = (", password: hunter1", ", password: hunter2");
    let plain = url.replace("rediss", "redis");
    for (url, rest, texts) in [
        (&plain, String::new(), ["cannot connect", "session.store.redis.client_certificate"]),
        (&url, format!("{key}{right}"), ["UnknownIssuer", "session.store.redis.ca"]),
        (
            &url,
            format!("{ca}{right}"),
            ["CertificateRequired", "session.store.redis.client_certificate"],
        ),
        (
            &url,
            format!("{ca}{key}{wrong}"),
            ["WRONGPASS", "session.store.redis.username and password"],
        ),
        (&url, format!("{ca}{key}{right}"), ["allkeys-lru", "maxmemory-policy to noeviction"]),
    ] {
        let store = format!("store: {{ redis: {{ url: \"{url}\"{rest} }} }}");
        let gateway = Gateway::start(&format!(
            "session: {{ secret: 0123456789abcdef0123456789abcdef, {store} }}\n\
             routes: [{{ upstream: \"http://127.0.0.1:9\", allow: public }}]\n"
        ));
        let log = gateway.log_until_all(&texts).join("\n");
        assert!(!log.contains("hunter"), "{log}");
    }
}

/// Without what only the warning about `maxmemory-policy` needs.
const USER: &str = "user gateway on >hunter2 resetchannels ~portcullis:* \
     +get +getrange +set +pttl +pexpire +exists +unlink +zadd +zrem +zrange +eval +evalsha +multi +exec +ping \
     +client|tracking";

#[tokio::test]
async fn user_with_no_more_than_the_commands_that_are_sent_is_enough() {
    for kind in RedisKind::EVERY {
        let lines = vec!["user default off", USER];
        let redis = RealRedis::start(*kind, RedisOptions { lines, ..Default::default() }).await;
        let username = Some("gateway".to_owned());
        let password = Some(Secret::new("hunter2"));
        let right = RedisSettings { username, password, ..settings(&redis) };
        check_works(&mut Client::with(right.clone())).await;
        check_fails(RedisSettings { password: Some(Secret::new("wrong")), ..right.clone() }).await;
        check_fails(settings(&redis)).await;

        let mut client = Client::with(right);
        assert_eq!(client.notice().await, Notice::Connected);
        client.server.insert(RECORD, b"1", HOUR).await.unwrap();
        redis.command(&["ACL", "SETUSER", "gateway", "-unlink"]);
        let error = client.server.remove(RECORD).await.unwrap_err();
        let RedisError::Replied(reply) = error else { panic!("{error}") };
        assert_eq!(reply.kind, ErrorReplyKind::NotPermitted, "{reply}");
        let other = client.server.read("other:{a}:s").await.unwrap_err();
        assert!(matches!(other, RedisError::Replied(_)), "{other}");
        assert!(client.server.link().up && client.server.read(RECORD).await.unwrap().is_some());
        redis.command(&["ACL", "DELUSER", "gateway"]);
        let patience = Patience::until("the connection of a removed user ends");
        while client.server.link().up {
            patience.pause().await;
        }
    }
}

#[tokio::test]
async fn password_of_the_default_user_is_enough() {
    for kind in RedisKind::ALL {
        let lines = vec!["requirepass hunter2"];
        let redis = RealRedis::start(*kind, RedisOptions { lines, ..Default::default() }).await;
        let right = RedisSettings { password: Some(Secret::new("hunter2")), ..settings(&redis) };
        check_works(&mut Client::with(right)).await;
        check_fails(settings(&redis)).await;
    }
}

#[tokio::test]
async fn full_memory_fails_writes_and_no_reads() {
    for kind in RedisKind::EVERY {
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let client = Client::of(&redis).await;
        client.server.insert(RECORD, b"1generation-is-ab", HOUR).await.unwrap();
        assert!(client.server.lock(LOCK, "me", HOUR).await.unwrap());
        redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
        let server = &client.server;
        let inserted = server.insert("portcullis:{b}:s", b"1", HOUR).await.unwrap_err();
        let claimed = server.claim("portcullis:n:1", HOUR).await.unwrap_err();
        let replaced = server.replace(RECORD, LOCK, "me", b"generation-is-ab", b"1").await;
        for error in [inserted, claimed, replaced.unwrap_err()] {
            let RedisError::Replied(reply) = error else { panic!("{error}") };
            assert_eq!(reply.kind, ErrorReplyKind::OutOfMemory, "{reply}");
        }
        assert_eq!(server.read(RECORD).await.unwrap().unwrap().value, b"1generation-is-ab");
        assert!(server.remove(RECORD).await.unwrap() && server.link().up);
    }
}

#[tokio::test]
async fn policy_that_removes_sessions_is_in_the_metrics() {
    for kind in RedisKind::EVERY {
        for (policy, evicts) in [("maxmemory-policy volatile-lru", 1), ("maxmemory 100mb", 0)] {
            let lines = vec![policy, "user default on nopass ~* &* +@all -config"];
            let redis = RealRedis::start(*kind, RedisOptions { lines, ..Default::default() }).await;
            let client = Client::of(&redis).await;
            let scrape = client.metrics.exposition(Default::default()).unwrap();
            let line = format!("\nportcullis_session_store_evicts {evicts}\n");
            assert!(scrape.contains(&line), "{kind:?} {policy}: {scrape}");
            assert!(scrape.contains("\nportcullis_session_store_up 1\n"));
        }
    }
}
