//! The drain: open requests are answered, idle connections close, tunnels can send a close message.

use super::*;
use crate::server::tests::deadlines::A_DAY;

fn short_drain() -> Settings {
    let timeouts =
        ServerTimeouts { drain: Duration::from_millis(300), ..ServerTimeouts::default() };
    Settings { timeouts, ..settings() }
}

pub(super) async fn tunnel(running: &Running) -> TcpStream {
    upgrade(running.connect().await).await
}

async fn upgrade<S: AsyncReadExt + AsyncWriteExt + Unpin>(mut stream: S) -> S {
    let request =
        b"GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(request).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 101"));
    stream
}

#[tokio::test]
async fn open_request_is_answered_and_its_connection_closed() {
    let running = Running::start(settings()).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    running.app.waiting.notified().await;
    running.shutdown.begin();
    let closed = async {
        while TcpStream::connect(running.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, closed).await.expect("the listener closes");
    running.app.go.notify_one();
    let answer = until_closed(&mut stream).await;
    assert!(answer.ends_with("waited") && answer.contains("connection: close"), "{answer}");
    drop(stream);
    running.stopped().await;
}

#[tokio::test]
async fn idle_and_silent_connections_do_not_delay_the_drain() {
    let running = Running::start(settings()).await;
    let (mut idle, mut silent) = (running.connect().await, running.connect().await);
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    answer(&mut idle).await;
    running.shutdown.begin();
    assert_eq!(until_closed(&mut idle).await, "");
    assert_eq!(until_closed(&mut silent).await, "");
    drop((idle, silent));
    running.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn request_is_cut_when_the_drain_times_out() {
    let running = Running::start(short_drain()).await;
    let mut stream = running.connect_in_memory().await;
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    running.app.waiting.notified().await;
    running.shutdown.begin();
    assert_eq!(until_closed(&mut stream).await, "");
    running.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn tunnel_outlives_all_deadlines_and_can_send_a_close_message() {
    let mut settings = short_drain();
    settings.timeouts.keep_alive = Duration::from_millis(100);
    settings.timeouts.request_headers = UNHURRIED;
    let running = Running::start(settings).await;
    let mut stream = upgrade(running.connect_in_memory().await).await;
    tokio::time::sleep(A_DAY).await;
    stream.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
    running.shutdown.begin();
    assert_eq!(until_closed(&mut stream).await, "bye!");
    running.stopped().await;
}

#[tokio::test]
async fn tunnel_counts_as_a_connection_until_it_closes() {
    let running = Running::start(settings()).await;
    let stream = tunnel(&running).await;
    assert_eq!(running.connections.count(), 1);
    drop(stream);
    let closed = async {
        while running.connections.count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, closed).await.expect("the tunnel's permit is free");
}

#[tokio::test(start_paused = true)]
async fn forced_shutdown_cuts_open_requests() {
    let running = Running::start(settings()).await;
    let mut stream = running.connect_in_memory().await;
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    running.app.waiting.notified().await;
    running.shutdown.begin();
    running.shutdown.force();
    assert_eq!(until_closed(&mut stream).await, "");
    running.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn requests_are_served_during_the_delay() {
    let timeouts = ServerTimeouts { drain_delay: UNHURRIED, ..ServerTimeouts::default() };
    let running = Running::start(Settings { timeouts, ..settings() }).await;
    running.shutdown.begin();
    assert!(running.shutdown.is_begun());
    let sent = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut stream = running.connect_in_memory().await;
    stream.write_all(sent.as_bytes()).await.unwrap();
    assert!(until_closed(&mut stream).await.starts_with("HTTP/1.1 200"));
    running.stopped().await;
}
