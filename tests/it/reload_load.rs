//! Reloads while clients use the gateway: what must not be lost, and what must not be left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::browser::Browser;
use crate::support::door::Door;
use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::operator::{ask, ready, until, value};
use crate::support::provider;
use crate::support::stack::Stack;
use crate::support::upstream::Upstream;
use crate::support::wait;
use crate::support::wire::{Peer, SWITCHED, UPGRADE, Wire, request, status};

const SUCCESSES: &str = "config_reloads_total{outcome=\"success\"}";

/// A text frame of a client with a mask of zeros, and the same of a server (RFC 6455 §5.2).
const MASKED: [u8; 11] = *b"\x81\x85\0\0\0\0hello";
const PLAIN: [u8; 7] = *b"\x81\x05hello";

/// An application that answers, and sends each message of a WebSocket back.
async fn echo() -> Peer {
    Peer::start(|mut wire| async move {
        let head = wire.head().await;
        if head.split(' ').nth(1) != Some("/socket") {
            return wire
                .say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
                .await;
        }
        wire.say(SWITCHED).await;
        loop {
            wire.bytes(MASKED.len()).await;
            wire.say(PLAIN).await;
        }
    })
    .await
}

/// Has the configuration loaded again over a connection to the admin listener.
async fn order(wire: &mut Wire) {
    wire.say(request("POST /reload", "")).await;
    let head = wire.head().await;
    assert_eq!(status(&head), 200, "{head}");
    let length = crate::support::wire::field(&head, "content-length").parse().unwrap();
    wire.bytes(length).await;
}

/// A connection to the admin listener.
async fn admin(gateway: &Gateway) -> Wire {
    Wire::of(TcpStream::connect(gateway.address_of("admin listening")).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_over_twenty_reloads_of_a_gateway_in_use() {
    let builder = Stack::builder().admin().routes(["UPSTREAM, allow: authenticated"]);
    let stack = builder.start_with(echo().await).await;
    let cookie = stack.cookie_of("alice").await;
    let counts: [Arc<AtomicU64>; 3] = Default::default();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let (mut wire, count) = (Wire::to(&stack.gateway).await, Arc::clone(&counts[0]));
        let asked = request("GET /", &cookie);
        clients.push(tokio::spawn(async move {
            loop {
                wire.say(&asked).await;
                let head = wire.head().await;
                assert_eq!(status(&head), 200, "{head}");
                wire.bytes(5).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let mut browser = Browser::before(Door::http2(&stack.gateway).await);
        assert_eq!(provider::sign_in(&mut browser, "/", "alice").await.status, 200);
        let count = Arc::clone(&counts[1]);
        clients.push(tokio::spawn(async move {
            loop {
                let answer = browser.fetch("/").await;
                assert_eq!((answer.status.as_u16(), &*answer.body), (200, "hello"));
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let (mut wire, count) = (Wire::to(&stack.gateway).await, Arc::clone(&counts[2]));
        wire.say(request("GET /socket", &format!("{cookie}{UPGRADE}"))).await;
        assert_eq!(status(&wire.head().await), 101);
        clients.push(tokio::spawn(async move {
            loop {
                wire.say(MASKED).await;
                assert_eq!(wire.bytes(PLAIN.len()).await, PLAIN);
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let mut admin = admin(&stack.gateway).await;
    for number in 1..=20 {
        let sections = format!("session: {{ idle_timeout: {number}h }}\nadmin:");
        stack.gateway.rewrite(&stack.configuration().replace("admin:", &sections));
        let before = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        order(&mut admin).await;
        // Each kind is in use under each configuration.
        wait::until("every client was served since", async || {
            let now = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
            assert!(clients.iter().all(|client| !client.is_finished()), "a client has failed");
            now.iter().zip(before).all(|(now, before)| now - before > 4)
        })
        .await;
    }
    for client in clients {
        assert!(!client.is_finished(), "{:?}", client.await);
        client.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_that_is_taken_out_of_the_file_loses_its_trust_on_its_open_connection() {
    let builder = Stack::builder().admin().server("trusted_proxies: [127.0.0.1]");
    let stack = builder.start().await;
    let mut kept = Wire::to(&stack.gateway).await;
    for (proxies, client) in [("127.0.0.1", "192.0.2.7"), ("192.0.2.1", "127.0.0.1")] {
        let proxies = format!("trusted_proxies: [{proxies}]");
        let changed = stack.configuration().replace("trusted_proxies: [127.0.0.1]", &proxies);
        stack.gateway.rewrite(&changed);
        order(&mut admin(&stack.gateway).await).await;
        kept.say(request("GET /open", "X-Forwarded-For: 192.0.2.7\r\n")).await;
        let head = kept.head().await;
        kept.bytes(crate::support::wire::field(&head, "content-length").parse().unwrap()).await;
        let seen = stack.upstream.seen().pop().unwrap();
        let chain = seen["headers"]["x-forwarded-for"].as_str().unwrap();
        assert!(chain.starts_with(client), "{proxies}: {chain}");
    }
}

/// A configuration with one public route of this name.
fn named(name: &str, upstream: &str) -> String {
    format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\" }}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\n\
         routes: [{{ name: {name}, upstream: \"http://{upstream}\", allow: public }}]\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_that_come_and_go_leave_no_metrics_and_no_memory() {
    let upstream = Upstream::start().await;
    let target = upstream.address.to_string();
    let gateway = Gateway::start_with(&named("first", &target));
    let (mut admin, mut client) = (admin(&gateway).await, Wire::to(&gateway).await);
    let mut after_some = 0;
    for number in 0..250 {
        client.say(request("GET /", "")).await;
        let head = client.head().await;
        assert_eq!(status(&head), 200, "{head}");
        client.bytes(crate::support::wire::field(&head, "content-length").parse().unwrap()).await;
        gateway.rewrite(&named(&format!("route-{number}"), &target));
        order(&mut admin).await;
        if number == 49 {
            after_some = gateway.memory();
        }
    }
    let more = gateway.memory().saturating_sub(after_some);
    assert!(more < 4 << 20, "200 reloads took {more} bytes");
    client.say(request("GET /", "")).await;
    client.head().await;
    wait::until("only the last route is left in the metrics", async || {
        let metrics = ask(&gateway, "/metrics").await.body;
        assert!(metrics.contains("route=\"route-249\""), "{metrics}");
        let all = metrics.split("route=\"").skip(1);
        let known = ["(gateway)\"", "(none)\"", "route-249\""];
        all.into_iter().all(|name| known.iter().any(|known| name.starts_with(known)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_under_way_sees_one_configuration() {
    let go = Arc::new(Notify::new());
    let (asked, waiting) = (Arc::new(Notify::new()), Arc::clone(&go));
    let reached = Arc::clone(&asked);
    let first = Peer::start(move |mut wire| {
        let (go, reached) = (Arc::clone(&waiting), Arc::clone(&reached));
        async move {
            wire.head().await;
            reached.notify_one();
            go.notified().await;
            wire.say("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nfirst")
                .await;
        }
    })
    .await;
    let second = Peer::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let gateway = Gateway::start_with(&named("one", &first.address.to_string()));
    let mut client = Wire::to(&gateway).await;
    client.say(request("GET /", "")).await;
    asked.notified().await;
    gateway.rewrite(&named("two", &second.address.to_string()));
    order(&mut admin(&gateway).await).await;
    go.notify_one();
    assert_eq!(status(&client.head().await), 200);
    assert_eq!(client.bytes(5).await, b"first");
    let of_one = "requests_total{route=\"one\",status=\"2xx\"}";
    client.say(request("GET /", "")).await;
    assert_eq!(status(&client.head().await), 404);
    assert_eq!(value(&gateway, of_one).await, None, "with its last request it is forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_gateway_does_not_reload() {
    let upstream = Upstream::start().await;
    let yaml = named("one", &upstream.address.to_string());
    let slow = yaml.replace("server: {", "server: { timeouts: { drain_delay: 30s },");
    let gateway = Gateway::start_with(&slow);
    let mut admin = admin(&gateway).await;
    order(&mut admin).await;
    until(&gateway, SUCCESSES, |count| count == 1.0).await;
    gateway.signal("TERM");
    ready(&gateway, "draining\n").await;
    admin.say(request("POST /reload", "")).await;
    assert_eq!(status(&admin.head().await), 503);
    gateway.signal("TERM");
    assert!(gateway.wait().success());
}
