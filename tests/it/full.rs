//! Limits on connections, streams and descriptors, when more clients come than there is room for.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::operator::{ask, until};
use crate::support::upstream::Upstream;
use crate::support::wire::{Peer, Wire, field, status};

const GET: &str = "GET / HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n";

const POST: &str =
    "POST / HTTP/1.1\r\nHost: wiki.localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";

fn configuration(server: &str, upstream: &Upstream) -> String {
    format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\"{server} }}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\n\
         routes: [{{ upstream: \"http://{}\", allow: public }}]\n",
        upstream.address
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn over_limit_connection_gets_503_with_retry_after() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start_with(&configuration(", limits: { connections: 1 }", &upstream));
    let mut first = Wire::to(&gateway).await;
    // In flight until its body has arrived.
    first.say(POST).await;
    first.until("100 Continue\r\n\r\n").await;
    let mut second = Wire::to(&gateway).await;
    second.say(GET).await;
    let answer = second.rest().await;
    assert_eq!((status(&answer), field(&answer, "retry-after")), (503, "5"), "{answer}");
    assert_eq!(
        (field(&answer, "connection"), field(&answer, "cache-control")),
        ("close", "no-store")
    );
    first.say("x").await;
    assert_eq!(status(&first.head().await), 200);
    assert_eq!(upstream.request_count(), 1);
    drop(first);
    until(&gateway, "connections", |open| open == 0.0).await;
    let mut third = Wire::to(&gateway).await;
    third.say(GET).await;
    assert_eq!(status(&third.head().await), 200);
    until(&gateway, "limit_hits_total{limit=\"connections\"}", |hits| hits == 1.0).await;
    gateway.log_until("every connection has a request under way");
}

/// Two hundred idle keep-alive connections of one client do not block others.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_evicted_for_new_ones() {
    const MANY: usize = 200;
    let upstream = Upstream::start().await;
    let limit = format!(", limits: {{ connections: {MANY} }}");
    let gateway = Gateway::start_with(&configuration(&limit, &upstream));
    let mut idle = Vec::new();
    for _ in 0..MANY {
        let mut wire = Wire::to(&gateway).await;
        wire.say(GET).await;
        assert_eq!(status(&wire.head().await), 200);
        idle.push(wire);
    }
    for _ in 0..MANY / 4 {
        let mut other = Wire::to(&gateway).await;
        other.say(GET).await;
        assert_eq!(status(&other.head().await), 200);
        idle.push(other);
    }
    let hits = |hits: f64| hits == 50.0;
    until(&gateway, "limit_hits_total{limit=\"idle_connections\"}", hits).await;
    gateway.log_until("the longest idle connections are closed for new ones");
    idle[0].rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_over_its_connection_limit_gets_503_with_retry_after() {
    let upstream = Upstream::start().await;
    let limit = ", limits: { connections_per_client: 3 }";
    let gateway = Gateway::start_with(&configuration(limit, &upstream));
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(Wire::to(&gateway).await);
    }
    let mut over = Wire::to(&gateway).await;
    over.say(GET).await;
    let answer = over.rest().await;
    assert_eq!((status(&answer), field(&answer, "retry-after")), (503, "5"), "{answer}");
    for wire in &mut open {
        wire.say(GET).await;
        assert_eq!(status(&wire.head().await), 200);
    }
    let hits = |hits: f64| hits == 1.0;
    until(&gateway, "limit_hits_total{limit=\"connections_per_client\"}", hits).await;
    gateway.log_until("127.0.0.1 has reached server.limits.connections_per_client");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_leave_descriptors_for_active_ones() {
    const FILES: usize = 256;
    let upstream = Upstream::start().await;
    // No connection times out while all of them are opened.
    let configuration = configuration(", timeouts: { request_headers: 60s }", &upstream);
    let gateway = Gateway::start_with_few_files(FILES, &configuration);
    gateway.log_until("the limit of open files allows only 64 of the");
    let mut idle = Vec::new();
    for _ in 0..FILES {
        idle.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    // The last connection: one is evicted for it, even while 64 others wait for their 503.
    let mut busy = Wire::to(&gateway).await;
    busy.say(GET).await;
    assert_eq!(status(&busy.head().await), 200);
    until(&gateway, "connections", |open| open <= 128.0).await;
    assert_eq!(ask(&gateway, "/readyz").await.status, 200);
}

/// A gateway with room for 64 connections to upstreams; `slow` answers on `/`, and a quick application on `/quick`.
fn with_few_sockets(slow: SocketAddr, quick: &Upstream) -> Gateway {
    let configuration = format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\" }}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\n\
         routes:\n  - {{ upstream: \"http://{slow}\", allow: public }}\n  \
         - {{ path: /quick, upstream: \"http://{}\", allow: public }}\n",
        quick.address
    );
    Gateway::start_with_few_files(256, &configuration)
}

/// A hundred requests over one HTTP/2 connection.
async fn a_hundred_streams(gateway: &Gateway) -> JoinSet<Response<Incoming>> {
    let stream = TokioIo::new(TcpStream::connect(gateway.address).await.unwrap());
    let (mut streams, connection) = handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let mut requests = JoinSet::new();
    for _ in 0..100 {
        streams.ready().await.unwrap();
        let get = Request::get("http://wiki.localhost/").body(Empty::<Bytes>::new()).unwrap();
        let answer = streams.send_request(get);
        requests.spawn(async { answer.await.unwrap() });
    }
    requests
}

/// Over HTTP/2 one connection has many requests in flight.
#[tokio::test(flavor = "multi_thread")]
async fn endless_h2_streams_of_one_client_leave_upstream_connections_for_others() {
    let (silent, quick) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), Upstream::start().await);
    let gateway = with_few_sockets(silent.local_addr().unwrap(), &quick);
    let mut requests = a_hundred_streams(&gateway).await;
    // 48 wait for the silent upstream, three quarters of all; one or two more may have raced with the last of them.
    for _ in 50..100 {
        let answer = requests.join_next().await.unwrap().unwrap();
        assert_eq!(answer.status().as_u16(), 503);
        assert_eq!(answer.headers()["retry-after"], "5");
    }
    let share = "limit_hits_total{limit=\"upstream_connections_per_client\"}";
    until(&gateway, share, |hits| hits >= 50.0).await;
    gateway.log_until("this client uses a quarter of them");
    // Others are served, until there is no socket left.
    let mut other = Wire::to(&gateway).await;
    other.say(GET.replace("GET /", "GET /quick")).await;
    assert_eq!(status(&other.head().await), 200);
    // A quarter for the second connection, and nothing for the third.
    let _others = [a_hundred_streams(&gateway).await, a_hundred_streams(&gateway).await];
    until(&gateway, "limit_hits_total{limit=\"upstream_connections\"}", |hits| hits >= 1.0).await;
    assert_eq!(ask(&gateway, "/readyz").await.status, 200);
}

/// An unread response holds its connection to the upstream for as long as its client likes.
#[tokio::test(flavor = "multi_thread")]
async fn unread_h2_streams_of_one_client_leave_upstream_connections_for_others() {
    let endless = Peer::start(|mut wire| async move {
        wire.head().await;
        wire.say("HTTP/1.1 200 OK\r\n\r\n").await;
        while wire.stream.write_all(&[b'x'; 16 * 1024]).await.is_ok() {}
    });
    let (endless, quick) = (endless.await, Upstream::start().await);
    let gateway = with_few_sockets(endless.address, &quick);
    let (mut unread, mut rejected) = (Vec::new(), 0);
    let mut requests = a_hundred_streams(&gateway).await;
    while let Some(answer) = requests.join_next().await {
        let answer = answer.unwrap();
        match answer.status().as_u16() {
            200 => unread.push(answer),
            503 => rejected += 1,
            status => panic!("{status}"),
        }
    }
    assert!(unread.len() >= 48 && rejected >= 50, "{} and {rejected}", unread.len());
    for _ in 0..20 {
        let mut other = Wire::to(&gateway).await;
        other.say(GET.replace("GET /", "GET /quick")).await;
        assert_eq!(status(&other.head().await), 200);
    }
    drop(unread);
    let open =
        format!("upstream_connections{{upstream=\"http://{}\",state=\"busy\"}}", endless.address);
    until(&gateway, &open, |busy| busy == 0.0).await;
    let mut again = a_hundred_streams(&gateway).await;
    while again.join_next().await.unwrap().unwrap().status() != 200 {}
}
