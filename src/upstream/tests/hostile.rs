//! Upstreams that break HTTP, or keep us waiting.

use super::peer::{Line, Peer};
use super::websocket::Client;
use super::*;

/// What the client gets to see of a response.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// No response: an error of ours takes its place.
    Refused,
    /// A head, and a body that breaks off.
    Broken,
    /// A whole response.
    Whole(&'static str),
}

async fn seen(answer: impl Into<Vec<u8>>) -> Seen {
    let answer: &'static [u8] = answer.into().leak();
    let peer = Peer::saying(answer).await;
    match get(&upstream(peer.address)).await {
        Err(Error::Misbehaved(_)) => Seen::Refused,
        Err(error) => panic!("{error}"),
        Ok(response) => match response.body {
            Err(_) => Seen::Broken,
            Ok(body) => Seen::Whole(String::from_utf8(body.to_vec()).unwrap().leak()),
        },
    }
}

#[track_caller]
fn check(answer: &str, seen: Seen, expected: Seen) {
    assert_eq!(seen, expected, "{answer:?}");
}

#[tokio::test]
async fn a_response_whose_end_is_in_doubt_is_refused() {
    for fields in [
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2\r\nContent-Length: 2",
        "Content-Length: 2, 2",
        "Content-Length: +2",
        "Content-Length: 0x2",
        "Content-Length: -1",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 2",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n2\r\nok\r\n0\r\n\r\n");
        check(&answer, seen(answer.clone()).await, Seen::Refused);
    }
}

#[tokio::test]
async fn what_is_no_response_is_refused() {
    for answer in [
        "",
        "\r\n",
        "ok",
        "\u{16}\u{3}\u{1}\u{2}",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        check(answer, seen(answer).await, Seen::Refused);
    }
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(200_000));
    check("a head of 200 KB", seen(endless).await, Seen::Refused);
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: a\r\n".repeat(200));
    check("200 fields", seen(many).await, Seen::Refused);
}

#[tokio::test]
async fn a_body_that_breaks_off_never_looks_complete() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
    ] {
        check(answer, seen(answer).await, Seen::Broken);
    }
}

#[tokio::test]
async fn a_client_sees_that_a_body_broke_off() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let peer = Peer::saying(answer).await;
        let mut client = Client::of(peer.address).await;
        client.say("GET / HTTP/1.1\r\nHost: wiki.example\r\n\r\n").await;
        let seen = String::from_utf8(client.rest().await).unwrap();
        assert!(seen.starts_with("HTTP/1.1 200 OK\r\n"), "{seen}");
        assert!(seen.trim_end().ends_with("hello"), "{seen}");
    }
}

#[tokio::test]
async fn what_is_odd_but_clear_passes() {
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nok",
        "HTTP/1.0 200\r\n\r\nok",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 002\r\n\r\nok",
    ] {
        check(answer, seen(answer).await, Seen::Whole("ok"));
    }
}

#[tokio::test]
async fn who_speaks_first_is_no_http_server() {
    let banner = Peer::start(|_, mut line: Line| async move {
        line.say(b"SSH-2.0-OpenSSH_9.2\r\n").await;
        line.rest().await;
    })
    .await;
    assert!(matches!(get(&upstream(banner.address)).await, Err(Error::Misbehaved(_))));
}

#[tokio::test]
async fn bytes_behind_a_response_reach_nobody() {
    async fn smuggles(number: usize, mut line: Line) {
        line.head().await;
        let answer: &[u8] = match number {
            0 => {
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\
                   Content-Length: 5\r\n\r\nPWNED"
            }
            1 => {
                b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nPWNED"
            }
            2 => {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n\
                   HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nPWNED"
            }
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        };
        line.say(answer).await;
        line.rest().await;
    }
    let peer = Peer::start(smuggles).await;
    let upstream = upstream(peer.address);
    for expected in ["ok", "", "ok", "ok"] {
        assert_eq!(get(&upstream).await.unwrap().text(), expected);
    }
    assert_eq!(peer.connections(), 4);
}

#[tokio::test]
async fn who_cannot_be_reached_is_told_from_who_is_slow() {
    // Bound, so that nobody else gets the port, and not listening.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = nobody.local_addr().unwrap();
    assert!(matches!(get(&upstream(address)).await, Err(Error::Unreachable { .. })));
    let nowhere = made(&settings(on_socket(Path::new("/nonexistent/socket"))));
    assert!(matches!(get(&nowhere).await, Err(Error::Unreachable { .. })));
    let nameless = Target::Origin(Origin::parse("http://nameless.invalid").unwrap());
    assert!(matches!(get(&made(&settings(nameless))).await, Err(Error::Unresolved { .. })));
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_too_slow() {
    async fn silent(_: usize, mut line: Line) {
        line.rest().await;
    }
    async fn dribbles(_: usize, mut line: Line) {
        line.head().await;
        line.say(b"HTTP/1.1 200 OK\r\n").await;
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            line.say(b"HTTP/1.1 100 Continue\r\n\r\n").await;
        }
    }
    async fn informs(_: usize, mut line: Line) {
        line.head().await;
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            line.say(b"HTTP/1.1 103 Early Hints\r\n\r\n").await;
        }
    }
    let peers =
        [Peer::start(silent).await, Peer::start(informs).await, Peer::start(dribbles).await];
    for (number, peer) in peers.iter().enumerate() {
        let mut settings = settings(at(peer.address));
        settings.timeouts.response_headers = Duration::from_millis(80);
        let answer = get(&made(&settings)).await;
        let slow = matches!(answer, Err(Error::TooSlow(Phase::Answering)));
        // Not a field at all: this one is found out before its time is over.
        let broken = number == 2 && matches!(answer, Err(Error::Misbehaved(_)));
        assert!(slow || broken, "{number}");
    }
}

#[tokio::test]
async fn silence_in_a_body_breaks_it_off_unless_silence_is_its_nature() {
    for (kind, broken) in [
        ("text/html", true),
        ("text/event-stream; charset=utf-8", false),
        ("Application/gRPC+proto", false),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\nok");
        let peer = Peer::answering(answer.leak().as_bytes()).await;
        let mut settings = settings(at(peer.address));
        settings.timeouts.idle = Duration::from_millis(50);
        let upstream = made(&settings);
        let response = answer_of(&upstream).await;
        let patience = if broken { PATIENCE } else { Duration::from_millis(400) };
        let end = tokio::time::timeout(patience, response.into_body().collect());
        match end.await {
            Ok(end) => assert!(broken && end.is_err_and(|error| is_slow(&error)), "{kind}"),
            Err(_) => assert!(!broken, "{kind}"),
        }
    }
}

async fn answer_of(upstream: &Upstream) -> http::Response<Body> {
    answer(upstream, request(Method::GET, Body::empty())).await.unwrap()
}

fn is_slow(error: &BodyError) -> bool {
    matches!(error.downcast_ref(), Some(Error::TooSlow(Phase::Streaming)))
}

#[tokio::test]
async fn a_body_that_keeps_coming_may_take_longer_than_the_idle_time() {
    async fn steady(_: usize, mut line: Line) {
        line.head().await;
        line.say(b"HTTP/1.1 200 OK\r\n\r\n").await;
        for _ in 0..20 {
            tokio::time::sleep(DRIP).await;
            line.say(b".").await;
        }
    }
    let peer = Peer::start(steady).await;
    let mut settings = settings(at(peer.address));
    settings.timeouts.idle = DRIP * 15;
    assert_eq!(get(&made(&settings)).await.unwrap().text().len(), 20);
}
