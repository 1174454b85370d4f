//! More clients than there is room for.

use tokio::net::TcpStream;

use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::operator::{ask, until};
use crate::support::upstream::Upstream;
use crate::support::wire::{Wire, field, status};

const GET: &str = "GET / HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n";

fn configuration(limits: &str, upstream: &Upstream) -> String {
    format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\", limits: {{ {limits} }} }}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\n\
         routes: [{{ upstream: \"http://{}\", allow: public }}]\n",
        upstream.address
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_one_too_many_is_told_when_to_come_back() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start_with(&configuration("connections: 1", &upstream));
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
    let gateway = Gateway::start_with_few_files(FILES, &configuration("", &upstream));
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
