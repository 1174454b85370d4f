//! Ambiguous requests on the wire: request smuggling and similar attacks.

use super::*;

/// Checks the status of a response, and that nothing after the request is processed.
#[track_caller]
fn check(answer: &str, running: &Running, sent: &str, statuses: &[u16]) {
    let status: u16 = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    assert!(statuses.contains(&status), "{sent:?} was answered {answer:?}");
    assert!(!running.app.seen().contains(&"/smuggled".to_owned()), "{sent:?}");
    assert_eq!(
        answer.matches(" GMT\r\n").count(),
        usize::from(status != 0),
        "{sent:?}: {answer:?}"
    );
}

const INNER: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn ambiguous_head_is_rejected_and_closes_the_connection() {
    let running = Running::start(settings()).await;
    let heads = [
        // Transfer-Encoding
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: cow, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        // Content-Length
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 0\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 05\r\n\r\nhello",
        // controls and folds
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rX-Forwarded-User: admin\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Test : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        // hosts
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        // targets and versions
        "GET /\r\n\r\n",
        "GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/3.7\r\nHost: a\r\n\r\n",
        "GET relative HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        "GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    for head in heads {
        let answer = running.exchange(format!("{head}{INNER}")).await;
        check(&answer, &running, head, &[400]);
        assert!(answer.contains("connection: close"), "{head:?}: {answer:?}");
    }
    assert_eq!(running.app.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn connect_and_trace_get_405() {
    let running = Running::start(settings()).await;
    for head in [
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        "CONNECT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        "TRACK / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let answer = running.exchange(format!("{head}{INNER}")).await;
        check(&answer, &running, head, &[400, 405]);
        assert!(
            answer.starts_with("HTTP/1.1 400") || answer.contains("allow: GET, "),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn oversize_head_gets_414_or_431() {
    let running = Running::start(settings()).await;
    let long = |length| "x".repeat(length);
    for length in [16 * 1024, 40 * 1024] {
        let head = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(length));
        check(&running.exchange(&head).await, &running, "a long target", &[414]);
    }
    for length in [33 * 1024, 100 * 1024] {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(length));
        check(&running.exchange(&head).await, &running, "a long field", &[431]);
    }
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100));
    check(&running.exchange(&head).await, &running, "many fields", &[431]);
    let head =
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}Connection: close\r\n\r\n", "X: y\r\n".repeat(98));
    check(&running.exchange(&head).await, &running, "as many fields as allowed", &[200]);
}

#[tokio::test]
async fn chunked_overrides_content_length_and_closes_the_connection() {
    let running = Running::start(settings()).await;
    for fields in [
        "Content-Length: 60\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 60\r\n",
    ] {
        let sent = format!("POST /body HTTP/1.1\r\nHost: a\r\n{fields}\r\n0\r\n\r\n{INNER}");
        let answer = running.exchange(&sent).await;
        check(&answer, &running, &sent, &[200, 400]);
        assert!(
            answer.ends_with("0 bytes, trailers false") || answer.contains(" 400 "),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn unread_body_is_never_a_request() {
    let running = Running::start(settings()).await;
    for (fields, body) in [
        (format!("Content-Length: {}\r\n", INNER.len()), INNER.to_owned()),
        (format!("Content-Length: {}\r\nExpect: 100-continue\r\n", INNER.len()), INNER.to_owned()),
        ("Transfer-Encoding: chunked\r\n".to_owned(), format!("{:x}\r\n{INNER}\r\n", INNER.len())),
        ("Content-Length: 5000000\r\n".to_owned(), INNER.repeat(4000)),
    ] {
        let mut stream = running.connect().await;
        let head = format!("POST /deny HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let next = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(format!("{head}{body}{next}").as_bytes()).await.unwrap();
        let answers = until_closed(&mut stream).await;
        assert!(answers.starts_with("HTTP/1.1 401"), "{fields}: {answers}");
        // Either the body was skipped as a whole, or the connection ended.
        let seen = running.app.seen();
        assert!(seen.iter().all(|path| path == "/deny" || path == "/next"), "{fields}: {seen:?}");
    }
}

#[tokio::test]
async fn malformed_body_closes_the_connection() {
    let running = Running::start(settings()).await;
    for body in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5Z\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello",
        "\r\n",
    ] {
        let sent = format!(
            "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}{INNER}"
        );
        let answer = running.exchange(&sent).await;
        check(&answer, &running, body, &[200, 400, 0]);
        assert!(
            answer.is_empty() || answer.contains("broken") || answer.contains(" 400 "),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn nothing_after_a_close_is_processed() {
    let running = Running::start(settings()).await;
    let sent = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n{INNER}");
    check(&running.exchange(&sent).await, &running, &sent, &[200]);
}

#[tokio::test]
async fn request_trailers_are_dropped() {
    let running = Running::start(settings()).await;
    let sent = "POST /body HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                3\r\nabc\r\n0\r\nX-Forwarded-User: admin\r\n\r\n";
    assert!(running.exchange(sent).await.ends_with("3 bytes, trailers false"));
}

#[tokio::test]
async fn request_is_normalized() {
    let running = Running::start(settings()).await;
    for (head, expected) in [
        (
            "GET /x?y#z HTTP/1.1\r\nHost: A.example:80\r\n",
            "http://A.example/x?y for 127.0.0.1 fields connection host",
        ),
        (
            "GET http://a.example HTTP/1.1\r\nHost: A.example\r\n",
            "http://a.example/ for 127.0.0.1 fields connection host",
        ),
        (
            "GET http://a/?q HTTP/1.1\r\nHost: a\r\n",
            "http://a/?q for 127.0.0.1 fields connection host",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX_A: 1\r\nX.B: 1\r\nX-Forwarded-For: 1.1.1.1\r\n",
            "http://a/ for 127.0.0.1 fields connection host x-forwarded-for",
        ),
        ("GET / HTTP/1.1\nHost: a\n", "http://a/ for 127.0.0.1 fields connection host"),
    ] {
        let answer = running.exchange(format!("{head}Connection: close\r\n\r\n")).await;
        assert_eq!(answer.split("\r\n\r\n").nth(1), Some(expected), "{head}");
    }
}

#[tokio::test]
async fn panic_gets_500_and_the_connection_stays_open() {
    let running = Running::start(settings()).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 500"));
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn response_that_fails_at_once_has_a_head() {
    let running = Running::start(settings()).await;
    let answer = running.exchange("POST /broken HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("0\r\n\r\n"), "{answer:?}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let running = Running::start(settings()).await;
    let mut stream = running.connect().await;
    let sent =
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(sent.as_bytes()).await.unwrap();
    let answers = until_closed(&mut stream).await;
    assert_eq!(running.app.seen(), ["/1", "/2"], "{answers}");
}

#[tokio::test]
async fn peer_on_a_unix_socket_has_no_address() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let running = Running::start(Settings {
        listen: vec![ListenAddress::Unix(UnixSocket::at(path.clone()))],
        ..settings()
    })
    .await;
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(until_closed(&mut stream).await.contains("for - "));
    drop(stream);
    running.shutdown.begin();
    running.stopped().await;
    assert!(!path.exists());
}
