//! Deadlines, limits, and clients that leave.

use super::*;

pub(super) const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
const SHORT: Duration = Duration::from_millis(200);

fn with(timeouts: ServerTimeouts) -> Settings {
    Settings { timeouts, ..settings() }
}

#[tokio::test(start_paused = true)]
async fn silent_half_open_and_dripping_connections_are_closed() {
    let timeouts = ServerTimeouts { request_headers: SHORT, ..ServerTimeouts::default() };
    let running = Running::start(with(timeouts)).await;
    for beginning in [
        "",
        "G",
        "GET / HTTP/1.1\r\nHost: a\r\nX: ",
        "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = running.connect_in_memory().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let dripping = async {
            while !beginning.is_empty() && writer.write_all(b"x").await.is_ok() {
                tokio::time::sleep(SHORT / 10).await;
            }
            std::future::pending::<()>().await
        };
        tokio::select! {
            _ = until_closed(&mut reader) => {}
            () = dripping => {}
        }
    }
    assert_eq!(running.app.seen(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn later_head_has_the_same_deadline() {
    let timeouts = ServerTimeouts { request_headers: UNHURRIED, ..ServerTimeouts::default() };
    let running = Running::start(with(timeouts)).await;
    let mut stream = running.connect_in_memory().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    answer(&mut stream).await;
    stream.write_all(b"GET / HT").await.unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test(start_paused = true)]
async fn idle_connection_is_closed() {
    let timeouts = ServerTimeouts { keep_alive: SHORT, ..ServerTimeouts::default() };
    let running = Running::start(with(timeouts)).await;
    let mut stream = running.connect_in_memory().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    answer(&mut stream).await;
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test(start_paused = true)]
async fn slow_response_has_no_deadline() {
    let timeouts = ServerTimeouts {
        keep_alive: SHORT,
        request_headers: UNHURRIED,
        ..ServerTimeouts::default()
    };
    let running = Running::start(with(timeouts)).await;
    let mut stream = running.connect_in_memory().await;
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    running.app.waiting.notified().await;
    tokio::time::sleep(A_DAY).await;
    running.app.go.notify_one();
    assert!(answer(&mut stream).await.ends_with("waited"));
}

#[tokio::test(start_paused = true)]
async fn stalled_body_is_an_error() {
    let timeouts = ServerTimeouts { request_body: SHORT, ..ServerTimeouts::default() };
    let running = Running::start(with(timeouts)).await;
    let mut stream = running.connect_in_memory().await;
    stream
        .write_all(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        .await
        .unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.contains("broken: the client sent no byte"), "{answer}");
}

#[tokio::test]
async fn half_closed_client_gets_its_response() {
    let running = Running::start(settings()).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    running.app.waiting.notified().await;
    running.app.go.notify_one();
    assert!(until_closed(&mut stream).await.ends_with("waited"));
}

#[tokio::test(start_paused = true)]
async fn half_closed_client_has_a_deadline() {
    let timeouts = ServerTimeouts { request_headers: UNHURRIED, ..ServerTimeouts::default() };
    let running = Running::start(with(timeouts)).await;
    let mut stream = running.connect_in_memory().await;
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    timeout(SOON, running.app.gone.notified()).await.expect("the request is given up");
}

#[tokio::test]
async fn reset_cancels_the_request_at_once() {
    let running = Running::start(settings()).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    running.app.waiting.notified().await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    timeout(SOON, running.app.gone.notified()).await.expect("the request is given up");
}

#[tokio::test]
async fn reset_after_an_upload_cancels_the_request_at_once() {
    let running = Running::start(settings()).await;
    for body in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let mut stream = running.connect().await;
        let request = format!("POST /take HTTP/1.1\r\nHost: a\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        timeout(SOON, running.app.taken.notified()).await.expect("the body is read");
        stream.set_zero_linger().unwrap();
        drop(stream);
        timeout(SOON, running.app.gone.notified()).await.unwrap_or_else(|_| panic!("{body}"));
    }
}

#[tokio::test(start_paused = true)]
async fn slow_reader_gets_the_whole_response() {
    let timeouts = ServerTimeouts {
        keep_alive: SHORT,
        request_headers: UNHURRIED,
        ..ServerTimeouts::default()
    };
    let running = Running::start(with(timeouts)).await;
    let mut stream = running.connect_in_memory().await;
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    tokio::time::sleep(UNHURRIED + SHORT).await;
    let answer = until_closed(&mut stream).await;
    assert!(answer.len() > 32 * 1024 * 1024, "{}", answer.len());
}

#[tokio::test]
async fn over_limit_connection_gets_503_and_is_closed() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let running = Running::start(Settings { limits, ..settings() }).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut first = running.connect().await;
    first.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    running.app.waiting.notified().await;
    let rejected = running.exchange(request).await;
    assert!(rejected.starts_with("HTTP/1.1 503") && rejected.contains("connection: close"));
    assert_eq!(running.app.seen(), ["/wait"], "{rejected}");
    running.app.go.notify_one();
    assert!(answer(&mut first).await.ends_with("waited"));
    drop(first);
    let closed = async {
        while running.connections.count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, closed).await.expect("its permit is free");
    let mut third = running.connect().await;
    third.write_all(request.as_bytes()).await.unwrap();
    assert!(answer(&mut third).await.starts_with("HTTP/1.1 200"));
}
