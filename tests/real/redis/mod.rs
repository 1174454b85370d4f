//! What sessions need of a Redis server, with Redis and Valkey as people run them.

mod commands;
mod link;
mod options;
mod tracking;

use std::net::TcpStream;

use std::sync::Arc;
use std::time::Duration;

use portcullis::session::redis::{Notice, RedisAddress, RedisServer, RedisSettings};
use portcullis::telemetry::metrics::Metrics;
use redis::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::component::redis::{RealRedis, RedisKind, RedisOptions, RedisTransport};

#[tokio::test]
async fn server_starts_with_each_transport_and_again_after_its_end() {
    for kind in RedisKind::EVERY {
        for transport in [RedisTransport::Tcp, RedisTransport::Unix, RedisTransport::Tls] {
            if *kind != RedisKind::Redis && transport == RedisTransport::Tls {
                continue;
            }
            let options = RedisOptions { transport, lines: vec!["maxmemory 3mb"] };
            let mut redis = RealRedis::start(*kind, options).await;
            let listens = TcpStream::connect(redis.address()).is_ok();
            assert_eq!(listens, transport != RedisTransport::Unix, "{kind:?}");
            assert_eq!(redis.command(&["SET", "a", "b"]), Value::Okay);
            redis.kill();
            redis.start_again().await;
            assert_eq!(redis.command(&["GET", "a"]), Value::Nil);
            redis.pause();
            redis.resume();
            assert_eq!(redis.command(&["EXISTS", "a"]), Value::Int(0));
            let scheme = if transport == RedisTransport::Tls { "rediss" } else { "redis" };
            assert_eq!(redis.url(), format!("{scheme}://{}", redis.address()));
        }
    }
}

/// A client of a server, as the gateway has one.
struct Client {
    server: RedisServer,
    notices: UnboundedReceiver<Notice>,
    task: JoinHandle<()>,
    metrics: Arc<Metrics>,
}

impl Client {
    /// One that is connected.
    async fn of(redis: &RealRedis) -> Self {
        let mut client = Self::with(settings(redis));
        assert_eq!(client.notice().await, Notice::Connected);
        client
    }

    fn with(settings: RedisSettings) -> Self {
        let metrics = Arc::new(Metrics::default());
        let (server, notices) = RedisServer::new(&settings, &metrics);
        let keeper = server.clone();
        let task = tokio::spawn(async move { keeper.keep_connected().await });
        Self { server, notices, task, metrics }
    }

    async fn notice(&mut self) -> Notice {
        timeout(DEADLINE, self.notices.recv()).await.unwrap().unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn settings(redis: &RealRedis) -> RedisSettings {
    let address = redis.address();
    RedisSettings {
        address: RedisAddress::Tcp { host: address.ip().to_string(), port: address.port() },
        database: 0,
        username: None,
        password: None,
        tls: None,
        key_prefix: "portcullis".to_owned(),
        timeout: Duration::from_millis(250),
        outage_cache: Duration::from_secs(30),
    }
}

const DEADLINE: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);
