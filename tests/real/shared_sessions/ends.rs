//! The end of a session at one instance, seen by the other one.

use std::io::ErrorKind;

use tokio::time::timeout;

use super::*;
use crate::support::operator;
use crate::support::wire::{Peer, SWITCHED, UPGRADE, status};

#[tokio::test(flavor = "multi_thread")]
async fn session_of_one_instance_is_that_of_the_other_until_its_sign_out() {
    let pair = Pair::start().await;
    for (here, there) in [(&pair.first, &pair.second), (&pair.second, &pair.first)] {
        let mut alice = here.browser_of("alice").await;
        let bob = here.browser_of("bob").await;
        let page = there.fetch(&alice, "/").await;
        assert_eq!(page.json()["headers"]["x-forwarded-user"], "demo-alice", "{page:?}");
        assert_eq!(there.status(&bob).await, 200);
        let kept = alice.clone();
        sign_out(&mut alice).await;
        there.ends(&kept, A_SECOND).await;
        assert_eq!(here.status(&kept).await, 401);
        assert_eq!((here.status(&bob).await, there.status(&bob).await), (200, 200));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_out_at_an_instance_that_never_saw_the_session_ends_it() {
    let pair = Pair::start().await;
    let mut alice = pair.first.browser_of("alice").await;
    let kept = alice.clone();
    alice.moved_to(&pair.second.gateway);
    sign_out(&mut alice).await;
    pair.first.ends(&kept, A_SECOND).await;
    assert_eq!(pair.second.status(&kept).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn end_whose_notice_is_lost_is_seen_within_ten_seconds() {
    let pair = Pair::start().await;
    let mut alice = pair.first.browser_of("alice").await;
    let (kept, bob) = (alice.clone(), pair.first.browser_of("bob").await);
    assert_eq!(pair.second.status(&kept).await, 200);
    pair.second.link.set(LinkFault::NoNotices);
    sign_out(&mut alice).await;
    pair.second.ends(&kept, Duration::from_secs(10)).await;
    assert_eq!(pair.second.status(&bob).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn session_whose_refresh_is_refused_ends_at_both() {
    let pair = Pair::with(Stack::builder().token_lifetime(A_SECOND), "").await;
    let alice = pair.first.browser_of("alice").await;
    assert_eq!(pair.second.status(&alice).await, 200);
    pair.provider.revoke_all();
    pair.first.ends(&alice, RECOVERY).await;
    let refreshes = pair.provider.counts().refreshes;
    pair.second.ends(&alice, A_SECOND).await;
    assert_eq!(pair.provider.counts().refreshes, refreshes, "nothing is asked about it any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn end_at_one_instance_is_not_undone_by_a_refresh_at_the_other() {
    let builder = Stack::builder().token_lifetime(A_SECOND);
    let pair = Pair::with(builder, "").await;
    for _ in 0..5 {
        let mut alice = pair.first.browser_of("alice").await;
        let kept = alice.clone();
        let refreshes = pair.provider.counts().refreshes;
        let asking = async {
            while pair.provider.counts().refreshes == refreshes {
                pair.second.status(&kept).await;
            }
        };
        asking.await;
        sign_out(&mut alice).await;
        pair.second.ends(&kept, A_SECOND).await;
        assert_eq!(pair.first.status(&kept).await, 401);
    }
}

/// An application with a WebSocket at `/socket`, and events at every other path but `/`.
async fn streaming() -> Peer {
    Peer::start(|mut wire| async move {
        let head = wire.head().await;
        match head.split(' ').nth(1).unwrap() {
            "/" => return wire.say(EMPTY).await,
            // A whole text frame (RFC 6455 §5.2).
            "/socket" => wire.say(format!("{SWITCHED}\x01\x02hi")).await,
            _ => {
                wire.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nhi\n\n").await;
            }
        }
        tokio::io::copy(&mut wire.stream, &mut tokio::io::sink()).await.ok();
    })
    .await
}

const EMPTY: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// An event stream and a WebSocket of a session at an instance.
struct Open {
    events: Wire,
    socket: Wire,
}

impl Open {
    async fn at(instance: &Instance, browser: &Browser) -> Self {
        let mut events = instance.open(browser, "GET /events", "").await;
        assert_eq!(status(&events.until("hi\n\n").await), 200);
        let mut socket = instance.open(browser, "GET /socket", UPGRADE).await;
        assert_eq!(status(&socket.head().await), 101);
        socket.until("hi").await;
        Self { events, socket }
    }

    /// Both end soon, the WebSocket with its reason.
    async fn end(mut self) {
        timeout(STREAM_END, self.events.rest()).await.unwrap();
        // 1008, as four bytes and a text.
        assert_eq!(timeout(STREAM_END, self.socket.bytes(4)).await.unwrap()[..2], [0x88, 15]);
        assert_eq!(self.socket.rest().await, "session ended");
    }

    /// Neither has ended.
    fn is_open(&mut self) {
        for wire in [&mut self.events, &mut self.socket] {
            let read = wire.stream.try_read(&mut [0; 64]);
            assert_eq!(read.unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    }
}

/// The limit of five seconds, and some more for a busy machine.
const STREAM_END: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_a_session_end_at_both_instances_with_its_sign_out() {
    let pair = Pair::in_front_of(streaming().await, Stack::builder(), "").await;
    let (mut alice, bob) =
        (pair.first.browser_of("alice").await, pair.first.browser_of("bob").await);
    let mut ended = Vec::new();
    for instance in pair.instances() {
        ended.push(Open::at(instance, &alice).await);
    }
    let mut other = Open::at(&pair.second, &bob).await;
    sign_out(&mut alice).await;
    for open in ended {
        open.end().await;
    }
    other.is_open();
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_an_ended_session_end_in_a_partition_and_after_it() {
    for lasts in [true, false] {
        let pair = Pair::in_front_of(streaming().await, Stack::builder(), "").await;
        let mut alice = pair.first.browser_of("alice").await;
        let mut open = Open::at(&pair.second, &alice).await;
        pair.second.link.set(LinkFault::BlackHole);
        sign_out(&mut alice).await;
        open.is_open();
        if !lasts {
            pair.second.link.set(LinkFault::None);
        }
        open.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_their_session_also_where_there_was_no_room_for_it() {
    let pair = Pair::in_front_of(streaming().await, Stack::builder(), ", max_sessions: 2").await;
    let mut alice = pair.first.browser_of("alice").await;
    let mut open = Open::at(&pair.second, &alice).await;
    for _ in 0..6 {
        pair.second.browser_of("bob").await;
    }
    open.is_open();
    sign_out(&mut alice).await;
    open.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_seen_after_a_reload_too() {
    let pair = Pair::in_front_of(streaming().await, Stack::builder(), "").await;
    let mut alice = pair.first.browser_of("alice").await;
    let (kept, bob) = (alice.clone(), pair.first.browser_of("bob").await);
    let open = Open::at(&pair.second, &alice).await;
    let Instance { gateway, configuration, .. } = &pair.second;
    gateway.reload(&configuration.replace("session: {", "session: { idle_timeout: 1h,"));
    operator::until(gateway, "config_reloads_total{outcome=\"success\"}", |it| it >= 1.0).await;
    for browser in [&alice, &bob] {
        assert_eq!(pair.second.status(browser).await, 200);
    }
    sign_out(&mut alice).await;
    pair.second.ends(&kept, A_SECOND).await;
    open.end().await;
    assert_eq!(pair.second.status(&bob).await, 200);
}
