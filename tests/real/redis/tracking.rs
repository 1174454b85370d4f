//! Changes by other clients arrive, and none of our own does.

use portcullis::session::redis::{Notice, RedisServer};
use redis::Value;

use super::{Client, HOUR};
use crate::component::redis::{RealRedis, RedisKind, RedisOptions};

const RECORD: &str = "portcullis:{a}:s";
const LOCK: &str = "portcullis:{a}:l";
const GENERATION: &[u8] = b"generation-is-ab";

/// After `ours`, a change of `theirs` arrives, and nothing before it.
async fn check(ours: impl AsyncFn(&RedisServer), theirs: &[&str], notice: Notice) {
    for kind in RedisKind::EVERY {
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let mut client = Client::of(&redis).await;
        client.server.insert(RECORD, b"1generation-is-ab", HOUR).await.unwrap();
        ours(&client.server).await;
        redis.command(theirs);
        assert_eq!(client.notice().await, notice, "{kind:?} {theirs:?}");
    }
}

fn changed() -> Notice {
    Notice::Changed(RECORD.into())
}

#[tokio::test]
async fn change_by_another_client_arrives() {
    let read = async |server: &RedisServer| {
        server.read(RECORD).await.unwrap().unwrap();
    };
    check(read, &["SET", RECORD, "x"], changed()).await;
    check(read, &["DEL", RECORD], changed()).await;
    check(read, &["UNLINK", RECORD], changed()).await;
    check(read, &["PEXPIRE", RECORD, "60000"], changed()).await;
    check(read, &["PEXPIRE", RECORD, "0"], changed()).await;
    check(read, &["EVAL", "redis.call('DEL', KEYS[1])", "1", RECORD], changed()).await;
    check(read, &["FLUSHALL"], Notice::AllChanged).await;
    check(read, &["FLUSHDB"], Notice::AllChanged).await;
}

#[tokio::test]
async fn change_arrives_after_each_write_of_our_own_which_does_not() {
    // `check` has inserted it.
    check(async |_| {}, &["DEL", RECORD], changed()).await;
    let extend = async |server: &RedisServer| {
        assert!(server.extend(RECORD, HOUR).await.unwrap());
    };
    check(extend, &["DEL", RECORD], changed()).await;
    let replace = async |server: &RedisServer| {
        assert!(server.lock(LOCK, "me", HOUR).await.unwrap());
        let new = b"1generation-is-bc";
        // By its text, and then by its name.
        assert!(server.replace(RECORD, LOCK, "me", GENERATION, new).await.unwrap());
        assert!(server.replace(RECORD, LOCK, "me", b"generation-is-bc", new).await.unwrap());
    };
    check(replace, &["DEL", RECORD], changed()).await;
    let fails = async |server: &RedisServer| {
        assert!(server.lock(LOCK, "me", HOUR).await.unwrap());
        assert!(!server.replace(RECORD, LOCK, "other", GENERATION, b"").await.unwrap());
        assert!(!server.remove_if(RECORD, LOCK, "me", b"x").await.unwrap());
        server.unlock(LOCK, "me").await.unwrap();
    };
    check(fails, &["DEL", RECORD], changed()).await;
}

#[tokio::test]
async fn key_that_appears_after_it_was_missed_arrives() {
    let missed = async |server: &RedisServer| {
        assert!(server.remove(RECORD).await.unwrap());
        assert_eq!(server.read(RECORD).await.unwrap(), None);
    };
    check(missed, &["SET", RECORD, "x"], changed()).await;
}

#[tokio::test]
async fn changes_between_two_clients_of_ours_arrive_at_the_other() {
    for kind in RedisKind::EVERY {
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let (mut one, mut two) = (Client::of(&redis).await, Client::of(&redis).await);
        one.server.insert(RECORD, b"1", HOUR).await.unwrap();
        for _ in 0..3 {
            two.server.read(RECORD).await.unwrap().unwrap();
            assert!(one.server.extend(RECORD, HOUR).await.unwrap());
            assert_eq!(two.notice().await, changed());
            two.server.read(RECORD).await.unwrap().unwrap();
            assert!(two.server.extend(RECORD, HOUR).await.unwrap());
            assert_eq!(one.notice().await, changed());
        }
        two.server.read(RECORD).await.unwrap().unwrap();
        assert!(one.server.remove(RECORD).await.unwrap());
        assert_eq!(two.notice().await, changed());
    }
}

#[tokio::test]
async fn key_that_the_server_evicts_arrives() {
    for kind in RedisKind::EVERY {
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let mut client = Client::of(&redis).await;
        client.server.insert(RECORD, b"1", HOUR).await.unwrap();
        redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
        redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
        assert!(matches!(redis.command(&["SET", "x", "y"]), Value::ServerError(_)));
        assert_eq!(client.notice().await, changed(), "{kind:?}");
    }
}
