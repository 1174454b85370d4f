//! Bodies: limits, back-pressure, and clients that break off.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http_body::Frame;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::join;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::*;
use crate::upstream::tests::scripted_upstream::{ScriptedConnection, ScriptedUpstream};

type Chunk = Result<Bytes, BodyError>;

/// A body of unknown length that the test feeds; it ends when the sender is dropped.
pub(super) fn fed() -> (mpsc::UnboundedSender<Chunk>, Body) {
    struct Fed(mpsc::UnboundedReceiver<Chunk>);
    impl http_body::Body for Fed {
        type Data = Bytes;
        type Error = BodyError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            self.0.poll_recv(cx).map_ok(Frame::data)
        }
    }
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Body::streamed(Fed(receiver)))
}

async fn reports_the_body(_: usize, mut connection: ScriptedConnection) {
    connection.head().await;
    let body = connection.rest().await;
    connection.report(&String::from_utf8(body).unwrap());
}

#[tokio::test]
async fn body_with_a_length_over_the_limit_is_not_sent() {
    let peer = ScriptedUpstream::start(reports_the_body).await;
    let upstream = upstream(peer.address);
    let answer = capped(&upstream, request(Method::POST, Body::full("hello")), Some(4)).await;
    assert!(matches!(answer, Err(Error::BodyTooLarge)));
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn body_that_grows_over_the_limit_is_broken_off() {
    let mut peer = ScriptedUpstream::start(reports_the_body).await;
    let upstream = upstream(peer.address);
    let (feed, body) = fed();
    for chunk in ["abc", "de", "f"] {
        feed.send(Ok(chunk.into())).unwrap();
    }
    let answer = capped(&upstream, request(Method::POST, body), Some(5)).await;
    assert!(matches!(answer, Err(Error::BodyTooLarge)));
    let seen = peer.next_report().await;
    assert!(!seen.contains("0\r\n\r\n") && !seen.contains('f'), "{seen:?}");
}

#[tokio::test]
async fn body_within_the_limit_is_sent() {
    let peer = ScriptedUpstream::answering(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let body = Body::full("hello");
    capped(&upstream(peer.address), request(Method::POST, body), Some(5)).await.unwrap();
    capped(&upstream(peer.address), request(Method::GET, Body::empty()), Some(0)).await.unwrap();
}

#[tokio::test]
async fn broken_off_upload_is_the_clients_error_and_looks_incomplete() {
    let mut peer = ScriptedUpstream::start(reports_the_body).await;
    let upstream = upstream(peer.address);
    let (feed, body) = fed();
    feed.send(Ok("abc".into())).unwrap();
    feed.send(Err(io::Error::from(io::ErrorKind::ConnectionReset).into())).unwrap();
    let answer = answer(&upstream, request(Method::POST, body)).await;
    assert!(matches!(answer, Err(Error::Client(_))));
    assert!(!peer.next_report().await.contains("0\r\n\r\n"));
    assert_eq!(upstream.connections().idle, 0);
}

#[tokio::test]
async fn request_trailers_are_dropped() {
    struct Trailing(bool);
    impl http_body::Body for Trailing {
        type Data = Bytes;
        type Error = BodyError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-forwarded-user", HeaderValue::from_static("admin"));
            let first = std::mem::take(&mut self.0);
            let frame = if first { Frame::data("ok".into()) } else { Frame::trailers(trailers) };
            Poll::Ready(Some(Ok(frame)))
        }
    }
    async fn tells(_: usize, mut connection: ScriptedConnection) {
        connection.head().await;
        let body = connection.bytes(b"2\r\nok\r\n0\r\n\r\n".len()).await;
        connection.send(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        connection.report(&String::from_utf8(body).unwrap());
    }
    let mut peer = ScriptedUpstream::start(tells).await;
    let body = Body::streamed(Trailing(true));
    answer(&upstream(peer.address), request(Method::POST, body)).await.unwrap();
    assert_eq!(peer.next_report().await, "2\r\nok\r\n0\r\n\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_before_a_reset_is_relayed() {
    /// A body whose second half comes after the upstream has answered and closed.
    struct Halves(usize, std::sync::mpsc::Receiver<()>);
    impl http_body::Body for Halves {
        type Data = Bytes;
        type Error = BodyError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            self.0 += 1;
            match self.0 {
                2 => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                // Blocks the thread that would have to read the response first.
                3 => self.1.recv().unwrap(),
                _ => {}
            }
            Poll::Ready((self.0 < 9).then(|| Ok(Frame::data("half".into()))))
        }
    }
    let (gone, goes) = std::sync::mpsc::channel();
    let peer = ScriptedUpstream::start(move |_, mut connection: ScriptedConnection| {
        let gone = gone.clone();
        async move {
            connection.head().await;
            connection.stream.readable().await.unwrap();
            connection
                .send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
                .await;
            // Unread bytes make this a reset.
            drop(connection);
            gone.send(()).unwrap();
        }
    });
    let peer = peer.await;
    let body = Body::streamed(Halves(0, goes));
    let answer = whole(&upstream(peer.address), request(Method::POST, body)).await.unwrap();
    assert_eq!(answer.text(), "big");
}

/// Answers once a chunked body of `length` bytes has come.
async fn answers_after(mut connection: ScriptedConnection<DuplexStream>, length: usize) {
    connection.head().await;
    connection.bytes(length).await;
    connection.send(b"HTTP/1.1 204 No Content\r\n\r\n").await;
}

#[tokio::test(start_paused = true)]
async fn upload_that_takes_longer_than_response_headers_timeout_is_answered() {
    let response_headers = Duration::from_secs(1);
    let upstream = unconnected(Timeouts { response_headers, ..Timeouts::default() });
    let (feed, body) = fed();
    let peer = answers_after(in_memory(&upstream).await, 20 * b"1\r\n.\r\n".len() + 5);
    let client = async move {
        for _ in 0..20 {
            sleep(response_headers / 10).await;
            feed.send(Ok(".".into())).unwrap();
        }
    };
    let (answer, ..) = join!(answer(&upstream, request(Method::POST, body)), peer, client);
    answer.unwrap();
}

#[tokio::test(start_paused = true)]
async fn client_that_pauses_its_upload_does_not_make_the_upstream_too_slow() {
    let response_headers = Duration::from_millis(100);
    let upstream = unconnected(Timeouts { response_headers, ..Timeouts::default() });
    let (feed, body) = fed();
    let peer = answers_after(in_memory(&upstream).await, 2 * b"4\r\nhalf\r\n".len() + 5);
    let client = async move {
        feed.send(Ok("half".into())).unwrap();
        sleep(response_headers * 10).await;
        feed.send(Ok("half".into())).unwrap();
    };
    let (answer, ..) = join!(answer(&upstream, request(Method::POST, body)), peer, client);
    answer.unwrap();
}

#[tokio::test(start_paused = true)]
async fn slow_client_holds_the_upstream_back() {
    let upstream = unconnected(Timeouts::default());
    let mut connection = in_memory(&upstream).await;
    let peer = async {
        connection.head().await;
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n").await;
    };
    let request = request(Method::GET, Body::empty());
    let (response, ()) = join!(answer(&upstream, request), peer);
    let (chunk, mut written) = (vec![b'x'; 16 * 1024], 0);
    while let Ok(count) = timeout(PATIENCE, connection.stream.write(&chunk)).await {
        written += count.unwrap();
        assert!(written < 1024 * 1024, "nothing holds the upstream back");
    }
    drop(response);
}

#[tokio::test(start_paused = true)]
async fn slow_upstream_holds_the_client_back() {
    struct Endless(Arc<AtomicUsize>);
    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = BodyError;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            let kib = self.0.fetch_add(64, Ordering::SeqCst);
            assert!(kib < 1024, "nothing holds the client back");
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 64 * 1024])))))
        }
    }
    let response_headers = Duration::from_millis(300);
    let upstream = unconnected(Timeouts { response_headers, ..Timeouts::default() });
    let _reads_nothing = in_memory(&upstream).await;
    let taken = Arc::default();
    let body = Body::streamed(Endless(Arc::clone(&taken)));
    let answer = answer(&upstream, request(Method::POST, body)).await;
    assert!(matches!(answer, Err(Error::TooSlow(Phase::Answering))));
    assert!(taken.load(Ordering::SeqCst) > 0);
}
