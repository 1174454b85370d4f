//! Connections at and over the limits.

use super::*;
use crate::server::tests::drain::tunnel;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const WAIT: &[u8] = b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";

fn with(limits: Limits) -> Settings {
    Settings { limits, ..settings() }
}

/// Opens connections until one is served. Others may still count as busy for a moment: a client sees the end of a
/// response before the server has recorded it.
pub(super) async fn evicting(running: &Running) -> TcpStream {
    let served = async {
        loop {
            let mut stream = running.connect().await;
            stream.write_all(GET).await.unwrap();
            let mut status = [0; 12];
            // Only peeked at: the caller reads the response.
            while stream.peek(&mut status).await.unwrap() < status.len() {
                tokio::task::yield_now().await;
            }
            if status.ends_with(b"200") {
                return stream;
            }
        }
    };
    timeout(SOON, served).await.expect("a permit in time")
}

#[tokio::test]
async fn idle_connections_are_evicted_for_new_ones() {
    const MANY: usize = 50;
    let running = Running::start(with(Limits { connections: MANY, ..Limits::default() })).await;
    let mut idle = Vec::new();
    for _ in 0..MANY {
        let mut stream = running.connect().await;
        stream.write_all(GET).await.unwrap();
        answer(&mut stream).await;
        idle.push(stream);
    }
    let mut others = Vec::new();
    for _ in 0..MANY / 2 {
        let mut stream = evicting(&running).await;
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        others.push(stream);
    }
    // The longest idle ones are closed.
    for stream in idle.iter_mut().take(MANY / 2) {
        assert_eq!(until_closed(stream).await, "");
    }
    for stream in others.iter_mut().chain(idle.last_mut()) {
        stream.write_all(GET).await.unwrap();
        assert!(answer(stream).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn connection_without_a_complete_head_is_evicted_and_busy_one_is_not() {
    let running = Running::start(with(Limits { connections: 3, ..Limits::default() })).await;
    let mut busy = running.connect().await;
    busy.write_all(WAIT).await.unwrap();
    running.app.waiting.notified().await;
    let (mut silent, mut slow) = (running.connect().await, running.connect().await);
    slow.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    let mut others = [evicting(&running).await, evicting(&running).await];
    assert_eq!((until_closed(&mut silent).await, until_closed(&mut slow).await).0, "");
    for stream in &mut others {
        assert!(answer(stream).await.starts_with("HTTP/1.1 200"));
    }
    running.app.go.notify_one();
    assert!(answer(&mut busy).await.ends_with("waited"));
}

#[tokio::test]
async fn tunnel_is_not_evicted() {
    let running = Running::start(with(Limits { connections: 1, ..Limits::default() })).await;
    let mut tunnel = tunnel(&running).await;
    assert!(running.exchange(GET).await.starts_with("HTTP/1.1 503"));
    tunnel.write_all(b"ping").await.unwrap();
    let mut rest = Vec::new();
    while !rest.ends_with(b"ping") {
        rest.push(timeout(SOON, tunnel.read_u8()).await.expect("an echo").unwrap());
    }
}

#[tokio::test]
async fn client_over_its_limit_gets_503_and_trusted_proxy_does_not() {
    let limits = Limits { connections_per_client: Some(1), ..Limits::default() };
    let running = Running::start(with(limits)).await;
    let mut first = running.connect().await;
    first.write_all(GET).await.unwrap();
    answer(&mut first).await;
    let rejected = running.exchange(GET).await;
    assert!(rejected.starts_with("HTTP/1.1 503") && rejected.contains("connection: close"));
    first.write_all(GET).await.unwrap();
    assert!(
        answer(&mut first).await.starts_with("HTTP/1.1 200"),
        "its first connection stays open"
    );
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    let trusted_proxies = TrustedProxies { networks, unix: false };
    let running = Running::start(Settings { trusted_proxies, ..with(limits) }).await;
    for mut stream in [running.connect().await, running.connect().await] {
        stream.write_all(GET).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
}
