//! More clients than there is room for.

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::operator::{ask, until};
use crate::support::upstream::Upstream;
use crate::support::wire::{Wire, field, status};

const GET: &str = "GET / HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n";

fn configuration(server: &str, upstream: &Upstream) -> String {
    format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\"{server} }}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\n\
         routes: [{{ upstream: \"http://{}\", allow: public }}]\n",
        upstream.address
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_one_too_many_is_told_when_to_come_back() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start_with(&configuration(", limits: { connections: 1 }", &upstream));
    let mut first = Wire::to(&gateway).await;
    first.say(GET).await;
    assert_eq!(status(&first.head().await), 200);
    let mut second = Wire::to(&gateway).await;
    second.say(GET).await;
    let told = second.rest().await;
    assert_eq!((status(&told), field(&told, "retry-after")), (503, "5"), "{told}");
    assert_eq!((field(&told, "connection"), field(&told, "cache-control")), ("close", "no-store"));
    assert_eq!(upstream.asked(), 1);
    drop(first);
    until(&gateway, "connections", |open| open == 0.0).await;
    let mut third = Wire::to(&gateway).await;
    third.say(GET).await;
    assert_eq!(status(&third.head().await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_who_do_nothing_leave_descriptors_to_those_who_do() {
    const FILES: usize = 256;
    let upstream = Upstream::start().await;
    // Nobody is sent away for being slow while all of them connect.
    let configuration = configuration(", timeouts: { request_headers: 60s }", &upstream);
    let gateway = Gateway::start_with_few_files(FILES, &configuration);
    gateway.log_until("there is room for 64 connections only");
    let mut busy = Wire::to(&gateway).await;
    let mut idle = Vec::new();
    for _ in 0..FILES {
        idle.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    // As many as there is room for, and 64 who would be told so.
    until(&gateway, "connections", |open| open == 128.0).await;
    busy.say(GET).await;
    assert_eq!(status(&busy.head().await), 200);
    assert_eq!(ask(&gateway, "/readyz").await.status, 200);
}

/// Over HTTP/2 one connection asks for many things at a time.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_never_end_leave_descriptors_to_others() {
    const FILES: usize = 256;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let configuration = format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\" }}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\n\
         routes: [{{ upstream: \"http://{}\", allow: public }}]\n",
        silent.local_addr().unwrap()
    );
    let gateway = Gateway::start_with_few_files(FILES, &configuration);
    let stream = TokioIo::new(TcpStream::connect(gateway.address).await.unwrap());
    let (mut streams, connection) = handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let mut asked = JoinSet::new();
    for _ in 0..100 {
        streams.ready().await.unwrap();
        let get = Request::get("http://wiki.localhost/").body(Empty::<Bytes>::new()).unwrap();
        asked.spawn(streams.send_request(get));
    }
    // 64 wait for the silent upstream, as many as there is room for. The others hear so.
    for _ in 64..100 {
        let answer = asked.join_next().await.unwrap().unwrap().unwrap();
        assert_eq!(answer.status().as_u16(), 503);
        assert_eq!(answer.headers()["retry-after"], "5");
    }
    until(&gateway, "limit_hits_total{limit=\"upstream_connections\"}", |hits| hits >= 36.0).await;
    assert_eq!(ask(&gateway, "/readyz").await.status, 200);
}
