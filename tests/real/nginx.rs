//! nginx asks Portcullis about each request, as `deploy/nginx/portcullis.conf` tells it to.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use portcullis::demo::IdentityProvider;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::component::nginx::Nginx;
use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::provider;
use crate::support::upstream::Upstream;
use crate::support::wait::until;
use crate::support::wire::{Peer, Wire};

struct House {
    provider: IdentityProvider,
    upstream: Upstream,
    gateway: Gateway,
    nginx: Nginx,
}

const ROUTES: &str = "
routes:
  - { allow: authenticated }
  - { path: /open, allow: public }
  - { path: /staff, allow: [{ groups: [staff] }] }
  - { path: /gets, allow: [{ methods: [GET] }] }
";

async fn gateway(token_lifetime: Duration) -> (IdentityProvider, Gateway) {
    let provider = provider::start(token_lifetime).await;
    let gateway = Gateway::start_with(&format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\", trusted_proxies: [127.0.0.1/32], \
         forward_auth: {{ clients: [{{ from: [127.0.0.1/32], proxy: nginx }}] }} }}\n\
         admin: {{ listen: \"off\" }}\n{}{ROUTES}",
        provider::section(&provider)
    ));
    (provider, gateway)
}

/// The example with the names of this test.
fn nginx(gateway: &Gateway, application: (&str, &str)) -> Nginx {
    Nginx::start(&[
        ("127.0.0.1:4180", &gateway.address.to_string()),
        ("server_name wiki.example.com;", "server_name wiki.localhost;"),
        application,
    ])
}

async fn house(token_lifetime: Duration) -> House {
    let (provider, gateway) = gateway(token_lifetime).await;
    let upstream = Upstream::start().await;
    let nginx = nginx(&gateway, ("http://wiki:8080", &format!("http://{}", upstream.address)));
    House { provider, upstream, gateway, nginx }
}

const A_MINUTE: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_through_nginx_arrives_where_they_wanted() {
    let house = house(A_MINUTE).await;
    let mut browser = house.nginx.browser();
    let answer = provider::sign_in(&mut browser, "/page?a=1&b=%2F&c=[2]", "alice").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.url.as_str(), "http://wiki.localhost/page?a=1&b=%2F&c=%5B2%5D");
    let told = answer.json();
    assert_eq!(told["target"], "/page?a=1&b=%2F&c=%5B2%5D");
    let headers = &told["headers"];
    assert_eq!(headers["x-forwarded-user"], "demo-alice");
    assert_eq!(headers["x-forwarded-email"], "alice@example.com");
    assert_eq!(headers["x-forwarded-groups"], "staff");
    assert_eq!(headers["x-forwarded-preferred-username"], "alice");
    assert!(headers["cookie"].is_null(), "{headers}");
    assert_eq!(browser.submit("/page", &[("a", "b")]).await.json()["body"], "a=b");
    let away = browser.navigate("/oauth2/sign_out").await.redirect().unwrap();
    assert!(away.as_str().starts_with(house.provider.issuer()), "{away}");
    assert_eq!(browser.fetch("/page").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_gets_its_own_cookies_and_none_of_portcullis() {
    let house = house(A_MINUTE).await;
    let mut browser = house.nginx.browser();
    browser.plant("first", "1");
    provider::sign_in(&mut browser, "/page", "alice").await;
    browser.plant("not-portcullis", "2");
    assert!(browser.cookie("/", "portcullis-login").is_some());
    browser.plant("portcullis-login-target", "a-sealed-address");
    let cookie = |told: &serde_json::Value| told["headers"]["cookie"].clone();
    assert_eq!(cookie(&browser.fetch("/page").await.json()), "first=1; not-portcullis=2");
    browser.forget("not-portcullis");
    assert_eq!(cookie(&browser.fetch("/page").await.json()), "first=1");
    browser.forget("first");
    browser.plant("last", "3");
    assert_eq!(cookie(&browser.fetch("/page").await.json()), "last=3");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_told_who_they_are_and_offered_another_account() {
    let house = house(A_MINUTE).await;
    let mut bob = house.nginx.browser();
    let page = provider::sign_in(&mut bob, "/staff?allowed_groups=", "bob").await;
    assert_eq!(page.status, 403, "{page:?}");
    assert!(page.body.contains("(bob@example.com)"), "{page:?}");
    assert!(page.body.contains("prompt=select_account"), "{page:?}");
    assert!(page.header("x-auth-request-user").is_empty(), "{page:?}");
    let program = bob.fetch("/staff").await;
    assert!(program.status == 403 && !program.body.contains("bob"), "{program:?}");
    assert_eq!(house.upstream.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_nginx_itself_are_guarded_too() {
    let (_provider, gateway) = gateway(A_MINUTE).await;
    let files = TempDir::new().unwrap();
    fs::write(files.path().join("page.txt"), "a page").unwrap();
    let root = format!("root {};", files.path().display());
    let nginx = nginx(&gateway, ("proxy_pass http://wiki:8080;", &root));
    let mut browser = nginx.browser();
    assert_eq!(browser.fetch("/page.txt").await.status, 401);
    let page = provider::sign_in(&mut browser, "/page.txt?v=1", "alice").await;
    assert_eq!((page.status.as_u16(), page.body.as_str()), (200, "a page"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_signed_in_reaches_public_paths_only() {
    let house = house(A_MINUTE).await;
    let mut browser = house.nginx.browser();
    for (path, status) in [
        ("/open/page?x", 200),
        ("/page", 401),
        ("/openx", 401),
        ("/page?x=/open", 401),
        ("/open/..;/page", 403),
        ("/open/..%2fpage", 403),
        ("/open/%252e%252e/page", 403),
        ("/OPEN", 403),
        ("/oauth2/auth", 404),
        ("/oauth2/auth/open", 404),
        ("/oauth2/%61uth", 404),
        ("/oauth2//auth", 404),
        ("/oauth2/forward_auth", 404),
    ] {
        assert_eq!(browser.fetch(path).await.status, status, "{path}");
    }
    assert_eq!(house.upstream.asked(), 1);
    assert_eq!(browser.submit("/page", &[("a", "b")]).await.status, 401, "no redirect for a POST");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_visitor_claims_changes_nothing() {
    let house = house(A_MINUTE).await;
    let mut browser = house.nginx.browser();
    for name in FORGED_NAMES {
        browser.extra.insert(HeaderName::from_static(name), HeaderValue::from_static("mallory"));
    }
    let told = browser.fetch("/open").await.json();
    assert!(!told["headers"].to_string().contains("mallory"), "{told}");
    browser.extra.clear();
    for (name, value) in [
        ("x-forwarded-uri", "/open"),
        ("x-original-uri", "/open"),
        ("x-original-url", "http://wiki.localhost/open"),
        ("x-forwarded-method", "GET"),
        ("x-original-method", "GET"),
        ("content-type", "application/grpc"),
        ("authorization", "Bearer x.y.z"),
    ] {
        browser.extra.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        assert_eq!(browser.fetch("/page").await.status, 401, "{name}");
    }
    assert_eq!(house.upstream.asked(), 1);
}

const FORGED_NAMES: [&str; 5] = [
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x_forwarded_user",
];

#[tokio::test(flavor = "multi_thread")]
async fn rules_hold_as_if_portcullis_forwarded() {
    let house = house(A_MINUTE).await;
    let mut bob = house.nginx.browser();
    assert_eq!(provider::sign_in(&mut bob, "/page", "bob").await.status, 200);
    assert_eq!(bob.fetch("/staff").await.status, 403);
    assert_eq!(bob.navigate("/staff").await.status, 403);
    assert_eq!(bob.fetch("/gets").await.status, 200);
    assert_eq!(bob.submit("/gets", &[("a", "b")]).await.status, 403);
    bob.extra.insert("upgrade", HeaderValue::from_static("websocket"));
    assert_eq!(bob.fetch("/page").await.status, 200);
    bob.extra.insert("origin", HeaderValue::from_static("https://evil.example"));
    assert_eq!(bob.fetch("/page").await.status, 403, "a WebSocket of another site");
    house.gateway.log_until("foreign_origin");
}

/// What an application that would switch to whatever it is asked for answers to a handshake through nginx.
async fn shake_hands(nginx: &Nginx, path: &str, cookie: &str, fields: &str) -> String {
    let mut stream = UnixStream::connect(nginx.socket()).await.unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: wiki.localhost\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Cookie: {cookie}\r\n{fields}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut answer, mut piece) = (String::new(), [0; 1024]);
    while !answer.contains("\r\n\r\n") {
        let read = timeout(SOON, stream.read(&mut piece)).await.unwrap().unwrap();
        assert!(read > 0, "{answer:?}");
        answer.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
    if answer.starts_with("HTTP/1.1 101") {
        stream.write_all(b"hello").await.unwrap();
        let mut echo = [0; 5];
        timeout(SOON, stream.read_exact(&mut echo)).await.unwrap().unwrap();
        assert_eq!(&echo, b"hello");
    }
    answer
}

/// Switches protocols whenever it is told to, and echoes; tells of each head.
async fn switch(mut wire: Wire, heads: Arc<Mutex<Vec<String>>>) {
    let head = wire.head().await.to_ascii_lowercase();
    heads.lock().unwrap().push(head.clone());
    if !head.contains("\r\nupgrade:") {
        return wire.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    }
    wire.say("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n").await;
    let said = wire.bytes(5).await;
    wire.say(said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_pass_and_no_other_protocol() {
    let (_provider, gateway) = gateway(A_MINUTE).await;
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&heads);
    let peer = Peer::start(move |wire| switch(wire, Arc::clone(&told))).await;
    let nginx = nginx(&gateway, ("http://wiki:8080", &format!("http://{}", peer.address)));
    let mut browser = nginx.browser();
    provider::sign_in(&mut browser, "/page", "alice").await;
    let cookie = format!("portcullis={}", browser.cookie("/", "portcullis").unwrap());
    heads.lock().unwrap().clear();
    for (path, cookie, fields, status) in [
        ("/page", &*cookie, "Upgrade: WebSocket\r\nOrigin: http://wiki.localhost\r\n", 101),
        ("/open/page", "", "Upgrade: websocket\r\n", 101),
        ("/page", &cookie, "Upgrade: websocket\r\nOrigin: http://evil.example\r\n", 403),
        ("/page", "", "Upgrade: websocket\r\nAccept: text/html\r\n", 401),
        ("/page", &cookie, "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", 200),
        ("/page", &cookie, "Upgrade: websocket, h2c\r\n", 200),
    ] {
        let answer = shake_hands(&nginx, path, cookie, fields).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {fields}: {answer}");
    }
    let heads = heads.lock().unwrap();
    let upgrades = heads.iter().filter(|head| head.contains("\r\nupgrade: websocket\r\n"));
    assert_eq!((heads.len(), upgrades.count()), (4, 2), "{heads:?}");
    assert!(heads[0].contains("\r\nx-forwarded-user: demo-alice\r\n"), "{heads:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_refreshed_by_questions() {
    let house = house(Duration::from_secs(1)).await;
    let mut alice = house.nginx.browser();
    assert_eq!(provider::sign_in(&mut alice, "/staff", "alice").await.status, 200);
    house.provider.set_groups("alice", &[]);
    until("the claims are new", async || alice.fetch("/staff").await.status == 403).await;
    assert_eq!(alice.fetch("/page").await.status, 200);
    house.provider.revoke_all();
    until("she is out", async || alice.fetch("/page").await.status == 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_down_lets_nobody_pass() {
    let house = house(A_MINUTE).await;
    let mut browser = house.nginx.browser();
    assert!(house.gateway.stop().success());
    assert_eq!(browser.fetch("/page").await.status, 500);
    assert_eq!(browser.fetch("/open").await.status, 500);
    assert_eq!(house.upstream.asked(), 0);
}
