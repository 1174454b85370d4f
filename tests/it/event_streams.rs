//! Event streams: each event arrives at once, and none after the session has ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::support::browser::Browser;
use crate::support::gateway::Gateway;
use crate::support::stack::Stack;
use crate::support::wire::{Peer, Wire, field, request};

#[tokio::test(flavor = "multi_thread")]
async fn event_arrives_before_the_next_one_is_sent() {
    let next = Arc::new(Notify::new());
    let go = Arc::clone(&next);
    let peer = Peer::start(move |mut wire| {
        let go = Arc::clone(&go);
        async move {
            wire.head().await;
            wire.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            for number in 0..5 {
                wire.say(format!("9\r\ndata: {number}\n\n\r\n")).await;
                // Not before the client has seen this one.
                go.notified().await;
            }
            wire.say("0\r\n\r\n").await;
        }
    });
    let peer = peer.await;
    let gateway = Gateway::in_front_of(peer.address, "");
    let mut wire = Wire::to(&gateway).await;
    wire.say(request("GET /", "Accept: text/event-stream\r\n")).await;
    assert_eq!(field(&wire.head().await, "content-type"), "text/event-stream");
    for number in 0..5 {
        wire.until(&format!("data: {number}\n\n")).await;
        next.notify_one();
    }
    wire.until("0\r\n\r\n").await;
}

/// The browser of a user who has signed in, and a request of that user for the events of an application.
async fn requested_by_alice(stack: &Stack<Peer>) -> (Browser, Wire) {
    let mut browser = stack.browser();
    let mut answer = browser.open("/oauth2/start?rd=/").await;
    let (action, hidden) = answer.form();
    let mut fields = vec![("username", "alice"), ("password", "alice")];
    fields.extend(hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    answer = browser.submit(action.as_str(), &fields).await;
    while let Some(next) = answer.redirect().filter(|next| next.path() != "/") {
        answer = browser.navigate(next.as_str()).await;
    }
    let cookie = format!("Cookie: portcullis={}\r\n", browser.cookie("/", "portcullis").unwrap());
    let mut wire = Wire::to(&stack.gateway).await;
    wire.say(request("GET /events", &cookie)).await;
    (browser, wire)
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_event_stream_ends_for_the_upstream_after_sign_out() {
    let (tell, mut events) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire| {
        let tell = tell.clone();
        async move {
            wire.head().await;
            wire.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await;
            wire.fill().await;
            tell.send("stands still").unwrap();
            wire.fill_to_the_end().await;
            tell.send("has ended").unwrap();
        }
    });
    let stack = Stack::builder().start_with(peer.await).await;
    let (mut browser, mut wire) = requested_by_alice(&stack).await;
    wire.head().await;
    assert_eq!(timeout(SOON, events.recv()).await.unwrap(), Some("stands still"));
    browser.navigate("/oauth2/sign_out").await;
    let ended = timeout(AT_ONCE, events.recv()).await;
    assert_eq!(ended.expect("an end in time"), Some("has ended"));
}

#[tokio::test(flavor = "multi_thread")]
async fn event_stream_is_cut_after_sign_out() {
    let peer = Peer::start(|mut wire| async move {
        wire.head().await;
        wire.say(
            "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n\r\ndata: 1\n\n",
        )
        .await;
        wire.rest().await;
    });
    let stack = Stack::builder().start_with(peer.await).await;
    let (mut browser, mut wire) = requested_by_alice(&stack).await;
    assert_eq!(field(&wire.head().await, "cache-control"), "private");
    wire.until("data: 1\n\n").await;
    browser.navigate("/oauth2/sign_out").await;
    let rest = timeout(AT_ONCE, wire.rest()).await.unwrap();
    assert!(!rest.ends_with("0\r\n\r\n"), "cut, not ended: {rest:?}");
}

const SOON: Duration = Duration::from_secs(20);
/// The five seconds within which a stream ends with its session, and as many for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(10);
