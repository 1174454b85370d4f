//! Identity and forwarding headers: which ones the upstream receives, and which ones no client can forge.

use http::{HeaderName, HeaderValue};
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::faults::Account;
use crate::support::gateway::Gateway;
use crate::support::stack::Stack;
use crate::support::upstream::Upstream;
use crate::support::wire::{Peer, answers_to, field, status};

#[tokio::test(flavor = "multi_thread")]
async fn forged_identity_header_is_removed_in_every_spelling() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::in_front_of(upstream.address, "");
    let forged = [
        "x-forwarded-user",
        "x_forwarded_user",
        "x.forwarded.user",
        "x-forwarded_email",
        "x-forwarded-groups",
        "x-forwarded-preferred-username",
        "x-forwarded-access-token",
        "x-auth-request-user",
        "x-auth-request-email",
        "x-real-ip",
        "x-original-url",
        "x-rewrite-url",
        "forwarded",
        "true-client-ip",
        "proxy",
    ];
    let mut browser = Browser::new(&gateway);
    for name in forged {
        browser.extra.insert(HeaderName::from_static(name), HeaderValue::from_static("mallory"));
    }
    let received = browser.fetch("/").await.json();
    assert!(!received["headers"].to_string().contains("mallory"), "{received}");
}

#[tokio::test(flavor = "multi_thread")]
async fn untrusted_peer_with_a_forwarded_chain_is_named_in_the_log_once() {
    let expected = "every visitor through 127.0.0.1 counts as one client; if it is your proxy, add it to \
                    server.trusted_proxies";
    let named = async |server: &str| {
        let stack = Stack::builder().server(server).start().await;
        for _ in 0..3 {
            stack.received("/open", "X-Forwarded-For: 192.0.2.7\r\n").await;
        }
        let lines = stack.gateway.log_until("\"path\":\"/open\"");
        lines.iter().filter(|line| line.contains(expected)).count()
    };
    assert_eq!(named("trusted_proxies: []").await, 1);
    assert_eq!(named("trusted_proxies: [127.0.0.1]").await, 0);
    let clients = "forward_auth: { clients: [{ from: 127.0.0.1, proxy: nginx }] }";
    assert_eq!(named(clients).await, 0, "it may send the chain with its auth subrequests");
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_header_of_one_route_is_removed_on_every_route() {
    let routes = [
        "UPSTREAM, allow: public",
        "path: /other, UPSTREAM, allow: authenticated, \
         identity_headers: { Remote-User: \"{user}\", X-Team: \"{groups}\" }",
    ];
    let stack = Stack::builder().routes(routes).start().await;
    let forged: String = [
        "Remote-User",
        "remote_user",
        "REMOTE.USER",
        "Remote_User",
        "X-Team",
        "x_team",
        "X-Forwarded-User",
        "X-Forwarded-Email",
        "X-Forwarded-Groups",
        "X-Forwarded-Preferred-Username",
    ]
    .map(|name| format!("{name}: mallory\r\n"))
    .concat();
    let alice = stack.cookie_of("alice").await;
    for (target, fields) in
        [("/", forged.clone()), ("/", forged.clone() + &alice), ("/other", forged.clone() + &alice)]
    {
        let headers = stack.received(target, &fields).await["headers"].clone();
        assert!(!headers.to_string().contains("mallory"), "{target}: {headers}");
    }
    let headers = stack.received("/other", &alice).await["headers"].clone();
    assert_eq!(
        (&headers["remote-user"], &headers["x-team"]),
        (&json!("demo-alice"), &json!("staff"))
    );
    assert!(headers["x-forwarded-user"].is_null(), "a written map replaces the default: {headers}");
    let headers = stack.received("/", &alice).await["headers"].clone();
    assert_eq!(headers["x-forwarded-user"], "demo-alice");
    assert!(headers["remote-user"].is_null(), "{headers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_header_template_without_value_is_left_out() {
    let headers = "identity_headers:\n  X-User: \"{user}\"\n  X-All: \"{subject}|{email}|{name}|{preferred_username}|{provider}\"\n  \
         X-Groups: \"[{groups}]\"\n  X-Claim: \"{claim:/groups/0} {claim:email_verified}\"\n  X-None: \"{claim:nothing}\"\n  \
         X-Half: \"{user} {claim:nothing}\"\n  X-Braces: \"{{x}}\"\n  X-Id: \"{id_token}\"\n";
    let stack = Stack::builder().sections(headers).start().await;
    let alice = stack.cookie_of("alice").await;
    let headers = stack.received("/", &alice).await["headers"].clone();
    assert_eq!(headers["x-user"], "demo-alice");
    assert_eq!(headers["x-all"], "demo-alice|alice@example.com|Alice Adams|alice|company");
    assert_eq!(headers["x-groups"], "[staff]");
    assert_eq!(headers["x-claim"], "staff true");
    assert_eq!(headers["x-braces"], "{x}");
    assert!(headers["x-id"].as_str().unwrap().starts_with("eyJ"));
    for name in ["x-none", "x-half", "x-forwarded-user", "x-forwarded-email"] {
        assert!(headers[name].is_null(), "{name}: {headers}");
    }
    let bob = stack.cookie_of("bob").await;
    let headers = stack.received("/", &bob).await["headers"].clone();
    for name in ["x-groups", "x-claim"] {
        assert!(headers[name].is_null(), "without a group: {headers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_header_value_arrives_as_utf8_and_cannot_add_a_header() {
    let person = |username: &str, name: &str, email: &str, groups: &[&str]| Account {
        email: email.to_owned(),
        ..Account::new(username, name, groups)
    };
    let accounts = vec![
        person("alice", "Älice 李", "älice@example.com", &["a,b", "größe", "a b", "50%2C"]),
        person(
            "mallory",
            "M\r\nX-Forwarded-User: admin",
            "m@x.example\r\nX-Inj: 1",
            &["ok", "a\r\nX-Inj: 1", "n\0l", "t\tb"],
        ),
        person("large", "Large", "large@example.com", &["g".repeat(9000).as_str()]),
    ];
    let headers = "identity_headers:\n  X-Forwarded-User: \"{user}\"\n  X-Forwarded-Email: \"{email}\"\n  X-Forwarded-Groups: \"{groups}\"\n  \
         X-Name: \"{name}\"\n  X-Claim: \"{claim:name}\"\n  X-Claims: \"{claim:groups}\"\n";
    let stack = Stack::builder().accounts(accounts).sections(headers).start().await;
    let headers = stack.received("/", &stack.cookie_of("alice").await).await["headers"].clone();
    assert_eq!(headers["x-name"], "Älice 李");
    assert_eq!(headers["x-forwarded-email"], "älice@example.com");
    assert_eq!(headers["x-forwarded-groups"], "a%2Cb,größe,a b,50%252C");
    assert_eq!(headers["x-claims"], "a%2Cb,größe,a b,50%252C");
    let headers = stack.received("/", &stack.cookie_of("mallory").await).await["headers"].clone();
    assert_eq!(headers["x-forwarded-user"], "demo-mallory");
    assert_eq!(
        headers["x-forwarded-groups"], "ok",
        "T83: a group with a control character is none"
    );
    for name in ["x-inj", "x-name", "x-claim", "x-forwarded-email"] {
        assert!(headers[name].is_null(), "T83 {name}: {headers}");
    }
    let headers = stack.received("/", &stack.cookie_of("large").await).await["headers"].clone();
    assert_eq!(headers["x-forwarded-user"], "demo-large");
    assert!(
        headers["x-forwarded-groups"].is_null() && headers["x-claims"].is_null(),
        "over 8 KiB: {headers}"
    );
    stack.gateway.log_until("x-forwarded-groups");
}

#[tokio::test(flavor = "multi_thread")]
async fn authorization_header_is_forwarded_unless_the_route_sets_it() {
    let token = "identity_headers: { Authorization: \"Bearer {access_token}\" }";
    let routes = [
        "UPSTREAM, allow: public".to_owned(),
        format!("path: /token, UPSTREAM, allow: authenticated, {token}"),
        format!("path: /open, UPSTREAM, allow: public, {token}"),
    ];
    let stack = Stack::builder().routes(routes).start().await;
    let (alice, own) = (stack.cookie_of("alice").await, "Authorization: Basic eDp5\r\n");
    let headers = stack.received("/", &(alice.clone() + own)).await["headers"].clone();
    assert_eq!(headers["authorization"], "Basic eDp5");
    let answer = stack.answer("GET /token", &(alice.clone() + own)).await;
    let headers = stack.upstream.seen().pop().unwrap()["headers"].clone();
    let sent = headers["authorization"].as_str().unwrap();
    assert!(sent.starts_with("Bearer ") && sent.len() > 20, "{headers}");
    assert!(!answer.split("\r\n\r\n").next().unwrap().contains(sent), "T92 {answer}");
    let headers = stack.received("/open", own).await["headers"].clone();
    assert!(
        headers["authorization"].is_null(),
        "no visitor's own where the route has its word: {headers}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_headers_of_an_untrusted_client_are_replaced() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::in_front_of(upstream.address, "");
    let mut browser = Browser::new(&gateway);
    browser.extra.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.1"));
    browser.extra.insert("x-forwarded-host", HeaderValue::from_static("evil.example"));
    browser.extra.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    let headers = browser.fetch("/").await.json()["headers"].clone();
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-host"], "wiki.localhost");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-real-ip"], "127.0.0.1");
    assert_eq!(headers["host"], "wiki.localhost");
    assert!(headers["x-request-id"].is_string(), "{headers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_header_without_a_placeholder_is_sent_on_every_request() {
    let stack = Stack::builder()
        .routes([
            "path: /open, UPSTREAM, allow: public, identity_headers: { X-Key: abc, X-User: \"{user}\" }",
            "UPSTREAM, allow: authenticated, identity_headers: { X-Key: def }",
        ])
        .start()
        .await;
    let headers = stack.received("/open", "X-Key: forged\r\n").await["headers"].clone();
    assert_eq!(headers["x-key"], "abc");
    assert!(headers["x-user"].is_null(), "{headers}");
    let mut browser = stack.browser_of("alice").await;
    for (path, key) in [("/open", "abc"), ("/", "def")] {
        assert_eq!(browser.fetch(path).await.json()["headers"]["x-key"], key, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_headers_of_a_trusted_proxy_are_used() {
    let stack = Stack::builder()
        .server("trusted_proxies: [127.0.0.1/32]")
        .routes([
            "UPSTREAM, allow: public",
            "host: other.localhost, UPSTREAM, allow: public, preserve_host: false",
        ])
        .start()
        .await;
    let fields = "X-Forwarded-For: 192.0.2.1, 198.51.100.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: other.localhost:8443\r\n\
                  X-Forwarded-Port: 1\r\nX-Forwarded-Prefix: /evil\r\nX-Real-IP: 203.0.113.1\r\nForwarded: for=203.0.113.1\r\n\
                  X-Request-Id: from-the-proxy-1\r\n";
    let headers = stack.received("/", fields).await["headers"].clone();
    assert_eq!(headers["x-forwarded-for"], "192.0.2.1, 198.51.100.7, 127.0.0.1");
    assert_eq!(headers["x-real-ip"], "198.51.100.7");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["x-forwarded-host"], "other.localhost:8443");
    assert_eq!(headers["x-forwarded-port"], "8443");
    assert_eq!(headers["x-request-id"], "from-the-proxy-1");
    assert_eq!(headers["host"], stack.upstream.address.to_string(), "preserve_host is off there");
    for name in ["x-forwarded-prefix", "forwarded"] {
        assert!(headers[name].is_null(), "{name}: {headers}");
    }
    let unknown = "X-Forwarded-For: 198.51.100.7, unix:\r\nX-Real-IP: 203.0.113.1\r\n";
    let headers = stack.received("/", unknown).await["headers"].clone();
    assert_eq!(headers["x-forwarded-for"], "198.51.100.7, unix:, 127.0.0.1");
    assert!(headers["x-real-ip"].is_null(), "{headers}");
    let headers = stack.received("/", "X-Forwarded-Proto: https\r\n").await["headers"].clone();
    assert_eq!(
        (&headers["x-forwarded-port"], &headers["host"]),
        (&json!("443"), &json!("wiki.localhost"))
    );
    let sent = "GET / HTTP/1.1\r\nHost: wiki.localhost\r\nX-Forwarded-Host: evil.example\r\n\r\n";
    assert_eq!(
        status(&answers_to(&stack.gateway, sent).await),
        421,
        "its word counts for routes, too"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn request_id_of_an_untrusted_client_is_replaced() {
    let stack = Stack::builder().routes(["UPSTREAM, allow: public"]).start().await;
    let one = stack.received("/", "X-Request-Id: mine\r\n").await["headers"].clone();
    let two = stack.received("/", "X-Request-Id: mine\r\n").await["headers"].clone();
    assert!(
        one["x-request-id"] != "mine" && one["x-request-id"] != two["x-request-id"],
        "{one} {two}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_cookies_are_removed_from_the_forwarded_request() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::in_front_of(upstream.address, "");
    let mut browser = Browser::new(&gateway);
    let cookies = HeaderValue::from_static("theme=dark; portcullis=secret-id; lang=en");
    browser.extra.insert(http::header::COOKIE, cookies);
    let headers = browser.fetch("/").await.json()["headers"].clone();
    assert_eq!(headers["cookie"], "theme=dark; lang=en");
}

#[tokio::test(flavor = "multi_thread")]
async fn response_to_a_user_is_private_unless_the_upstream_sets_cache_control() {
    let peer = Peer::start(|mut wire| async move {
        let head = wire.head().await;
        let own = if head.contains("/own") { "Cache-Control: public, max-age=60\r\n" } else { "" };
        wire.say(format!("HTTP/1.1 200 OK\r\n{own}Content-Length: 0\r\n\r\n")).await;
        wire.done().await;
    });
    let routes = ["UPSTREAM, allow: public"];
    let stack = Stack::builder().routes(routes).start_with(peer.await).await;
    let alice = stack.cookie_of("alice").await;
    for (target, fields, expected) in [
        ("/", alice.as_str(), "private"),
        ("/own", alice.as_str(), "public, max-age=60"),
        ("/", "", ""),
        ("/own", "", "public, max-age=60"),
    ] {
        let answer = stack.answer(&format!("GET {target}"), fields).await;
        assert_eq!(field(&answer, "cache-control"), expected, "T69 {target}: {answer}");
    }
}
