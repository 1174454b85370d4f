//! Every command, as another client sees what it did.

use std::time::Duration;

use portcullis::session::redis::{ErrorReplyKind, RedisError, Stored};
use redis::Value;

use super::{Client, HOUR};
use crate::component::redis::{RealRedis, RedisKind, RedisOptions};

const RECORD: &str = "portcullis:{a}:s";
const LOCK: &str = "portcullis:{a}:l";
const INDEX: &str = "portcullis:u:{b}";
/// A version byte, the generation, and the rest.
const VALUE: &[u8] = b"1generation-is-abrest\r\n\0";
const GENERATION: &[u8] = b"generation-is-ab";

#[tokio::test]
async fn value_is_stored_read_extended_and_removed() {
    for kind in RedisKind::EVERY {
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let client = Client::of(&redis).await;
        let server = &client.server;
        assert_eq!(server.read(RECORD).await.unwrap(), None);
        assert!(!server.extend(RECORD, HOUR).await.unwrap());
        assert!(!server.exists(RECORD).await.unwrap() && !server.remove(RECORD).await.unwrap());
        server.insert(RECORD, VALUE, HOUR).await.unwrap();
        let Stored { value, ttl } = server.read(RECORD).await.unwrap().unwrap();
        assert_eq!(value, VALUE);
        assert!(ttl <= HOUR && ttl > HOUR - Duration::from_secs(60), "{ttl:?}");
        assert!(server.extend(RECORD, 2 * HOUR).await.unwrap());
        assert!(server.read(RECORD).await.unwrap().unwrap().ttl > HOUR);
        assert!(server.exists(RECORD).await.unwrap());
        redis.command(&["PERSIST", RECORD]);
        assert_eq!(server.read(RECORD).await.unwrap().unwrap().ttl, Duration::MAX);
        assert!(server.remove(RECORD).await.unwrap());
        assert_eq!(redis.command(&["DBSIZE"]), Value::Int(0));
        // No time at all, and more than a server takes.
        server.insert(RECORD, VALUE, Duration::MAX).await.unwrap();
        assert!(server.extend(RECORD, Duration::MAX).await.unwrap());
        assert!(server.extend(RECORD, Duration::ZERO).await.unwrap());
        server.insert(RECORD, VALUE, Duration::ZERO).await.unwrap();
    }
}

#[tokio::test]
async fn value_is_replaced_only_by_the_owner_of_the_lock_and_over_the_generation_that_was_read() {
    for kind in RedisKind::EVERY {
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let client = Client::of(&redis).await;
        let server = &client.server;
        let new = b"1generation-is-bcnew".as_slice();
        let replace = |owner, generation| server.replace(RECORD, LOCK, owner, generation, new);
        let remove_if = |owner, generation| server.remove_if(RECORD, LOCK, owner, generation);
        // Neither a record nor a lock, then one of the two, then both.
        assert!(!replace("me", GENERATION).await.unwrap());
        assert!(server.lock(LOCK, "me", HOUR).await.unwrap());
        assert!(!replace("me", GENERATION).await.unwrap(), "a removed record does not come back");
        assert!(!replace("me", b"").await.unwrap(), "nor does it without generation");
        assert!(!remove_if("me", GENERATION).await.unwrap());
        assert_eq!(redis.command(&["EXISTS", RECORD]), Value::Int(0));
        server.insert(RECORD, VALUE, HOUR).await.unwrap();
        for (owner, generation) in
            [("other", GENERATION), ("me", b"generation-is-xy"), ("me", b"1")]
        {
            assert!(!replace(owner, generation).await.unwrap(), "{owner}");
            assert!(!remove_if(owner, generation).await.unwrap(), "{owner}");
        }
        assert_eq!(server.read(RECORD).await.unwrap().unwrap().value, VALUE);
        assert!(replace("me", GENERATION).await.unwrap());
        let stored = server.read(RECORD).await.unwrap().unwrap();
        assert_eq!(stored.value, new);
        assert!(stored.ttl <= HOUR && stored.ttl > HOUR / 2, "{:?}", stored.ttl);
        assert!(!replace("me", GENERATION).await.unwrap(), "it has another generation now");
        assert!(!remove_if("me", GENERATION).await.unwrap());
        assert!(remove_if("me", b"generation-is-bc").await.unwrap());
        assert_eq!(redis.command(&["EXISTS", RECORD]), Value::Int(0));
        server.insert(RECORD, VALUE, HOUR).await.unwrap();
        server.unlock(LOCK, "me").await.unwrap();
        assert!(
            !replace("me", GENERATION).await.unwrap()
                && !remove_if("me", GENERATION).await.unwrap()
        );
    }
}

#[tokio::test]
async fn lock_belongs_to_its_owner_until_its_time_is_over() {
    for kind in RedisKind::EVERY {
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let client = Client::of(&redis).await;
        let server = &client.server;
        assert!(!server.renew_lock(LOCK, "me", HOUR).await.unwrap());
        assert!(server.lock(LOCK, "me", HOUR).await.unwrap());
        assert!(!server.lock(LOCK, "me", HOUR).await.unwrap());
        assert!(!server.lock(LOCK, "other", HOUR).await.unwrap());
        assert!(!server.renew_lock(LOCK, "other", HOUR).await.unwrap());
        server.unlock(LOCK, "other").await.unwrap();
        assert!(server.renew_lock(LOCK, "me", 2 * HOUR).await.unwrap());
        let Value::Int(left) = redis.command(&["PTTL", LOCK]) else { panic!() };
        assert!(left > 3_600_000);
        server.unlock(LOCK, "me").await.unwrap();
        server.unlock(LOCK, "me").await.unwrap();
        assert!(server.lock(LOCK, "other", HOUR).await.unwrap());
        redis.command(&["PEXPIRE", LOCK, "0"]);
        assert!(server.lock(LOCK, "me", HOUR).await.unwrap());
    }
}

#[tokio::test]
async fn index_names_the_members_with_the_lowest_scores_that_are_too_many() {
    for kind in RedisKind::EVERY {
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let client = Client::of(&redis).await;
        let server = &client.server;
        let now = 1_764_419_999_123_u64;
        let add = |member, score| server.index(INDEX, member, score, HOUR, 2);
        assert!(add(b"b".as_slice(), now + 2).await.unwrap().is_empty());
        assert!(add(b"a\0", now + 1).await.unwrap().is_empty());
        assert_eq!(add(b"c", now + 3).await.unwrap(), [b"a\0".to_vec()]);
        server.index_score(INDEX, b"a\0", now + 9).await.unwrap();
        server.index_score(INDEX, b"unknown", now + 9).await.unwrap();
        assert_eq!(add(b"d", now + 4).await.unwrap(), [b"b".to_vec(), b"c".to_vec()]);
        server.unindex(INDEX, b"b").await.unwrap();
        server.unindex(INDEX, b"unknown").await.unwrap();
        assert_eq!(add(b"d", now + 4).await.unwrap(), [b"c".to_vec()]);
        // It is kept as long as its longest member.
        server.index(INDEX, b"e", now, 2 * HOUR, 100).await.unwrap();
        server.index(INDEX, b"e", now, HOUR, 100).await.unwrap();
        let Value::Int(left) = redis.command(&["PTTL", INDEX]) else { panic!() };
        assert!(left > 3_600_000);
        assert_eq!(server.index(INDEX, b"e", now, HOUR, 0).await.unwrap().len(), 4);
    }
}

#[tokio::test]
async fn claim_succeeds_once_until_its_time_is_over() {
    for kind in RedisKind::EVERY {
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let client = Client::of(&redis).await;
        let server = &client.server;
        assert!(server.claim("portcullis:n:1", HOUR).await.unwrap());
        assert!(!server.claim("portcullis:n:1", HOUR).await.unwrap());
        assert!(server.claim("portcullis:n:2", HOUR).await.unwrap());
        redis.command(&["PEXPIRE", "portcullis:n:1", "0"]);
        assert!(server.claim("portcullis:n:1", HOUR).await.unwrap());
    }
}

#[tokio::test]
async fn script_that_the_server_has_forgotten_runs() {
    for kind in RedisKind::EVERY {
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let client = Client::of(&redis).await;
        for _ in 0..2 {
            assert!(client.server.lock(LOCK, "me", HOUR).await.unwrap());
            client.server.unlock(LOCK, "me").await.unwrap();
            assert_eq!(redis.command(&["SCRIPT", "FLUSH"]), Value::Okay);
        }
        assert!(client.server.link().up);
    }
}

#[tokio::test]
async fn key_of_another_type_is_an_error_and_not_a_miss() {
    for kind in RedisKind::EVERY {
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let client = Client::of(&redis).await;
        redis.command(&["RPUSH", RECORD, "x"]);
        let error = client.server.read(RECORD).await.unwrap_err();
        let RedisError::Replied(reply) = error else { panic!("{error}") };
        assert_eq!(reply.kind, ErrorReplyKind::Other);
        assert!(reply.to_string().starts_with("WRONGTYPE "), "{reply}");
        assert!(client.server.link().up);
    }
}
