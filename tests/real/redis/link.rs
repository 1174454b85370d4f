//! The server ends, stops, comes back, or becomes a replica.

use std::time::Duration;

use portcullis::session::redis::{ErrorReplyKind, LinkState, Notice, RedisError};
use redis::Value;
use tokio::time::{Instant, timeout};

use super::{Client, HOUR, settings};
use crate::component::redis::{RealRedis, RedisKind, RedisOptions};
use crate::support::wait::until;

const RECORD: &str = "portcullis:{a}:s";

#[tokio::test]
async fn restarted_server_is_found_within_a_second_and_tracks_again() {
    for kind in RedisKind::EVERY {
        let lines = vec!["appendonly yes", "appendfsync always"];
        let mut redis = RealRedis::start(*kind, RedisOptions { lines, ..Default::default() }).await;
        let mut client = Client::of(&redis).await;
        assert_eq!(client.server.link(), LinkState { number: 1, up: true });
        client.server.insert(RECORD, b"1", HOUR).await.unwrap();
        for number in 2..4 {
            redis.kill();
            let is_down = async || !client.server.link().up;
            timeout(Duration::from_secs(1), until("it is down", is_down)).await.unwrap();
            let began = Instant::now();
            let error = client.server.read(RECORD).await.unwrap_err();
            assert_eq!(error, RedisError::Down);
            assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
            assert!(client.server.has_answered());
            // Long enough for the longest pause between attempts.
            assert!(timeout(Duration::from_millis(1500), client.notices.recv()).await.is_err());
            redis.start_again().await;
            let began = Instant::now();
            assert_eq!(client.notice().await, Notice::Connected);
            assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
            assert_eq!(client.server.link(), LinkState { number, up: true });
            assert_eq!(client.server.read(RECORD).await.unwrap().unwrap().value, b"1");
            redis.command(&["PEXPIRE", RECORD, "600000"]);
            assert_eq!(client.notice().await, Notice::Changed(RECORD.into()));
        }
    }
}

#[tokio::test]
async fn server_that_is_down_at_first_is_found() {
    for kind in RedisKind::EVERY {
        let mut redis = RealRedis::start(*kind, RedisOptions::default()).await;
        redis.kill();
        let mut client = Client::with(settings(&redis));
        assert_eq!(client.server.insert(RECORD, b"1", HOUR).await, Err(RedisError::Down));
        assert!(!client.server.has_answered());
        redis.start_again().await;
        assert_eq!(client.notice().await, Notice::Connected);
        client.server.insert(RECORD, b"1", HOUR).await.unwrap();
        assert!(client.server.has_answered());
    }
}

#[tokio::test]
async fn paused_server_costs_each_operation_its_timeout_once() {
    for kind in RedisKind::EVERY {
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let mut client = Client::of(&redis).await;
        redis.pause();
        let began = Instant::now();
        assert_eq!(client.server.read(RECORD).await, Err(RedisError::TimedOut));
        let took = began.elapsed();
        assert!(
            took >= Duration::from_millis(250) && took < Duration::from_millis(600),
            "{took:?}"
        );
        let began = Instant::now();
        assert_eq!(client.server.read(RECORD).await, Err(RedisError::Down));
        assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
        assert!(!client.server.link().up);
        redis.resume();
        let began = Instant::now();
        assert_eq!(client.notice().await, Notice::Connected);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn paused_server_is_noticed_without_an_operation() {
    for kind in RedisKind::EVERY {
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let client = Client::of(&redis).await;
        redis.pause();
        let is_down = async || !client.server.link().up;
        timeout(Duration::from_secs(2), until("it is down", is_down)).await.unwrap();
        redis.resume();
    }
}

#[tokio::test]
async fn replica_is_no_server_for_sessions() {
    for kind in RedisKind::EVERY {
        let primary = RealRedis::start(*kind, RedisOptions::default()).await;
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let mut client = Client::of(&redis).await;
        client.server.insert(RECORD, b"1", HOUR).await.unwrap();
        let (host, port) =
            (primary.address().ip().to_string(), primary.address().port().to_string());
        assert_eq!(redis.command(&["REPLICAOF", &host, &port]), Value::Okay);
        // The server closes no connection when it becomes one, but the first write shows it.
        let error = client.server.insert(RECORD, b"2", HOUR).await.unwrap_err();
        if let RedisError::Replied(reply) = &error {
            let replies = [ErrorReplyKind::Replica, ErrorReplyKind::Loading];
            assert!(replies.contains(&reply.kind), "{reply}");
        }
        assert!(!client.server.link().up, "{error}");
        assert_eq!(client.server.read(RECORD).await, Err(RedisError::Down));
        assert_eq!(redis.command(&["REPLICAOF", "NO", "ONE"]), Value::Okay);
        while client.notice().await != Notice::Connected {}
        client.server.insert(RECORD, b"2", HOUR).await.unwrap();
    }
}

#[tokio::test]
async fn primary_that_becomes_a_replica_is_left_without_an_operation() {
    for kind in RedisKind::EVERY {
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let client = Client::of(&redis).await;
        assert_eq!(redis.command(&["REPLICAOF", "127.0.0.1", "1"]), Value::Okay);
        let is_down = async || !client.server.link().up;
        timeout(Duration::from_secs(3), until("it is down", is_down)).await.unwrap();
    }
}

#[tokio::test]
async fn connection_that_an_operator_closes_is_made_again() {
    for kind in RedisKind::EVERY {
        let redis = RealRedis::start(*kind, RedisOptions::default()).await;
        let mut client = Client::of(&redis).await;
        redis.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        assert_eq!(client.notice().await, Notice::Connected);
        assert_eq!(client.server.link(), LinkState { number: 2, up: true });
        client.server.insert(RECORD, b"1", HOUR).await.unwrap();
    }
}
