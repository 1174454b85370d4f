//! The Redis servers of the tests.

use std::net::TcpStream;

use redis::Value;

use crate::component::redis::{RealRedis, RedisKind, RedisOptions, RedisTransport};

#[tokio::test]
async fn server_starts_with_each_transport_and_again_after_its_end() {
    for kind in RedisKind::ALL {
        for transport in [RedisTransport::Tcp, RedisTransport::Unix, RedisTransport::Tls] {
            if (*kind, transport) == (RedisKind::Valkey, RedisTransport::Tls) {
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
