//! Upstreams that violate HTTP, or are too slow.

use tokio::join;
use tokio::time::sleep;

use super::*;
use crate::upstream::tests::scripted_upstream::{ScriptedConnection, ScriptedUpstream};
use crate::upstream::tests::websocket::WebSocketClient;

/// What the client receives of a response.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// An error of the gateway.
    Rejected,
    /// A head, and a body that breaks off.
    Broken,
    /// A whole response.
    Whole(&'static str),
}

async fn seen(answer: impl Into<Vec<u8>>) -> Seen {
    let answer: &'static [u8] = answer.into().leak();
    let peer = ScriptedUpstream::answering_once(answer).await;
    match get(&upstream(peer.address)).await {
        Err(Error::Misbehaved(_)) => Seen::Rejected,
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
async fn response_with_an_ambiguous_end_is_rejected() {
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
        check(&answer, seen(answer.clone()).await, Seen::Rejected);
    }
}

#[tokio::test]
async fn bytes_that_are_no_valid_response_are_rejected() {
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
        check(answer, seen(answer).await, Seen::Rejected);
    }
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(200_000));
    check("a head of 200 KB", seen(endless).await, Seen::Rejected);
}

#[tokio::test]
async fn body_that_breaks_off_never_looks_complete() {
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
async fn client_receives_a_broken_off_body_as_incomplete() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let peer = ScriptedUpstream::answering_once(answer).await;
        let mut client = WebSocketClient::of(peer.address);
        client.send("GET / HTTP/1.1\r\nHost: wiki.example\r\n\r\n").await;
        let seen = String::from_utf8(client.rest().await).unwrap();
        assert!(seen.starts_with("HTTP/1.1 200 OK\r\n"), "{seen}");
        assert!(seen.trim_end().ends_with("hello"), "{seen}");
    }
}

#[tokio::test]
async fn unusual_but_unambiguous_response_is_relayed() {
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
async fn head_of_a_response_is_limited_by_its_bytes_and_not_by_its_fields() {
    let head = |fields: usize, bytes: usize| {
        let many = "x-a: b\r\n".repeat(fields);
        let large = "c".repeat(bytes);
        format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{many}x-large: {large}\r\n\r\nok")
    };
    for (fields, bytes) in [(101, 0), (5_000, 0), (0, 60_000)] {
        check(&fields.to_string(), seen(head(fields, bytes)).await, Seen::Whole("ok"));
    }
    let too_large = head(0, 70_000).into_bytes().leak();
    let peer = ScriptedUpstream::answering(too_large).await;
    let error = get(&upstream(peer.address)).await.err().unwrap().to_string();
    assert!(error.contains("server.limits.response_header_bytes"), "{error}");
    let enough = Settings { response_header_bytes: 128 * 1024, ..settings(at(peer.address)) };
    assert!(get(&made(&enough)).await.is_ok());
}

#[tokio::test]
async fn server_that_sends_before_the_request_is_rejected() {
    let banner = ScriptedUpstream::start(|_, mut connection: ScriptedConnection| async move {
        connection.send(b"SSH-2.0-OpenSSH_9.2\r\n").await;
        connection.rest().await;
    })
    .await;
    assert!(matches!(get(&upstream(banner.address)).await, Err(Error::Misbehaved(_))));
}

#[tokio::test]
async fn bytes_after_a_response_reach_no_client() {
    async fn smuggles(number: usize, mut connection: ScriptedConnection) {
        connection.head().await;
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
        connection.send(answer).await;
        connection.rest().await;
    }
    let peer = ScriptedUpstream::start(smuggles).await;
    let upstream = upstream(peer.address);
    for expected in ["ok", "", "ok", "ok"] {
        assert_eq!(get(&upstream).await.unwrap().text(), expected);
    }
    assert_eq!(peer.connections(), 4);
}

#[tokio::test]
async fn unreachable_and_unresolved_are_different_errors() {
    // Bound, so that no other process gets the port, and not listening.
    let silent = tokio::net::TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = silent.local_addr().unwrap();
    assert!(matches!(get(&upstream(address)).await, Err(Error::Unreachable { .. })));
    let nowhere = made(&settings(on_socket(Path::new("/nonexistent/socket"))));
    assert!(matches!(get(&nowhere).await, Err(Error::Unreachable { .. })));
    let nameless = Target::Origin(Origin::parse("http://nameless.invalid").unwrap());
    assert!(matches!(get(&made(&settings(nameless))).await, Err(Error::Unresolved { .. })));
}

#[tokio::test(start_paused = true)]
async fn upstream_that_sends_no_final_response_is_too_slow() {
    const PAUSE: Duration = Duration::from_millis(5);
    let check = async |sent: &[u8], repeated: &[u8]| {
        let response_headers = PAUSE * 16;
        let upstream = unconnected(Timeouts { response_headers, ..Timeouts::default() });
        let mut connection = in_memory(&upstream).await;
        let peer = async {
            connection.head().await;
            connection.send(sent).await;
            loop {
                sleep(PAUSE).await;
                connection.send(repeated).await;
            }
        };
        tokio::select! {
            answer = get(&upstream) => answer.map(|_| ()),
            () = peer => unreachable!(),
        }
    };
    let silent = check(b"", b"").await;
    assert!(matches!(silent, Err(Error::TooSlow(Phase::Answering))), "{silent:?}");
    let informs = check(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n").await;
    assert!(matches!(informs, Err(Error::TooSlow(Phase::Answering))), "{informs:?}");
    let dribbles = check(b"HTTP/1.1 200 OK\r\n", b"X: a\r\n").await;
    assert!(matches!(dribbles, Err(Error::TooSlow(Phase::Answering))), "{dribbles:?}");
}

/// Answers a request, and then sends `.` this often with a pause before each.
async fn answers_slowly(
    mut connection: ScriptedConnection<DuplexStream>,
    kind: &str,
    count: u32,
    pause: Duration,
) {
    connection.head().await;
    connection.send(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n").as_bytes()).await;
    for _ in 0..count {
        sleep(pause).await;
        connection.send(b".").await;
    }
}

#[tokio::test(start_paused = true)]
async fn body_that_pauses_for_the_idle_timeout_breaks_off_unless_it_is_a_stream() {
    for (kind, expected) in [
        ("text/html", None),
        ("text/event-stream; charset=utf-8", Some(1)),
        ("Application/gRPC+proto", Some(1)),
    ] {
        let upstream = unconnected(Timeouts::default());
        let pause = Timeouts::default().idle * 10;
        let peer = answers_slowly(in_memory(&upstream).await, kind, 1, pause);
        let response = async {
            let response = answer(&upstream, request(Method::GET, Body::empty())).await.unwrap();
            response.into_body().collect().await
        };
        let (body, ()) = join!(response, peer);
        match body {
            Ok(body) => assert_eq!(Some(body.to_bytes().len()), expected, "{kind}"),
            Err(error) => assert!(expected.is_none() && is_slow(&error), "{kind}: {error}"),
        }
    }
}

fn is_slow(error: &BodyError) -> bool {
    matches!(error.downcast_ref(), Some(Error::TooSlow(Phase::Streaming)))
}

#[tokio::test(start_paused = true)]
async fn body_that_keeps_coming_may_take_longer_than_the_idle_timeout() {
    let idle = Duration::from_secs(1);
    let upstream = unconnected(Timeouts { idle, ..Timeouts::default() });
    let peer = answers_slowly(in_memory(&upstream).await, "text/html", 20, idle / 10);
    let (response, ()) = join!(get(&upstream), peer);
    assert_eq!(response.unwrap().text().len(), 20);
}
