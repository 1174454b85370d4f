//! Error replies, to commands and at the start of a connection.

use super::*;
use crate::secret::Secret;
use crate::session::redis::connect::RedisConnector;

/// The reply to every write, and whether the connection goes on.
async fn check(reply: &'static str, kind: ErrorReplyKind, goes_on: bool) {
    let redis = ScriptedRedis::start(move |_, words| match words[0] {
        "SET" | "UNLINK" | "EVALSHA" => ScriptedReply::Say(format!("-{reply}\r\n")),
        "EXEC" => ScriptedReply::Say("-EXECABORT Transaction discarded\r\n".to_owned()),
        _ => usual(words),
    })
    .await;
    let mut client = Client::connected(&settings(&redis)).await;
    let hour = Duration::from_secs(3600);
    // Each time that it connects again takes longer.
    for operation in if goes_on { 0..4 } else { 0..2 } {
        let server = &client.server;
        let error = match operation {
            0 => server.insert("a", b"x", hour).await.err(),
            1 => server.remove("a").await.err(),
            2 => server.claim("a", hour).await.err(),
            _ => server.unlock("a", "me").await.err(),
        };
        let Some(RedisError::Replied(found)) = error else { panic!("{reply}: {error:?}") };
        assert_eq!((found.kind, &*found.to_string()), (kind, reply));
        assert_eq!(server.link().up, goes_on, "{reply}");
        if !goes_on {
            assert_eq!(server.read("a").await, Err(RedisError::Down));
            assert_eq!(client.notice().await, Notice::Connected);
        }
        assert_eq!(client.server.read("a").await, Ok(None));
    }
}

#[tokio::test]
async fn error_reply_that_another_server_would_not_give_ends_the_connection() {
    let kind = ErrorReplyKind::Replica;
    check("READONLY You can't write against a read only replica.", kind, false).await;
    check("MASTERDOWN Link with MASTER is down", kind, false).await;
    check("NOAUTH Authentication required.", ErrorReplyKind::NotAuthenticated, false).await;
    check("LOADING Redis is loading the dataset in memory", ErrorReplyKind::Loading, false).await;
}

#[tokio::test]
async fn error_reply_to_one_command_leaves_the_connection() {
    use ErrorReplyKind::{Busy, Cluster, NoWrites, NotPermitted, Other, OutOfMemory};
    check("OOM command not allowed when used memory > 'maxmemory'.", OutOfMemory, true).await;
    check("NOPERM User gateway has no permissions", NotPermitted, true).await;
    check("MOVED 3999 127.0.0.1:6381", Cluster, true).await;
    check("CLUSTERDOWN The cluster is down", Cluster, true).await;
    check("MISCONF Redis is configured to save RDB snapshots", NoWrites, true).await;
    check("NOREPLICAS Not enough good replicas to write.", NoWrites, true).await;
    check("BUSY Redis is busy running a script.", Busy, true).await;
    check("ERR syntax error", Other, true).await;
    check("SOMETHING new", Other, true).await;
}

/// What an operator reads about a server that answers `answer` to the first word `command`.
async fn check_no_connection(command: &'static str, answer: &'static str, texts: &[&str]) {
    let redis = ScriptedRedis::start(move |_, words| match words[0] {
        word if word == command && answer == "CLOSE" => ScriptedReply::Close,
        word if word == command => ScriptedReply::Say(format!("{answer}\r\n")),
        _ => usual(words),
    })
    .await;
    let password = Some(Secret::new("hunter2"));
    let settings = RedisSettings { password, ..settings(&redis) };
    let Err(error) = RedisConnector::new(&settings).connect(|_| Ok(())).await else {
        panic!("{answer}")
    };
    let text = format!("{error}: {}", error.remedy());
    for expected in texts {
        assert!(text.contains(expected), "{expected:?} is not in {text:?}");
    }
    assert!(!format!("{text} {error:?}").contains("hunter2"), "{error:?}");
    let client = Client::of(&settings);
    assert_eq!(client.server.read("a").await, Err(RedisError::Down));
    assert!(!client.server.has_answered());
}

#[tokio::test]
async fn server_that_cannot_be_used_says_why() {
    let check = check_no_connection;
    check("HELLO", "CLOSE", &["broke off", "client_certificate"]).await;
    check("HELLO", "-NOAUTH HELLO must be called with", &["NOAUTH", "username and password"]).await;
    check("HELLO", "-WRONGPASS invalid pair", &["WRONGPASS", "username and password"]).await;
    let unknown =
        "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `hunter2`, ";
    check("HELLO", unknown, &["RESP3", "Redis 6.2"]).await;
    let unknown = "-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'hunter2' ";
    check("HELLO", unknown, &["ERR unknown command 'HELLO': "]).await;
    let old = "%2\r\n$7\r\nversion\r\n$6\r\n6.0.16\r\n$4\r\nrole\r\n$6\r\nmaster";
    check("HELLO", old, &["version 6.0.16", "6.2"]).await;
    let replica = "%2\r\n$7\r\nversion\r\n$5\r\n7.2.0\r\n$4\r\nrole\r\n$7\r\nreplica";
    check("HELLO", replica, &["replica", "session.store.redis.url"]).await;
    check("CLIENT", "-NOPERM User a has no permissions", &["NOPERM", "README"]).await;
    check("HELLO", "HTTP/1.1 400 Bad Request\r\n", &["unexpected reply", "this port"]).await;
}

#[tokio::test]
async fn server_that_still_loads_is_not_connected_to() {
    let redis = ScriptedRedis::start(|connection, words| match (connection, words[0]) {
        (1 | 2, "PING") => {
            ScriptedReply::Say("-LOADING loading the dataset in memory\r\n".to_owned())
        }
        _ => usual(words),
    })
    .await;
    let mut client = Client::connected(&settings(&redis)).await;
    assert_eq!(client.server.link(), LinkState { number: 1, up: true });
    assert!(client.notices.try_recv().is_err());
    assert_eq!(redis.received().iter().filter(|command| *command == "PING").count(), 3);
}
