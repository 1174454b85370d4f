//! Streams that are open when their session expires.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::broadcast;

use super::outage::DOWN;
use crate::support::browser::Browser;
use crate::support::clocked::Clocked;
use crate::support::faults::{Fault, GrantType, TokenFault};
use crate::support::provider;
use crate::support::stack::Stack;
use crate::support::wire::{Peer, SWITCHED, UPGRADE, Wire, request, status};

/// An application that streams what the test sends, and a signed-in user.
pub(super) struct Streams {
    pub(super) at: Clocked,
    browser: Browser,
    next: broadcast::Sender<&'static str>,
    _peer: Peer,
}

impl Streams {
    /// `session` is the section of that name.
    pub(super) async fn start(session: &str) -> Self {
        let (next, _) = broadcast::channel(8);
        let events = next.clone();
        let peer = Peer::start(move |mut wire| {
            let mut events = events.subscribe();
            async move {
                let head = wire.head().await;
                if head.to_ascii_lowercase().contains("\r\nupgrade: ") {
                    wire.say(SWITCHED).await;
                    // Answers each frame with a frame that has the count so far (RFC 6455 §5.2).
                    for count in 1_u8.. {
                        wire.bytes(FRAME.len()).await;
                        wire.say([0x82, 1, count]).await;
                    }
                }
                let kind = match head.starts_with("GET /lines ") {
                    true => "application/x-ndjson",
                    false => "text/event-stream",
                };
                wire.say(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n")).await;
                while let Ok(event) = events.recv().await {
                    wire.say(format!("data: {event}\n\n")).await;
                }
            }
        });
        let peer = peer.await;
        let at = Stack::builder()
            .sections(&format!("session: {{ {session} }}"))
            .routes([
                "path: /stream, UPSTREAM, allow: authenticated",
                "path: /lines, UPSTREAM, allow: authenticated",
                "path: /open, UPSTREAM, allow: public",
            ])
            .start_clocked(&peer)
            .await;
        let mut browser = at.browser();
        // No place to return to: the visit ends at `/`.
        let page = browser.open("/oauth2/start?rd=/oauth2/none").await;
        browser.fill(&page, &[("username", "alice"), ("password", "alice")]).await;
        Self { at, browser, next, _peer: peer }
    }

    /// A request with the cookie of who is signed in, and the head of its answer.
    pub(super) async fn open(&self, path: &str, fields: &str, expected: u16) -> Wire {
        let cookie = self.browser.cookie("/", "portcullis").unwrap();
        self.open_with(path, &format!("Cookie: portcullis={cookie}\r\n{fields}"), expected).await
    }

    async fn open_with(&self, path: &str, fields: &str, expected: u16) -> Wire {
        let mut wire = Wire::of(TcpStream::connect(self.at.address).await.unwrap());
        wire.say(request(&format!("GET {path}"), fields)).await;
        assert_eq!(status(&wire.head().await), expected);
        wire
    }

    /// Asks without being a use of the session.
    pub(super) async fn is_signed_in(&mut self) -> bool {
        self.browser.fetch("/oauth2/userinfo").await.status == 200
    }
}

/// T25: whom every new request takes for a stranger does not go on in an old one.
#[tokio::test(flavor = "multi_thread")]
async fn event_stream_ends_with_the_grace_period() {
    let mut streams = Streams::start("lifetime: 12h").await;
    let mut members = streams.open("/stream", "", 200).await;
    let mut anyones = streams.open("/open", "", 200).await;
    streams.at.provider.set_faults(&DOWN);
    let (lifetime, grace) = (provider::settings().access_token_lifetime, Duration::from_secs(300));
    streams.at.clock.advance(lifetime + grace / 2);
    let refreshed = "the open stream's session is refreshed";
    streams.at.provider.until(refreshed, |counts| counts.refreshes > 0).await;
    streams.next.send("within").unwrap();
    members.until("within").await;
    assert!(streams.is_signed_in().await);
    streams.at.clock.advance(grace / 2);
    members.rest().await;
    assert!(!streams.is_signed_in().await);
    streams.next.send("after").unwrap();
    anyones.until("after").await;
}

/// T25: they end without a further request, and before the next sweep.
#[tokio::test(flavor = "multi_thread")]
async fn open_streams_end_with_lifetime_and_idle_timeout() {
    for (session, time) in [("lifetime: 1h", 3600), ("idle_timeout: 10m", 600)] {
        let mut streams = Streams::start(session).await;
        let mut strangers = streams.open_with("/open", "", 200).await;
        let mut ending = Vec::new();
        for (path, fields, status) in [
            ("/stream", "", 200),
            ("/open", "", 200),
            ("/lines", "", 200),
            ("/stream", UPGRADE, 101),
        ] {
            ending.push(streams.open(path, fields, status).await);
        }
        streams.at.clock.advance(Duration::from_secs(time - 60));
        streams.next.send("within").unwrap();
        for wire in &mut ending[..3] {
            wire.until("within").await;
        }
        streams.at.clock.advance(Duration::from_secs(60));
        for wire in &mut ending {
            wire.rest().await;
        }
        assert!(!streams.is_signed_in().await, "{session}");
        streams.next.send("after").unwrap();
        strangers.until("after").await;
    }
}

/// One stream of each kind, with the session's cookie.
async fn of_each_kind(streams: &Streams) -> [Wire; 3] {
    [
        streams.open("/stream", "", 200).await,
        streams.open("/lines", "", 200).await,
        streams.open("/stream", UPGRADE, 101).await,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_end_when_the_provider_rejects_the_refresh() {
    let mut streams = Streams::start("lifetime: 12h").await;
    let mut open = of_each_kind(&streams).await;
    let rejected = Fault::Token(GrantType::Refresh, TokenFault::InvalidGrant);
    streams.at.provider.set_faults(&[rejected]);
    streams.at.clock.advance(provider::settings().access_token_lifetime);
    for wire in &mut open {
        wire.rest().await;
    }
    assert!(!streams.is_signed_in().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_end_when_their_session_is_evicted() {
    let mut streams = Streams::start("max_sessions_per_user: 1").await;
    let mut open = of_each_kind(&streams).await;
    streams.at.clock.advance(Duration::from_secs(1));
    let mut browser = streams.at.browser();
    let page = browser.open("/oauth2/start?rd=/oauth2/none").await;
    browser.fill(&page, &[("username", "alice"), ("password", "alice")]).await;
    for wire in &mut open {
        wire.rest().await;
    }
    assert!(!streams.is_signed_in().await);
    assert_eq!(browser.fetch("/oauth2/userinfo").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn websocket_frame_of_the_client_resets_the_idle_timeout() {
    let mut streams = Streams::start("idle_timeout: 60s").await;
    let mut socket = streams.open("/stream", UPGRADE, 101).await;
    for count in 1..=3 {
        streams.at.clock.advance(Duration::from_secs(40));
        socket.say(FRAME).await;
        assert_eq!(socket.bytes(3).await, [0x82, 1, count]);
        assert!(streams.is_signed_in().await, "40 s after the frame before");
    }
    streams.at.clock.advance(Duration::from_secs(61));
    socket.rest().await;
    assert!(!streams.is_signed_in().await);
}

/// A masked frame with one byte.
const FRAME: [u8; 7] = [0x82, 0x81, 1, 2, 3, 4, 5];
