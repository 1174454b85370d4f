//! The connection to a scripted server: how it ends, how it comes back, and what it reports.

mod failures;
mod scripted_redis;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};

use super::*;
use crate::session::redis::tests::scripted_redis::{ScriptedRedis, ScriptedReply, usual};
use crate::telemetry::metrics::Metrics;

/// A server as the gateway has it.
struct Client {
    server: RedisServer,
    notices: UnboundedReceiver<Notice>,
    task: JoinHandle<()>,
    metrics: Arc<Metrics>,
}

impl Client {
    fn of(settings: &RedisSettings) -> Self {
        let metrics = Arc::new(Metrics::default());
        let (server, notices) = RedisServer::new(settings, &metrics);
        let keeper = server.clone();
        let task = tokio::spawn(async move { keeper.keep_connected().await });
        Self { server, notices, task, metrics }
    }

    async fn connected(settings: &RedisSettings) -> Self {
        let mut client = Self::of(settings);
        assert_eq!(client.notice().await, Notice::Connected);
        client
    }

    async fn notice(&mut self) -> Notice {
        timeout(DEADLINE, self.notices.recv()).await.unwrap().unwrap()
    }

    #[track_caller]
    fn check_metric(&self, line: &str) {
        let scrape = self.metrics.exposition(Default::default()).unwrap();
        let line = format!("portcullis_session_store_{line}");
        assert!(scrape.lines().any(|found| found == line), "{line} is missing in\n{scrape}");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn settings(redis: &ScriptedRedis) -> RedisSettings {
    RedisSettings {
        address: RedisAddress::Tcp { host: "127.0.0.1".to_owned(), port: redis.address.port() },
        database: 0,
        username: None,
        password: None,
        tls: None,
        key_prefix: "portcullis".to_owned(),
        timeout: Duration::from_millis(250),
        outage_cache: Duration::from_secs(30),
    }
}

#[tokio::test]
async fn operation_without_reply_takes_its_timeout_and_the_next_one_fails_at_once() {
    let redis = ScriptedRedis::start(|connection, words| match (connection, words[0]) {
        (1, "GET") => ScriptedReply::Silence,
        _ => usual(words),
    })
    .await;
    let mut client = Client::connected(&settings(&redis)).await;
    let began = Instant::now();
    assert_eq!(client.server.read("a").await, Err(RedisError::TimedOut));
    assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
    assert_eq!(client.server.link(), LinkState { number: 1, up: false });
    client.check_metric("up 0");
    assert_eq!(client.server.read("a").await, Err(RedisError::Down));
    assert_eq!(client.notice().await, Notice::Connected);
    assert_eq!(client.server.link(), LinkState { number: 2, up: true });
    assert_eq!(client.server.read("a").await, Ok(None));
    client.check_metric("up 1");
    for (outcome, count) in [("success", 1), ("timeout", 1), ("unavailable", 1), ("error", 0)] {
        client.check_metric(&format!(
            "operations_total{{operation=\"read\",outcome=\"{outcome}\"}} {count}"
        ));
    }
}

#[tokio::test]
async fn operation_whose_connection_breaks_off_fails_after_the_link_is_down() {
    let redis = ScriptedRedis::start(|_, words| match words[0] {
        "UNLINK" => ScriptedReply::Close,
        _ => usual(words),
    })
    .await;
    let mut client = Client::connected(&settings(&redis)).await;
    for number in 1..4 {
        let error = client.server.remove("a").await;
        assert_eq!(client.server.link(), LinkState { number, up: false });
        assert_eq!(error, Err(RedisError::BrokeOff));
        assert_eq!(client.notice().await, Notice::Connected);
    }
}

#[tokio::test]
async fn each_connection_asks_for_tracking_without_our_own_changes() {
    let redis = ScriptedRedis::start(|_, words| match words[0] {
        "UNLINK" => ScriptedReply::Close,
        _ => usual(words),
    })
    .await;
    let mut client = Client::connected(&settings(&redis)).await;
    client.server.remove("a").await.unwrap_err();
    assert_eq!(client.notice().await, Notice::Connected);
    let tracking = redis.received().into_iter().filter(|command| command.contains("TRACKING"));
    assert_eq!(tracking.collect::<Vec<_>>(), ["CLIENT TRACKING ON NOLOOP"; 2]);
}

#[tokio::test]
async fn invalidations_become_notices_in_their_order() {
    let pushes = ">2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\na\r\n$2\r\nb\0\r\n\
                  >2\r\n$10\r\ninvalidate\r\n_\r\n\
                  >2\r\n$7\r\nunknown\r\n*0\r\n\
                  >2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nc\r\n";
    let redis = ScriptedRedis::start(move |_, words| match words[0] {
        "GET" => ScriptedReply::Say(format!("{pushes}$1\r\nx\r\n{pushes}")),
        "PTTL" => ScriptedReply::Say(":5\r\n".to_owned()),
        _ => usual(words),
    })
    .await;
    let mut client = Client::connected(&settings(&redis)).await;
    assert_eq!(client.server.read("a").await.unwrap().unwrap().value, b"x");
    for _ in 0..2 {
        for key in ["a", "b\0"] {
            assert_eq!(client.notice().await, Notice::Changed(key.into()));
        }
        assert_eq!(client.notice().await, Notice::AllChanged);
        assert_eq!(client.notice().await, Notice::Changed(b"c".into()));
    }
}

#[tokio::test]
async fn operation_over_1024_fails_at_once_and_the_others_are_answered() {
    let (gate, many) = (Arc::new(Notify::new()), 1024);
    let answer = ScriptedReply::After(Arc::clone(&gate), "$-1\r\n".to_owned());
    let redis = ScriptedRedis::start(move |_, words| match words[0] {
        "GET" => answer.clone(),
        _ => usual(words),
    })
    .await;
    let timeout = Duration::from_secs(30);
    let client = Client::connected(&RedisSettings { timeout, ..settings(&redis) }).await;
    let mut running = JoinSet::new();
    for _ in 0..many {
        let server = client.server.clone();
        running.spawn(async move { server.read("a").await });
    }
    // Each of them runs until it waits.
    for _ in 0..many {
        tokio::task::yield_now().await;
    }
    let further = tokio::time::timeout(DEADLINE / 4, client.server.read("b")).await;
    assert_eq!(further.unwrap(), Err(RedisError::Full));
    assert!(client.server.link().up);
    while !running.is_empty() {
        gate.notify_one();
        if let Ok(Some(read)) = tokio::time::timeout(Duration::ZERO, running.join_next()).await {
            assert_eq!(read.unwrap(), Ok(None));
        }
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    assert_eq!(client.server.read("b").await, Ok(None));
}

#[tokio::test]
async fn operation_that_its_caller_gave_up_shifts_no_reply() {
    let gate = Arc::new(Notify::new());
    let answer = ScriptedReply::After(Arc::clone(&gate), "$1\r\nx\r\n".to_owned());
    let redis = ScriptedRedis::start(move |_, words| match words {
        ["GET", "slow"] => answer.clone(),
        ["GET", key] => ScriptedReply::Say(format!("$1\r\n{key}\r\n")),
        ["PTTL", _] => ScriptedReply::Say(":5\r\n".to_owned()),
        _ => usual(words),
    })
    .await;
    let client = Client::connected(&settings(&redis)).await;
    let given_up = timeout(Duration::from_millis(20), client.server.read("slow")).await;
    assert!(given_up.is_err());
    let server = client.server.clone();
    let next = tokio::spawn(async move { server.read("b").await });
    tokio::task::yield_now().await;
    gate.notify_one();
    assert_eq!(next.await.unwrap().unwrap().unwrap().value, b"b");
    assert_eq!(client.server.link(), LinkState { number: 1, up: true });
}

#[tokio::test]
async fn ping_without_reply_ends_the_connection() {
    let redis = ScriptedRedis::start(|connection, words| match (connection, words[0]) {
        (1, "PING") if words.len() == 1 => ScriptedReply::Once("+PONG\r\n".to_owned()),
        _ => usual(words),
    })
    .await;
    let mut client = Client::connected(&settings(&redis)).await;
    assert_eq!(client.notice().await, Notice::Connected);
    assert_eq!(client.server.link(), LinkState { number: 2, up: true });
}

#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    // The server has only the IPv4 address.
    let redis = ScriptedRedis::start(|_, words| usual(words)).await;
    let address = RedisAddress::Tcp { host: "localhost".to_owned(), port: redis.address.port() };
    let client = Client::connected(&RedisSettings { address, ..settings(&redis) }).await;
    assert!(client.server.has_answered());
}

const DEADLINE: Duration = Duration::from_secs(20);
