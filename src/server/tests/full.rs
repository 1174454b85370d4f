//! As many connections as allowed, and one more.

use super::drain::tunnel;
use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const WAIT: &[u8] = b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";

fn with(limits: Limits) -> Settings {
    Settings { limits, ..settings() }
}

/// Asks for something on new connections until one is served: others may be busy still for a moment, as when the
/// end of an answer is here before it has been counted.
pub(super) async fn evicting(running: &Running) -> TcpStream {
    let served = async {
        loop {
            let mut stream = running.connect().await;
            stream.write_all(GET).await.unwrap();
            let mut status = [0; 12];
            // Peeked at: the caller reads the answer.
            while stream.peek(&mut status).await.unwrap() < status.len() {
                tokio::task::yield_now().await;
            }
            if status.ends_with(b"200") {
                return stream;
            }
        }
    };
    timeout(SOON, served).await.expect("a place in time")
}

#[tokio::test]
async fn idle_connections_of_one_client_leave_for_others() {
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
    // Those that were used least recently are gone.
    for stream in idle.iter_mut().take(MANY / 2) {
        assert_eq!(until_closed(stream).await, "");
    }
    for stream in others.iter_mut().chain(idle.last_mut()) {
        stream.write_all(GET).await.unwrap();
        assert!(answer(stream).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn connection_without_a_whole_head_leaves_and_busy_one_stays() {
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
async fn tunnel_keeps_its_place() {
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
    let refused = running.exchange(GET).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("connection: close"));
    first.write_all(GET).await.unwrap();
    assert!(answer(&mut first).await.starts_with("HTTP/1.1 200"), "its first connection goes on");
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    let trusted_proxies = TrustedProxies { networks, unix: false };
    let running = Running::start(Settings { trusted_proxies, ..with(limits) }).await;
    for mut stream in [running.connect().await, running.connect().await] {
        stream.write_all(GET).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
}
