//! Methods, upgrades, and header fields that would change the meaning of a request.

use super::{INNER, Stack, answers_to, case, get, request, status};

fn ask(method: &str, target: &str, fields: &str) -> String {
    request(&format!("{method} {target}"), fields)
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_and_trace_are_rejected() {
    let stack = Stack::start().await;
    let cases = [
        case("T19", ask("CONNECT", "/open", "")),
        case("T19", ask("CONNECT", "wiki.localhost:80", "")),
        case(
            "T19",
            ask("CONNECT", "wiki.localhost:80", &format!("Content-Length: {}\r\n", INNER.len())),
        ),
        case("T19", ask("TRACE", "/open", "")),
        case("T19", ask("TRACK", "/open", "")),
        case("T19", ask("PRI", "/open", "")),
        case("T19", "PRI * HTTP/2.0\r\n\r\n"),
    ];
    stack.breaks_off(&cases, &[400, 405, 501, 505]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_method_or_steering_header_does_not_bypass_the_rules() {
    let stack = Stack::start().await;
    let preflight = "Origin: http://evil.example\r\nAccess-Control-Request-Method: GET\r\n";
    let mut cases = vec![
        case("T21", ask("OPTIONS", "/page", preflight)),
        case("T21", ask("OPTIONS", "/page", "")),
        case("T38", get("/page", "Authorization: Bearer x.y.z\r\n")),
        case("T38", get("/page", "Authorization: Basic YWxpY2U6YWxpY2U=\r\n")),
        case("T38", get("/page?access_token=x.y.z", "")),
        case("T39", get("/page", "User-Agent: GoogleHC/1.0\r\n")),
        case("T39", get("/page", "User-Agent: kube-probe/1.30\r\nX-Health-Check: 1\r\n")),
        case("T58", get("/metrics", "")),
        case("T58", get("/healthz", "")),
        case("T58", get("/readyz", "")),
        case("T58", get("/debug/pprof", "")),
        case("T58", get("/server-status", "")),
        case("T58", get("/ping", "")),
    ];
    let methods = ["get", "Get", "UNKNOWN", "PROPFIND", "MERGE", "head", "DELETE", "POST", "PATCH"];
    cases.extend(methods.map(|method| case("T20", ask(method, "/page", ""))));
    let steering = [
        "X-HTTP-Method-Override: OPTIONS",
        "X-HTTP-Method: GET",
        "X-Method-Override: OPTIONS",
        "X-Middleware-Subrequest: middleware",
        "X-Auth-Request-User: alice",
        "X-Original-URL: /open",
        "X-Original-URI: /open",
        "X-Rewrite-URL: /open",
        "X-Forwarded-Uri: /open",
        "X-Forwarded-Path: /open",
        "X-Forwarded-Prefix: /open",
        "X-Forwarded-Method: OPTIONS",
        "X-Forwarded-User: alice",
        "X-Forwarded-Host: open",
        "X-Accel-Redirect: /open",
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "X-Forwarded-Proto: https",
    ];
    cases.extend(steering.map(|field| case("T22/T34", get("/page", &format!("{field}\r\n")))));
    stack.denies(&cases, &[401, 403, 405, 501]).await;
    let answer =
        answers_to(&stack.gateway, get("/oauth2/auth", "X-Forwarded-Uri: /open\r\n")).await;
    assert!(matches!(status(&answer), 401 | 403 | 404), "T34 {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_method_of_a_user_is_forwarded_unchanged() {
    let stack = Stack::start().await;
    let cookie = stack.cookie_of("alice").await;
    for method in ["OPTIONS", "PROPFIND", "get"] {
        let answer = answers_to(&stack.gateway, ask(method, "/page", &cookie)).await;
        assert_eq!(status(&answer), 200, "{method}: {answer}");
        assert_eq!(stack.upstream.seen().last().unwrap()["method"], method);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_other_than_websocket_is_removed() {
    let stack = Stack::start().await;
    for fields in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
        "Upgrade: websocket\r\n",
    ] {
        let answer = answers_to(&stack.gateway, get("/open", fields)).await;
        assert_eq!(status(&answer), 200, "T24 {fields}: {answer}");
        let received = stack.upstream.seen().pop().unwrap();
        for name in ["upgrade", "connection", "http2-settings"] {
            assert!(received["headers"][name].is_null(), "T24 {fields}: {received}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_with_unsafe_method_is_never_redirected() {
    let stack = Stack::start().await;
    let mut browser = stack.browser();
    assert_eq!(browser.submit("/page", &[("a", "b")]).await.status, 401, "T68");
    let navigation =
        "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nContent-Length: 0\r\n";
    let cases = ["POST", "PUT", "DELETE", "OPTIONS", "QUERY"];
    let cases = cases.map(|method| case("T68", ask(method, "/page", navigation)));
    stack.denies(&cases, &[401]).await;
}
