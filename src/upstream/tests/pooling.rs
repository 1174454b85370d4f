//! Connections that are kept, used again and closed; requests that are sent again or not.

use super::*;
use crate::upstream::tests::scripted_upstream::{ScriptedConnection, ScriptedUpstream};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers the first request of the first connection, and closes on the second.
async fn closes_once(number: usize, mut connection: ScriptedConnection) {
    connection.head().await;
    connection.send(OK).await;
    if number == 0 {
        connection.head().await;
        return;
    }
    while connection.head().await.is_some() {
        connection.send(OK).await;
    }
}

/// The same, and closes on every connection after it.
async fn closes_always(number: usize, mut connection: ScriptedConnection) {
    connection.head().await;
    if number == 0 {
        connection.send(OK).await;
        connection.head().await;
    }
}

#[tokio::test]
async fn connection_is_used_again_once_its_response_has_ended() {
    for answer in [OK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"]
    {
        let peer = ScriptedUpstream::answering(answer).await;
        let upstream = upstream(peer.address);
        for _ in 0..5 {
            assert_eq!(get(&upstream).await.unwrap().text(), "ok");
            assert_eq!(upstream.connections(), Connections { open: 1, idle: 1 });
        }
        assert_eq!(peer.connections(), 1);
    }
}

#[tokio::test]
async fn most_recently_used_connection_is_used_first() {
    async fn numbered(number: usize, mut connection: ScriptedConnection) {
        while connection.head().await.is_some() {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}");
            connection.send(answer.as_bytes()).await;
        }
    }
    let peer = ScriptedUpstream::start(numbered).await;
    let upstream = upstream(peer.address);
    let mut responses = Vec::new();
    for _ in 0..3 {
        responses.push(answer(&upstream, request(Method::GET, Body::empty())).await.unwrap());
    }
    assert_eq!(upstream.connections(), Connections { open: 3, idle: 0 });
    responses.swap(0, 2);
    for response in responses {
        read(response).await;
    }
    for _ in 0..4 {
        assert_eq!(get(&upstream).await.unwrap().text(), "0");
    }
}

#[tokio::test]
async fn idempotent_request_on_a_closed_connection_is_sent_again() {
    let peer = ScriptedUpstream::start(closes_once).await;
    let upstream = upstream(peer.address);
    get(&upstream).await.unwrap();
    assert_eq!(get(&upstream).await.unwrap().text(), "ok");
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn request_is_sent_again_only_once() {
    let peer = ScriptedUpstream::start(closes_always).await;
    let upstream = upstream(peer.address);
    get(&upstream).await.unwrap();
    assert!(matches!(get(&upstream).await, Err(Error::Misbehaved(Fault::Http(_)))));
    assert_eq!(peer.connections(), 2);
}

#[tokio::test]
async fn request_that_may_have_had_an_effect_is_not_sent_again() {
    for (method, body) in
        [(Method::POST, ""), (Method::POST, "x"), (Method::PUT, "x"), (Method::PATCH, "")]
    {
        let peer = ScriptedUpstream::start(closes_once).await;
        let upstream = upstream(peer.address);
        get(&upstream).await.unwrap();
        let answer = whole(&upstream, request(method.clone(), Body::full(body))).await;
        assert!(matches!(answer, Err(Error::Misbehaved(Fault::Http(_)))), "{method}");
        assert_eq!(peer.connections(), 1, "{method}");
    }
}

#[tokio::test]
async fn connection_that_the_upstream_closed_fails_no_request() {
    async fn one_each(_: usize, mut connection: ScriptedConnection) {
        connection.head().await;
        connection.send(OK).await;
    }
    let peer = ScriptedUpstream::start(one_each).await;
    let upstream = upstream(peer.address);
    for _ in 0..5 {
        get(&upstream).await.unwrap();
        while upstream.connections().open > 0 {
            tokio::task::yield_now().await;
        }
        whole(&upstream, request(Method::POST, Body::full("x"))).await.unwrap();
        while upstream.connections().open > 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(peer.connections(), 10);
}

#[tokio::test]
async fn connection_after_close_or_http_1_0_is_not_used_again() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"[..],
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let peer = ScriptedUpstream::answering(answer).await;
        let upstream = upstream(peer.address);
        for _ in 0..2 {
            assert_eq!(get(&upstream).await.unwrap().text(), "ok");
        }
        assert_eq!((peer.connections(), upstream.connections().idle), (2, 0));
    }
}

/// Reports the end of its connection.
async fn reports_the_end(_: usize, mut connection: ScriptedConnection) {
    connection.head().await;
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n").await;
    connection.rest().await;
    connection.report("over");
}

#[tokio::test]
async fn client_that_leaves_during_a_silent_response_ends_the_request() {
    let mut peer = ScriptedUpstream::start(reports_the_end).await;
    let upstream = upstream(peer.address);
    let mut response = answer(&upstream, request(Method::GET, Body::empty())).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    assert_eq!(peer.next_report().await, "over");
    assert_eq!(upstream.connections().idle, 0);
}

#[tokio::test]
async fn client_that_leaves_before_the_response_ends_the_request() {
    async fn silent(_: usize, mut connection: ScriptedConnection) {
        let head = connection.head().await.unwrap();
        connection.report(&head);
        connection.rest().await;
        connection.report("over");
    }
    let mut peer = ScriptedUpstream::start(silent).await;
    let upstream = upstream(peer.address);
    let sent = answer(&upstream, request(Method::GET, Body::empty()));
    tokio::select! {
        _ = sent => panic!("there is no answer"),
        _ = peer.next_report() => {}
    }
    assert_eq!(peer.next_report().await, "over");
}

/// Answers one request, and reports the end of its connection.
async fn keeps(_: usize, mut connection: ScriptedConnection) {
    connection.head().await;
    connection.send(OK).await;
    connection.rest().await;
    connection.report("over");
}

#[tokio::test]
async fn idle_connection_is_closed_without_another_request() {
    let mut peer = ScriptedUpstream::start(keeps).await;
    let timeouts = PoolTimeouts { idle: Duration::from_millis(20), ..POOL_TIMEOUTS };
    let pools = TargetPools::with_timeouts(usize::MAX, timeouts);
    let upstream = Upstream::new(&settings(at(peer.address)), &[], &pools).unwrap();
    get(&upstream).await.unwrap();
    assert_eq!(peer.next_report().await, "over");
    assert_eq!(upstream.connections().idle, 0);
    get(&upstream).await.unwrap();
    assert_eq!((peer.next_report().await.as_str(), peer.connections()), ("over", 2));
}

#[tokio::test]
async fn upstreams_with_one_target_and_tls_settings_share_its_connections() {
    let (peer, pools) = (ScriptedUpstream::answering(OK).await, TargetPools::default());
    let to = |settings: &Settings| Upstream::new(settings, &[], &pools).unwrap();
    let same = settings(at(peer.address));
    let slower = Timeouts { response_headers: Duration::from_secs(90), ..same.timeouts };
    let slower = Settings { timeouts: slower, ..same.clone() };
    let tls = TlsSettings { server_name: Some("other".to_owned()), ..TlsSettings::default() };
    let other_tls = Settings { tls, ..same.clone() };
    let _first = to(&same);
    for (settings, connections) in [(&same, 1), (&slower, 1), (&other_tls, 2), (&same, 2)] {
        get(&to(settings)).await.unwrap();
        assert_eq!(peer.connections(), connections, "{settings:?}");
    }
}

#[tokio::test]
async fn dropping_the_upstream_closes_its_connections() {
    let mut peer = ScriptedUpstream::start(keeps).await;
    let upstream = upstream(peer.address);
    get(&upstream).await.unwrap();
    drop(upstream);
    assert_eq!(peer.next_report().await, "over");
}

#[tokio::test]
async fn early_response_does_not_free_the_connection_of_an_upload() {
    async fn hasty(number: usize, mut connection: ScriptedConnection) {
        connection.head().await;
        connection
            .send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}").as_bytes())
            .await;
        connection.rest().await;
    }
    let peer = ScriptedUpstream::start(hasty).await;
    let upstream = upstream(peer.address);
    let (_keep, body) = bodies::fed();
    assert_eq!(whole(&upstream, request(Method::POST, body)).await.unwrap().text(), "0");
    assert_eq!(get(&upstream).await.unwrap().text(), "1");
}

#[tokio::test]
async fn name_is_resolved_again_and_all_its_addresses_are_tried() {
    let peer = ScriptedUpstream::answering(OK).await;
    let port = peer.address.port();
    let timeouts = PoolTimeouts { named: Duration::ZERO, ..POOL_TIMEOUTS };
    for (host, connections) in [("127.0.0.1", 1), ("localhost", 4)] {
        let target = Target::Origin(Origin::parse(&format!("http://{host}:{port}")).unwrap());
        let pools = TargetPools::with_timeouts(usize::MAX, timeouts);
        let upstream = Upstream::new(&settings(target), &[], &pools).unwrap();
        for _ in 0..3 {
            get(&upstream).await.unwrap();
        }
        assert_eq!(peer.connections(), connections, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_client_gets_the_response_to_another() {
    let peer = ScriptedUpstream::start(|_, mut connection: ScriptedConnection| async move {
        while let Some(head) = connection.head().await {
            let path = head.split(' ').nth(1).unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
            connection.send(answer.as_bytes()).await;
        }
    })
    .await;
    let upstream = Arc::new(upstream(peer.address));
    let clients = (0..8).map(|client| {
        let upstream = Arc::clone(&upstream);
        tokio::spawn(async move {
            for number in 0..200 {
                let path = format!("/{client}/{number}");
                let mut request = request(Method::GET, Body::empty());
                *request.uri_mut() = path.parse().unwrap();
                assert_eq!(whole(&upstream, request).await.unwrap().text(), path);
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    // A connection that is not ready yet is not used; how many are depends on the machine.
    assert!(peer.connections() < 8 * 200 / 2, "{}", peer.connections());
}

/// An upstream that never sends the content of its responses.
async fn held_back() -> ScriptedUpstream {
    ScriptedUpstream::start(|_, mut connection: ScriptedConnection| async move {
        connection.head().await;
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
        connection.head().await;
    })
    .await
}

#[tokio::test]
async fn full_budget_closes_idle_connections_and_never_busy_ones() {
    let pools = TargetPools::new(2);
    let to =
        |peer: &ScriptedUpstream| Upstream::new(&settings(at(peer.address)), &[], &pools).unwrap();
    let (one, other) =
        (ScriptedUpstream::answering(OK).await, ScriptedUpstream::answering(OK).await);
    let (one, other, silent) = (to(&one), to(&other), to(&held_back().await));
    get(&one).await.unwrap();
    get(&other).await.unwrap();
    let first = answer(&silent, request(Method::GET, Body::empty())).await.unwrap();
    assert_eq!((one.connections().idle, other.connections().idle), (0, 1));
    let second = answer(&silent, request(Method::GET, Body::empty())).await.unwrap();
    assert_eq!(other.connections().idle, 0);
    let Err(full) = get(&one).await else { panic!("the budget is full") };
    assert!(matches!(full, Error::Full), "{full}");
    drop((first, second));
    while let Err(full) = get(&one).await {
        assert!(matches!(full, Error::Full), "{full}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn lower_limit_closes_idle_connections_and_no_busy_one() {
    let pools = TargetPools::new(3);
    let to =
        |peer: &ScriptedUpstream| Upstream::new(&settings(at(peer.address)), &[], &pools).unwrap();
    let (quick, slow) = (ScriptedUpstream::answering(OK).await, held_back().await);
    let (quick, slow) = (to(&quick), to(&slow));
    get(&quick).await.unwrap();
    let first = answer(&slow, request(Method::GET, Body::empty())).await.unwrap();
    let second = answer(&slow, request(Method::GET, Body::empty())).await.unwrap();
    pools.resize(1);
    assert_eq!((quick.connections().idle, slow.connections().open), (0, 2));
    drop(first);
    while slow.connections().open == 2 {
        tokio::task::yield_now().await;
    }
    let Err(full) = get(&quick).await else { panic!("the budget is full") };
    assert!(matches!(full, Error::Full), "{full}");
    pools.resize(2);
    get(&quick).await.unwrap();
    assert_eq!(slow.connections().open, 1);
    drop(second);
}
