//! Uploads from far away: how long 20 MB take when each byte needs 50 ms there and back, over HTTP/2 and over
//! HTTP/1.1 in turns, and how much memory a hundred uploads hold whose application reads nothing.
//! `cargo bench --bench upload`; needs Linux. Read the ratios; with that delay the absolute times say little
//! about the machine.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench ends where it cannot measure"
)]
#![expect(clippy::disallowed_methods, reason = "it writes a configuration and reads memory counts")]

#[path = "../tests/it/support/mod.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod support;

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::gateway::{Gateway, PUBLIC_URL};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

#[tokio::main]
async fn main() {
    let reading = application(Reads::All).await;
    let silent = application(Reads::Nothing).await;
    let gateway = Gateway::start_with(&format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\" }}\n\
         routes:\n  - {{ upstream: \"http://{reading}\", allow: public }}\n  \
         - {{ path: /silent, upstream: \"http://{silent}\", allow: public }}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\n"
    ));
    let far = delayed(gateway.address).await;
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let first = http1(far).await;
        let second = http2(far).await;
        println!(
            "20 MB: HTTP/1.1 {:.2} s, HTTP/2 {:.2} s",
            first.as_secs_f64(),
            second.as_secs_f64()
        );
        ratios.push(second.as_secs_f64() / first.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    let at = |index: usize| ratios.get(index).copied().unwrap();
    println!("HTTP/2: {:.2} x HTTP/1.1 ({:.2} to {:.2})\n", at(ROUNDS / 2), at(0), at(ROUNDS - 1));
    for (count, connections) in [(90, 1), (100, 100)] {
        slow_uploads(&gateway, count, connections).await;
    }
}

/// What an application reads of a body.
#[derive(Clone, Copy)]
enum Reads {
    All,
    Nothing,
}

async fn application(reads: Reads) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(move |mut request: Request<Incoming>| async move {
                if let Reads::Nothing = reads {
                    pending::<()>().await;
                }
                while let Some(frame) = request.body_mut().frame().await {
                    drop(frame.unwrap());
                }
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            });
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(serving);
        }
    });
    address
}

/// A TCP proxy in which each byte waits for half of [`DELAY`], both ways.
async fn delayed(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(to).await.unwrap();
            for stream in [&client, &server] {
                stream.set_nodelay(true).unwrap();
            }
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            tokio::spawn(late(from_client, to_server));
            tokio::spawn(late(from_server, to_client));
        }
    });
    address
}

async fn late(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let writing = tokio::spawn(async move {
        while let Some((due, bytes)) = receiver.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    });
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let bytes = buffer.iter().take(read).copied().collect();
        if sender.send((Instant::now() + DELAY / 2, bytes)).is_err() {
            break;
        }
    }
    drop(sender);
    writing.await.unwrap();
}

fn upload(target: &str, size: usize) -> Request<Full<Bytes>> {
    Request::post(target).header("host", "wiki.localhost").body(vec![0; size].into()).unwrap()
}

async fn http1(address: SocketAddr) -> Duration {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let began = Instant::now();
    let response = sender.send_request(upload("/", SIZE)).await.unwrap();
    assert_eq!(response.status(), 200);
    began.elapsed()
}

async fn http2(address: SocketAddr) -> Duration {
    let mut sender = connect(address).await;
    let began = Instant::now();
    let mut request = upload(&format!("{PUBLIC_URL}/"), SIZE);
    request.headers_mut().remove("host");
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    began.elapsed()
}

async fn connect(address: SocketAddr) -> http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// So many uploads at once to an application that reads nothing, in turn over so many connections.
async fn slow_uploads(gateway: &Gateway, count: usize, connections: usize) {
    let before = gateway.memory();
    let mut senders = Vec::new();
    for _ in 0..connections {
        senders.push(connect(gateway.address).await);
    }
    let mut uploads = Vec::new();
    for number in 0..count {
        let sender = senders.get_mut(number % connections).unwrap();
        sender.ready().await.unwrap();
        let mut request = upload(&format!("{PUBLIC_URL}/silent"), 8 * 1024 * 1024);
        request.headers_mut().remove("host");
        uploads.push(tokio::spawn(sender.send_request(request)));
    }
    // Until it has not grown for a second.
    let (mut most, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let grown = gateway.memory().saturating_sub(before) / 1024;
        if grown > most {
            (most, since) = (grown, Instant::now());
        }
    }
    println!("{count} stalled uploads over {connections} connections hold {most} KiB");
    if count == connections {
        for sender in &mut senders {
            sender.ready().await.unwrap();
            let mut request = upload(&format!("{PUBLIC_URL}/"), 2 * 1024 * 1024);
            request.headers_mut().remove("host");
            let response =
                tokio::time::timeout(Duration::from_secs(60), sender.send_request(request));
            response.await.expect("one upload starves its connection").unwrap();
        }
    }
    for upload in uploads {
        upload.abort();
    }
}

const DELAY: Duration = Duration::from_millis(50);
const SIZE: usize = 20_000_000;
const ROUNDS: usize = 5;
