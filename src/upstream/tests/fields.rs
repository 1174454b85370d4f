//! Which fields are forwarded, in both directions, and the framing of requests.

use http::header::HOST;
use http::{Uri, Version};

use super::*;
use crate::upstream::tests::scripted_upstream::ScriptedUpstream;

#[track_caller]
fn stays(fields: &[(&str, &str)], expected: &[&str]) {
    let mut request = request(Method::GET, Body::empty());
    for (name, value) in fields {
        let name = HeaderName::try_from(*name).unwrap();
        request.headers_mut().append(name, HeaderValue::try_from(*value).unwrap());
    }
    let stripped = strip(&mut request);
    assert!(!stripped.is_websocket());
    let mut left: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, expected, "{fields:?}");
}

#[test]
fn connection_specific_fields_and_those_they_name_are_removed() {
    stays(&[("connection", "keep-alive"), ("accept", "*/*")], &["accept"]);
    stays(&[("Connection", "close, X-Hop"), ("X-Hop", "1"), ("X-End", "1")], &["x-end"]);
    stays(&[("connection", "x-a"), ("connection", " X-B ,,"), ("x-a", ""), ("x-b", "")], &[]);
    stays(&[("connection", "\"x-a\", x a"), ("x-a", "1")], &["x-a"]);
    for name in ["keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings"] {
        stays(&[(name, "x"), ("accept", "*/*")], &["accept"]);
    }
    for name in ["proxy", "proxy-connection", "proxy-authorization", "proxy-authenticate"] {
        stays(&[(name, "x")], &[]);
    }
    stays(&[("expect", "100-continue")], &[]);
    stays(&[("connection", "Upgrade"), ("upgrade", "h2c")], &[]);
}

#[test]
fn fields_with_which_proxies_describe_clients_are_removed() {
    for name in [
        "Forwarded",
        "X-Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-User",
        "X-Forwarded-Anything",
        "X-Original-URL",
        "X-Original-Method",
        "X-Rewrite-URL",
        "X-Real-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Client-IP",
        "Client-IP",
        "X-Cluster-Client-IP",
        "X-Originating-IP",
        "X-Remote-IP",
        "X-Remote-Addr",
        "X-Envoy-External-Address",
        "X-Azure-ClientIP",
        "Fly-Client-IP",
        "WL-Proxy-Client-IP",
    ] {
        stays(&[(name, "x"), (name, "y"), ("x-mine", "1")], &["x-mine"]);
    }
    stays(
        &[("x-http-method-override", "PUT"), ("via", "1.1 a")],
        &["via", "x-http-method-override"],
    );
}

#[test]
fn connection_cannot_name_our_fields() {
    let mut request = request(Method::GET, Body::empty());
    let listed = HeaderValue::from_static("x-forwarded-user, X-Real-IP, host");
    request.headers_mut().insert("connection", listed);
    let stripped = strip(&mut request);
    request.headers_mut().insert("x-forwarded-user", HeaderValue::from_static("ada"));
    let host = HeaderValue::from_static("h");
    request::prepare(&mut request, &stripped, forwarded(), host);
    upload::frame(&mut request, None, || {}).unwrap();
    assert_eq!(request.headers().get("x-forwarded-user").unwrap(), "ada");
    assert_eq!(request.headers().get("x-real-ip").unwrap(), "192.0.2.7");
    assert_eq!(request.headers().get(HOST).unwrap(), "h");
}

#[tokio::test]
async fn upstream_gets_an_origin_form_target_and_forwarding_fields() {
    let mut peer = ScriptedUpstream::answering(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut settings = settings(at(peer.address));
    for preserve_host in [true, false] {
        settings.preserve_host = preserve_host;
        let mut request = request(Method::GET, Body::empty());
        *request.uri_mut() = Uri::from_static("https://wiki.example/a%2Fb/?c=d");
        *request.version_mut() = Version::HTTP_2;
        let mut forwarded = forwarded();
        forwarded.prefix = Some(HeaderValue::from_static("/app"));
        let stripped = strip(&mut request);
        made(&settings)
            .send(Box::new(request), stripped, forwarded, None, client(), || {})
            .await
            .unwrap();
        let head = peer.next_report().await;
        let own = peer.address.to_string();
        let host = if preserve_host { "wiki.example" } else { &own };
        let expected = format!(
            "GET /a%2Fb/?c=d HTTP/1.1\r\nhost: {host}\r\nx-forwarded-for: 192.0.2.7\r\n\
             x-forwarded-proto: https\r\nx-forwarded-host: wiki.example\r\nx-forwarded-port: 443\r\n\
             x-forwarded-prefix: /app\r\nx-real-ip: 192.0.2.7\r\nx-request-id: r-1\r\n\r\n"
        );
        assert_eq!(head, expected);
    }
}

/// The framing fields that the upstream receives.
async fn framing(
    method: Method,
    claims: &[(&'static str, &'static str)],
    body: Body,
) -> Vec<String> {
    let mut peer =
        ScriptedUpstream::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let mut request = request(method, body);
    for (name, value) in claims {
        request.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    answer(&upstream(peer.address), request).await.unwrap();
    let head = peer.next_report().await;
    let of_framing = |line: &&str| line.starts_with("content-l") || line.starts_with("transfer-e");
    head.lines().filter(of_framing).map(str::to_owned).collect()
}

fn of_unknown_length() -> Body {
    struct Unknown(Body);
    impl http_body::Body for Unknown {
        type Data = Bytes;
        type Error = BodyError;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
            std::pin::Pin::new(&mut self.0).poll_frame(cx)
        }
    }
    Body::streamed(Unknown(Body::full("hello")))
}

#[tokio::test]
async fn framing_is_made_from_the_body_alone() {
    let none: [&str; 0] = [];
    assert_eq!(framing(Method::GET, &[], Body::empty()).await, none);
    assert_eq!(framing(Method::HEAD, &[("content-length", "7")], Body::empty()).await, none);
    assert_eq!(framing(Method::DELETE, &[], Body::empty()).await, none);
    assert_eq!(framing(Method::POST, &[], Body::empty()).await, ["content-length: 0"]);
    let claims = [("content-length", "005"), ("content-length", "5")];
    assert_eq!(framing(Method::POST, &claims, Body::full("hello")).await, ["content-length: 5"]);
    let claims = [("transfer-encoding", "chunked, chunked"), ("content-length", "70")];
    assert_eq!(framing(Method::POST, &claims, Body::full("hello")).await, ["content-length: 5"]);
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let seen = framing(method, &[], of_unknown_length()).await;
        assert_eq!(seen, ["transfer-encoding: chunked"]);
    }
}

#[tokio::test]
async fn response_has_no_hop_by_hop_field() {
    let peer = ScriptedUpstream::answering(
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\n\
          X-Hop: 1\r\nTE: trailers\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\n\
          Proxy-Connection: close\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let response = get(&upstream(peer.address)).await.unwrap();
    let mut left: Vec<_> = response.headers.iter().map(|(name, _)| name.as_str()).collect();
    left.sort_unstable();
    assert_eq!(left, ["content-length", "set-cookie", "set-cookie"]);
    assert_eq!(response.text(), "ok");
}

#[tokio::test]
async fn content_length_is_relayed_without_leading_zeros() {
    for (sent, length, text) in [("002", "2", "ok"), ("00", "0", ""), ("0", "0", "")] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {sent}\r\n\r\n{text}");
        let peer = ScriptedUpstream::answering(answer.leak().as_bytes()).await;
        let response = get(&upstream(peer.address)).await.unwrap();
        assert_eq!(response.headers.get("content-length").unwrap(), length, "{sent}");
        assert_eq!(response.text(), text, "{sent}");
    }
}

#[tokio::test]
async fn only_permitted_trailers_are_announced_and_relayed() {
    let peer = ScriptedUpstream::answering(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie\r\n\r\n\
          2\r\nok\r\n0\r\nX-Sum: 7\r\nSet-Cookie: a=1\r\nX-Forwarded-User: admin\r\n\
          X_Forwarded_User: admin\r\nContent-Length: 9\r\nConnection: close\r\n\r\n",
    )
    .await;
    let upstream = upstream(peer.address);
    let response = get(&upstream).await.unwrap();
    assert_eq!(response.headers.get("trailer").unwrap(), "x-sum");
    assert!(response.headers.get("transfer-encoding").is_none());
    let trailers = response.trailers.unwrap();
    assert_eq!(trailers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x-sum"]);
    get(&upstream).await.unwrap();
    assert_eq!(peer.connections(), 1, "the connection is used again");
}

#[tokio::test]
async fn responses_without_a_body_keep_their_content_length() {
    for (status, method, length) in [
        ("200 OK", Method::HEAD, Some("7")),
        ("204 No Content", Method::GET, None),
        ("304 Not Modified", Method::GET, Some("7")),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 7\r\n\r\n");
        let peer = ScriptedUpstream::answering(answer.leak().as_bytes()).await;
        let upstream = upstream(peer.address);
        for _ in 0..2 {
            let response = whole(&upstream, request(method.clone(), Body::empty())).await.unwrap();
            let seen = response.headers.get("content-length").map(|value| value.to_str().unwrap());
            assert_eq!((seen, response.text()), (length, ""), "{status}");
        }
        assert_eq!(peer.connections(), 1, "{status}");
    }
}
