//! What passes through each server: large heads, uploads, and events.
//! Invariant: the application gets all of it, once and at once, and a denial has nothing of it.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use crate::deployment::Deployment;
use crate::forward_auth::{APPLICATION_COOKIE, assert_kept_to_itself};
use crate::support::browser::{Answer, Browser};
use crate::support::provider;
use crate::support::wire::{Peer, Wire, field, status};

/// 7 KiB of cookies of the application, and 7 KiB of groups: common servers accept 8 KiB.
pub(crate) async fn large_cookies_and_groups_reach_the_application(deployment: Deployment) {
    let mut stranger = deployment.server.browser();
    stranger.plant("wiki", &large_cookie());
    let answer = stranger.fetch("/page").await;
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_kept_to_itself(&answer);
    let (mut alice, page) = with_7_kib_of_groups(&deployment).await;
    assert_eq!(page.status, 200, "{page:?}");
    let headers = &page.json()["headers"];
    assert_eq!(headers["x-forwarded-groups"], groups().join(","));
    assert_eq!(headers["cookie"], format!("wiki={}", large_cookie()));
    let denied = alice.navigate("/staff").await;
    assert_eq!(denied.status, 403, "{denied:?}");
    assert_kept_to_itself(&denied);
}

/// A user who has signed in with such cookies and groups, and the page after that.
pub(crate) async fn with_7_kib_of_groups(deployment: &Deployment) -> (Browser, Answer) {
    let groups = groups();
    let names: Vec<_> = groups.iter().map(String::as_str).collect();
    deployment.provider.set_groups("alice", &names);
    let mut alice = deployment.server.browser();
    alice.plant("wiki", &large_cookie());
    let page = provider::sign_in(&mut alice, "/page?a=1", "alice").await;
    (alice, page)
}

fn groups() -> Vec<String> {
    (0..7 * 16).map(|number| format!("group-{number:057}")).collect()
}

fn large_cookie() -> String {
    APPLICATION_COOKIE.repeat(7 * 1024 / APPLICATION_COOKIE.len() + 1)
}

/// A megabyte, which some servers take for too much, with and without a length.
pub(crate) async fn upload_reaches_the_application_whole_and_once(deployment: Deployment) {
    let alice = deployment.member("alice").await;
    let cookies = format!("portcullis={}", alice.cookie("/", "portcullis").unwrap());
    let body: String = ('a'..='z').cycle().take(1024 * 1024 + 1).collect();
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let length = format!("Content-Length: {}", body.len());
    let before = deployment.upstream.request_count();
    for (framing, bytes) in [(&*length, &body), ("Transfer-Encoding: chunked", &chunk)] {
        let mut wire = deployment.server.wire().await;
        wire.say(format!(
            "POST /page HTTP/1.1\r\nHost: wiki.localhost\r\nConnection: close\r\nCookie: {cookies}\r\n\
             {framing}\r\n\r\n"
        ))
        .await;
        wire.say(bytes).await;
        let answer = wire.rest().await;
        assert_eq!(status(&answer), 200, "{framing}: {answer}");
    }
    let seen = deployment.upstream.seen().split_off(before);
    assert!(seen.iter().map(|request| &request["body"]).eq([&*body; 2].map(Value::from).iter()));
}

/// A server that waits for more of the answer would never send an event.
pub(crate) async fn event_is_sent_before_the_next_one_exists(
    in_front_of: impl AsyncFnOnce(SocketAddr) -> Deployment<SocketAddr>,
) {
    let next = Arc::new(Notify::new());
    let go = Arc::clone(&next);
    let peer = Peer::start(move |wire| send_events(wire, Arc::clone(&go))).await;
    let Deployment { gateway: _gateway, server, .. } = in_front_of(peer.address).await;
    for path in ["/open/chunked", "/open/until-the-end"] {
        let mut wire = server.wire().await;
        let fields = "Host: wiki.localhost\r\nAccept: text/event-stream\r\nConnection: close\r\n";
        wire.say(format!("GET {path} HTTP/1.1\r\n{fields}\r\n")).await;
        let head = wire.head().await;
        assert_eq!(field(&head, "content-type"), "text/event-stream", "{path}: {head}");
        for number in 0..5 {
            wire.until(&format!("data: {number}\n\n")).await;
            next.notify_one();
        }
        wire.rest().await;
    }
}

/// Each event after the client has seen the one before.
async fn send_events(mut wire: Wire, go: Arc<Notify>) {
    let chunked = wire.head().await.contains("/open/chunked ");
    let framing = if chunked { "Transfer-Encoding: chunked" } else { "Connection: close" };
    wire.say(format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n\r\n"))
        .await;
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        wire.say(if chunked { format!("9\r\n{event}\r\n") } else { event }).await;
        go.notified().await;
    }
    if chunked {
        wire.say("0\r\n\r\n").await;
    }
    wire.done().await;
}
