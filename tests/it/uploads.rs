//! Uploads over HTTP/2: as much under way as a distant client needs, and no upload in the way of another.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::gateway::Gateway;
use crate::support::wire::{Peer, Wire};

/// At 50 ms there and back, 64 KiB at a time are 1.3 MB a second.
#[tokio::test(flavor = "multi_thread")]
async fn windows_hold_a_mebibyte_of_an_upload_and_four_of_a_connection() {
    let peer = Peer::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let gateway = gateway(&peer, &peer);
    let mut wire = Wire::to(&gateway).await;
    wire.say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    wire.say([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await;
    let (mut of_stream, mut of_connection) = (None, 65_535);
    // The server's settings and its first window are the first that it says.
    while of_stream.is_none() || of_connection == 65_535 {
        let head = wire.bytes(9).await;
        let body = wire.bytes(usize::from(head[1]) << 8 | usize::from(head[2])).await;
        match head[3] {
            SETTINGS => {
                let window = body.chunks(6).find(|setting| setting[..2] == INITIAL_WINDOW_SIZE);
                of_stream = of_stream.or(window.map(|setting| number(&setting[2..])));
            }
            WINDOW_UPDATE => of_connection += number(&body),
            _ => {}
        }
    }
    assert_eq!((of_stream, of_connection), (Some(MEBIBYTE), 4 * MEBIBYTE));
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_upload_is_bounded_and_blocks_no_other_of_its_connection() {
    let silent = Peer::start(|mut wire| async move {
        wire.head().await;
        std::future::pending::<()>().await;
    });
    let reading = Peer::start(|mut wire| async move {
        wire.head().await;
        wire.bytes(SMALL).await;
        wire.say("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
    });
    let (reading, silent) = (reading.await, silent.await);
    let gateway = gateway(&reading, &silent);
    let stream = TokioIo::new(TcpStream::connect(gateway.address).await.unwrap());
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let (stalled, sent) = Zeros::new(64 * MEBIBYTE);
    let upload = Request::post("http://wiki.localhost/silent").body(stalled).unwrap();
    let _waiting = tokio::spawn(client.send_request(upload));
    let under_way = async {
        while sent.load(Ordering::Relaxed) < MEBIBYTE {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, under_way).await.expect("less than a mebibyte is under way");

    for _ in 0..3 {
        client.ready().await.unwrap();
        let (small, _) = Zeros::new(SMALL);
        let upload = Request::post("http://wiki.localhost/").body(small).unwrap();
        let answer = timeout(SOON, client.send_request(upload)).await;
        assert_eq!(answer.expect("the other upload stalls it").unwrap().status(), 204);
    }
    // The window, and what the system keeps of a connection on loopback.
    assert!(sent.load(Ordering::Relaxed) < 32 * MEBIBYTE, "more than fits is under way");
}

/// Each upload is on a connection of its own, and its application reads nothing.
#[tokio::test(flavor = "multi_thread")]
async fn hundred_stalled_uploads_at_once_hold_bounded_memory() {
    let silent = Peer::start(|mut wire| async move {
        wire.head().await;
        std::future::pending::<()>().await;
    })
    .await;
    let gateway = gateway(&silent, &silent);
    let before = gateway.memory();
    let (mut uploads, mut running) = (Vec::new(), JoinSet::new());
    for _ in 0..UPLOADS {
        let stream = TokioIo::new(TcpStream::connect(gateway.address).await.unwrap());
        let (mut client, connection) =
            http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        let (stalled, sent) = Zeros::new(64 * MEBIBYTE);
        let upload = Request::post("http://wiki.localhost/").body(stalled).unwrap();
        running.spawn(async move { drop(client.send_request(upload).await) });
        uploads.push(sent);
    }
    let under_way = async {
        while uploads.iter().any(|sent| sent.load(Ordering::Relaxed) < MEBIBYTE) {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, under_way).await.expect("less than a mebibyte of each is under way");
    let grown = gateway.peak_memory().saturating_sub(before);
    // A window each, and as much again for what the allocator keeps.
    assert!(grown < 2 * UPLOADS * MEBIBYTE, "{grown} bytes more");
}

/// `/` leads to one application, `/silent` to the other.
fn gateway(reading: &Peer, silent: &Peer) -> Gateway {
    Gateway::start(&format!(
        "routes:\n  - {{ upstream: \"http://{}\", allow: public }}\n  \
         - {{ path: /silent, upstream: \"http://{}\", allow: public }}",
        reading.address, silent.address
    ))
}

/// A body of zeros that counts what was taken of it.
struct Zeros {
    left: usize,
    taken: Arc<AtomicUsize>,
}

impl Zeros {
    fn new(size: usize) -> (Self, Arc<AtomicUsize>) {
        let taken = Arc::<AtomicUsize>::default();
        (Self { left: size, taken: Arc::clone(&taken) }, taken)
    }
}

impl Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = PIECE.len().min(self.left);
        self.left -= piece;
        self.taken.fetch_add(piece, Ordering::Relaxed);
        Poll::Ready((piece > 0).then(|| Ok(Frame::data(Bytes::from_static(&PIECE[..piece])))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

static PIECE: [u8; 16 * 1024] = [0; 16 * 1024];
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
/// `SETTINGS_INITIAL_WINDOW_SIZE` (RFC 9113 §6.5.2).
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];
const MEBIBYTE: usize = 1024 * 1024;
/// Uploads at once.
const UPLOADS: usize = 100;
const SMALL: usize = 2 * MEBIBYTE;
const SOON: Duration = Duration::from_secs(30);
