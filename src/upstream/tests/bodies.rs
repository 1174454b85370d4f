//! Bodies on their way: caps, back-pressure, and clients that break off.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http_body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::peer::{Line, Peer};
use super::*;

type Chunk = Result<Bytes, BodyError>;

/// A body of unknown length that a test feeds; it ends when the sender is dropped.
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

async fn tells_the_body(_: usize, mut line: Line) {
    line.head().await;
    let body = line.rest().await;
    line.tell(&String::from_utf8(body).unwrap());
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_not_sent_at_all() {
    let peer = Peer::start(tells_the_body).await;
    let upstream = upstream(peer.address);
    let answer = capped(&upstream, request(Method::POST, Body::full("hello")), Some(4)).await;
    assert!(matches!(answer, Err(Error::BodyTooLarge)));
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_broken_off() {
    let mut peer = Peer::start(tells_the_body).await;
    let upstream = upstream(peer.address);
    let (feed, body) = fed();
    for chunk in ["abc", "de", "f"] {
        feed.send(Ok(chunk.into())).unwrap();
    }
    let answer = capped(&upstream, request(Method::POST, body), Some(5)).await;
    assert!(matches!(answer, Err(Error::BodyTooLarge)));
    let seen = peer.hears().await;
    assert!(!seen.contains("0\r\n\r\n") && !seen.contains('f'), "{seen:?}");
}

#[tokio::test]
async fn a_body_within_the_cap_passes() {
    let peer = Peer::answering(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let body = Body::full("hello");
    capped(&upstream(peer.address), request(Method::POST, body), Some(5)).await.unwrap();
    capped(&upstream(peer.address), request(Method::GET, Body::empty()), Some(0)).await.unwrap();
}

#[tokio::test]
async fn a_client_that_breaks_off_is_to_blame_and_its_body_has_no_end() {
    let mut peer = Peer::start(tells_the_body).await;
    let upstream = upstream(peer.address);
    let (feed, body) = fed();
    feed.send(Ok("abc".into())).unwrap();
    feed.send(Err(io::Error::from(io::ErrorKind::ConnectionReset).into())).unwrap();
    let answer = answer(&upstream, request(Method::POST, body)).await;
    assert!(matches!(answer, Err(Error::Client(_))));
    assert!(!peer.hears().await.contains("0\r\n\r\n"));
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
    async fn tells(_: usize, mut line: Line) {
        line.head().await;
        let body = line.bytes(b"2\r\nok\r\n0\r\n\r\n".len()).await;
        line.say(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        line.tell(&String::from_utf8(body).unwrap());
    }
    let mut peer = Peer::start(tells).await;
    let body = Body::streamed(Trailing(true));
    answer(&upstream(peer.address), request(Method::POST, body)).await.unwrap();
    assert_eq!(peer.hears().await, "2\r\nok\r\n0\r\n\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_a_reset_follows_is_heard() {
    /// A body whose second half comes when the upstream has answered and gone.
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
                // On the thread that would have to read the answer first.
                3 => self.1.recv().unwrap(),
                _ => {}
            }
            Poll::Ready((self.0 < 9).then(|| Ok(Frame::data("half".into()))))
        }
    }
    let (gone, goes) = std::sync::mpsc::channel();
    let peer = Peer::start(move |_, mut line: Line| {
        let gone = gone.clone();
        async move {
            line.head().await;
            line.stream.readable().await.unwrap();
            line.say(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig").await;
            // With bytes unread this resets the connection.
            drop(line);
            gone.send(()).unwrap();
        }
    });
    let peer = peer.await;
    let body = Body::streamed(Halves(0, goes));
    let answer = whole(&upstream(peer.address), request(Method::POST, body)).await.unwrap();
    assert_eq!(answer.text(), "big");
}

#[tokio::test]
async fn an_upload_may_take_longer_than_an_answer() {
    async fn at_the_end(_: usize, mut line: Line) {
        line.head().await;
        line.bytes(20 * b"1\r\n.\r\n".len() + b"0\r\n\r\n".len()).await;
        line.say(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    }
    let peer = Peer::start(at_the_end).await;
    let mut settings = settings(at(peer.address));
    settings.timeouts.response_headers = DRIP * 15;
    let (feed, body) = fed();
    tokio::spawn(async move {
        for _ in 0..20 {
            tokio::time::sleep(DRIP).await;
            feed.send(Ok(".".into())).unwrap();
        }
    });
    answer(&made(&settings), request(Method::POST, body)).await.unwrap();
}

#[tokio::test]
async fn a_client_that_pauses_is_not_taken_for_a_slow_upstream() {
    async fn at_the_end(_: usize, mut line: Line) {
        line.head().await;
        line.bytes(2 * b"4\r\nhalf\r\n".len() + b"0\r\n\r\n".len()).await;
        line.say(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    }
    let peer = Peer::start(at_the_end).await;
    let mut settings = settings(at(peer.address));
    settings.timeouts.response_headers = Duration::from_millis(100);
    let (feed, body) = fed();
    tokio::spawn(async move {
        feed.send(Ok("half".into())).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        feed.send(Ok("half".into())).unwrap();
    });
    answer(&made(&settings), request(Method::POST, body)).await.unwrap();
}

/// Bytes that a writer gets rid of before it has to wait.
async fn taken(stream: &mut tokio::net::UnixStream) -> usize {
    let chunk = vec![b'x'; 16 * 1024];
    let mut taken = 0;
    let still = Duration::from_millis(200);
    while let Ok(count) = tokio::time::timeout(still, stream.write(&chunk)).await {
        taken += count.unwrap();
        assert!(taken < 8 * 1024 * 1024, "nobody holds this back");
    }
    taken
}

#[tokio::test]
async fn a_slow_client_holds_the_upstream_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let upstream = made(&settings(on_socket(&path)));
    let peer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        taken(&mut stream).await
    });
    let response = answer(&upstream, request(Method::GET, Body::empty())).await.unwrap();
    let taken = peer.await.unwrap();
    // The kernel's own buffers are in it.
    assert!(taken < 1024 * 1024, "{taken}");
    drop(response);
}

#[tokio::test]
async fn a_slow_upstream_holds_the_client_back() {
    async fn reads_nothing(_: usize, line: Line) {
        line.tell("here");
        std::future::pending::<()>().await;
    }
    struct Endless(Arc<AtomicUsize>);
    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = BodyError;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            self.0.fetch_add(64, Ordering::SeqCst);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 64 * 1024])))))
        }
    }
    let peer = Peer::start(reads_nothing).await;
    let mut settings = settings(at(peer.address));
    settings.timeouts.response_headers = Duration::from_millis(300);
    let taken = Arc::default();
    let body = Body::streamed(Endless(Arc::clone(&taken)));
    let answer = answer(&made(&settings), request(Method::POST, body)).await;
    assert!(matches!(answer, Err(Error::TooSlow(Phase::Answering))));
    let taken = taken.load(Ordering::SeqCst);
    assert!(taken < 64 * 1024, "{taken} KiB");
}
