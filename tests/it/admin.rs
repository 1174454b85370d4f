//! The admin listener: health over the life of the process, and which listener serves which path.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};

use crate::support::browser::Browser;
use crate::support::faults::{DemoEndpoint, Fault, NetworkFault};
use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::operator::{ask, gateway, ready, until, value};
use crate::support::provider;
use crate::support::upstream::Upstream;
use crate::support::wire::{Peer, Wire, field, status};

/// A public route to an upstream that cannot be reached.
const PUBLIC: &str = "routes: [{ upstream: \"http://127.0.0.1:1\", allow: public }]\n";

/// A route for signed-in users, and a provider at which no sign-in can work.
fn behind_sign_in(upstream: &Upstream) -> String {
    format!(
        "providers: {{ company: {{ issuer: \"http://127.0.0.1:1\", client_id: a, client_secret: b }} }}\n\
         routes: [{{ upstream: \"http://{}\", allow: authenticated }}]\n",
        upstream.address
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn readyz_fails_at_once_on_sigterm_and_the_admin_listener_stays_during_the_delay() {
    let timeouts = ", timeouts: { drain_delay: 10m }";
    let gateway = gateway(timeouts, PUBLIC);
    assert_eq!(ask(&gateway, "/healthz").await.status, 200);
    ready(&gateway, "ready\n").await;
    gateway.signal("TERM");
    ready(&gateway, "draining\n").await;
    assert_eq!(ask(&gateway, "/readyz").await.status, 503);
    assert_eq!(ask(&gateway, "/healthz").await.status, 200);
    assert_eq!(ask(&gateway, "/metrics").await.status, 200);
    let ready = Browser::new(&gateway).fetch(&format!("http://{}/ready", gateway.address)).await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.body, "draining");
    // Clients that still come are served.
    assert_eq!(Browser::new(&gateway).fetch("/oauth2/ping").await.status, 200);
    gateway.signal("TERM");
    assert!(gateway.wait().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn probe_over_http10_needs_no_host() {
    let gateway =
        gateway("", "routes: [{ host: \"*\", upstream: \"http://127.0.0.1:1\", allow: public }]\n");
    let admin: String = gateway.admin("").replace("http://", "");
    let probe = async |address: &str, line: &str| {
        let mut wire = Wire::of(TcpStream::connect(address).await.unwrap());
        wire.say(format!("{line}\r\n\r\n")).await;
        status(&wire.head().await)
    };
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(probe(&admin, &format!("GET {path} HTTP/1.0")).await, 200, "{path}");
    }
    let public = gateway.address.to_string();
    for path in ["/oauth2/ping", "/ping", "/ready"] {
        assert_eq!(probe(&public, &format!("GET {path} HTTP/1.0")).await, 200, "{path}");
        assert_eq!(probe(&public, &format!("GET {path} HTTP/1.1")).await, 400, "{path}");
    }
    assert_eq!(probe(&public, "GET /oauth2/start HTTP/1.0").await, 400);
    assert_eq!(probe(&public, "GET / HTTP/1.0").await, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_listener_closes_with_the_public_ones() {
    let peer = Peer::start(|mut wire| async move {
        wire.head().await;
        wire.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").await;
        wire.rest().await;
    });
    let peer = peer.await;
    let routes = format!("routes: [{{ upstream: \"http://{}\", allow: public }}]\n", peer.address);
    let gateway = gateway("", &routes);
    let mut download = Wire::to(&gateway).await;
    download.say("GET / HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n").await;
    download.head().await;
    gateway.signal("TERM");
    let admin = gateway.admin("").replace("http://", "");
    let closed = async || TcpStream::connect(&admin).await.is_err();
    crate::support::wait::until("the admin listener is closed", closed).await;
    gateway.signal("TERM");
    gateway.wait();
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_provider_is_named_by_readyz_which_stays_ready() {
    let provider = provider::start(Duration::from_secs(60)).await;
    provider.set_faults(&[Fault::Network(DemoEndpoint::Discovery, NetworkFault::Unavailable)]);
    let routes = "routes: [{ upstream: \"http://127.0.0.1:1\", allow: authenticated }]\n";
    let gateway = gateway("", &format!("{}{routes}", provider::section(&provider)));
    ready(&gateway, "ready\nprovider company cannot be reached\n").await;
    assert_eq!(ask(&gateway, "/readyz").await.status, 200);
    assert_eq!(value(&gateway, r#"provider_up{provider="company"}"#).await, Some(0.0));
    provider.set_faults(&[]);
    until(&gateway, r#"provider_up{provider="company"}"#, |up| up == 1.0).await;
    ready(&gateway, "ready\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_discovery_document_is_shown_by_readyz_with_the_right_issuer() {
    let provider = provider::start(Duration::from_secs(60)).await;
    let routes = "routes: [{ upstream: \"http://127.0.0.1:1\", allow: authenticated }]\n";
    let section = provider::section_with(&format!("{}/", provider.issuer()), "");
    let gateway = gateway("", &format!("{section}{routes}"));
    gateway.log_until_all(&["cannot get", "/.well-known/openid-configuration", "\"company\""]);
    let body = ask(&gateway, "/readyz").await.body;
    assert!(body.starts_with("ready\nprovider company cannot be used: "), "{body}");
    assert!(body.contains(provider.issuer()), "{body}");
    assert_eq!(value(&gateway, r#"provider_up{provider="company"}"#).await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_token_endpoint_is_shown_by_readyz_after_the_first_request() {
    let provider = provider::start(Duration::from_secs(60)).await;
    let routes = "routes: [{ upstream: \"http://127.0.0.1:1\", allow: authenticated }]\n";
    let gateway = gateway("", &format!("{}{routes}", provider::section(&provider)));
    ready(&gateway, "ready\n").await;
    provider.set_faults(&[Fault::Network(DemoEndpoint::Token, NetworkFault::Reset)]);
    let mut browser = Browser::new(&gateway);
    let callback = provider::callback(&mut browser, "/", "alice").await;
    assert_eq!(browser.navigate(callback.as_str()).await.status, 503);
    ready(&gateway, "ready\nprovider company cannot be reached\n").await;
    assert_eq!(value(&gateway, r#"provider_up{provider="company"}"#).await, Some(0.0));
    provider.set_faults(&[]);
    let callback = provider::callback(&mut browser, "/", "alice").await;
    browser.navigate(callback.as_str()).await;
    ready(&gateway, "ready\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_paths_are_not_served_on_the_public_listener() {
    let upstream = Upstream::start().await;
    let gateway = gateway("", &behind_sign_in(&upstream));
    let mut browser = Browser::new(&gateway);
    for path in ["/metrics", "/healthz", "/readyz", "/debug/pprof", "/oauth2/metrics"] {
        for host in [PUBLIC_URL, "http://elsewhere.localhost", "http://127.0.0.1.localhost"] {
            let answer = browser.fetch(&format!("{host}{path}")).await;
            assert!(matches!(answer.status.as_u16(), 401 | 404 | 421), "{host}{path}: {answer:?}");
            assert!(!answer.body.contains("portcullis_"), "{host}{path}");
        }
    }
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_listener_serves_no_other_path_or_method() {
    let upstream = Upstream::start().await;
    let gateway = gateway("", &behind_sign_in(&upstream));
    for path in
        ["/", "/open", "/oauth2/ping", "/oauth2/start", "/metrics/", "/Metrics", "/%6detrics"]
    {
        let answer = ask(&gateway, path).await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let post = answer_of(&gateway, "POST /metrics HTTP/1.1\r\nHost: localhost\r\n").await;
    assert_eq!((status(&post), field(&post, "allow")), (405, "GET, HEAD"));
    assert_eq!(upstream.request_count(), 0);
}

async fn status_of(gateway: &Gateway, head: &str) -> u16 {
    status(&answer_of(gateway, head).await)
}

/// The admin listener's answer to a request.
async fn answer_of(gateway: &Gateway, head: &str) -> String {
    let address = gateway.admin("").replacen("http://", "", 1);
    let mut wire = Wire::of(TcpStream::connect(address).await.unwrap());
    wire.say(format!("{head}Connection: close\r\n\r\n")).await;
    wire.rest().await
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_listener_on_loopback_answers_to_loopback_hosts_only() {
    let gateway = gateway("", PUBLIC);
    for path in ["/healthz", "/readyz", "/metrics", "/none"] {
        let known = if path == "/none" { 404 } else { 200 };
        for host in
            ["localhost", "LOCALHOST:4181", "a.localhost", "127.0.0.1:1", "127.8.9.1", "[::1]"]
        {
            let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
            assert_eq!(status_of(&gateway, &head).await, known, "{path} {host}");
        }
        for host in [
            "rebound.example",
            "localhost.example:4181",
            "127.0.0.1.example",
            "0.0.0.0",
            "192.0.2.1",
        ] {
            let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
            assert_eq!(status_of(&gateway, &head).await, 421, "{path} {host}");
            // That listener trusts no proxy.
            let head = format!("{head}X-Forwarded-Host: localhost\r\n");
            assert_eq!(status_of(&gateway, &head).await, 421, "{path} {host}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unsafe_request_of_a_web_page_to_the_admin_listener_gets_403() {
    let gateway = gateway("", PUBLIC);
    let from_pages = [
        "Origin: http://localhost:4181\r\n",
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: same-origin\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: none\r\nSec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: none\r\nOrigin: null\r\n",
    ];
    for (method, path, from_page, otherwise) in [
        ("POST", "/metrics", 403, 405),
        ("OPTIONS", "/metrics", 403, 405),
        ("DELETE", "/none", 403, 404),
        ("GET", "/metrics", 200, 200),
        ("HEAD", "/metrics", 200, 200),
    ] {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        for fields in from_pages {
            let status = status_of(&gateway, &format!("{head}{fields}")).await;
            assert_eq!(status, from_page, "{method} {path} {fields}");
        }
        for fields in ["", "Sec-Fetch-Site: none\r\n"] {
            let status = status_of(&gateway, &format!("{head}{fields}")).await;
            assert_eq!(status, otherwise, "{method} {path} {fields}");
        }
    }
}

#[test]
fn admin_port_in_use_exits_with_69() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portcullis.yaml");
    let address = taken.local_addr().unwrap();
    let yaml = format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\" }}\n\
         admin: {{ listen: \"{address}\" }}\n\
         {PUBLIC}"
    );
    std::fs::write(&file, yaml).unwrap();
    let program = env!("CARGO_BIN_EXE_portcullis");
    let ended = Command::new(program).args(["run", "--config"]).arg(file).output().unwrap();
    let log = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(69), "{log}");
    assert!(log.contains(&address.to_string()), "{log}");
}

#[track_caller]
fn check_health(url: &str, code: i32, says: &str) {
    let program = env!("CARGO_BIN_EXE_portcullis");
    let health = Command::new(program)
        .args(["health", "--url", url])
        .env("http_proxy", "http://127.0.0.1:1")
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&health.stdout) + String::from_utf8_lossy(&health.stderr);
    assert_eq!(health.status.code(), Some(code), "{url}: {out}");
    assert!(out.contains(says), "{url}: {out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_command_exits_with_0_only_if_the_gateway_is_ready() {
    let timeouts = ", timeouts: { drain_delay: 10m }";
    let gateway = gateway(timeouts, PUBLIC);
    ready(&gateway, "ready\n").await;
    check_health(&gateway.admin("/readyz"), 0, "ready");
    check_health(&gateway.admin(""), 0, "ready");
    check_health(&gateway.admin("/nothing"), 1, "404");
    gateway.signal("TERM");
    ready(&gateway, "draining\n").await;
    check_health(&gateway.admin("/readyz"), 1, "draining");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    check_health(&format!("http://{}/", silent.local_addr().unwrap()), 1, "no response within");
    // Bound, so that no other process gets the port, and not listening.
    let gone = TcpSocket::new_v4().unwrap();
    gone.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    check_health(&format!("http://{}/readyz", gone.local_addr().unwrap()), 1, "refused");
    check_health("https://127.0.0.1/readyz", 64, "http://");
    check_health("127.0.0.1:4181", 64, "write http://127.0.0.1:4181/readyz");
    check_health("localhost:4181/readyz", 64, "write http://localhost:4181/readyz");
    check_health("unix:/absent/portcullis.sock", 1, "No such file");
}

#[test]
fn demo_whose_port_is_in_use_prints_one_line_and_exits_with_69() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let program = env!("CARGO_BIN_EXE_portcullis");
    let demo = |port: &str| Command::new(program).args(["demo", "--port", port]).output().unwrap();
    let ended = demo(&port);
    let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!((ended.status.code(), stderr.lines().count()), (Some(69), 1), "{stderr}");
    assert!(ended.stdout.is_empty() && stderr.contains(&port), "{stderr}");
    assert_eq!(demo("0").status.code(), Some(64), "its addresses must be known before");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_begins_with_the_version_and_ends_with_the_exit_code() {
    let gateway = gateway("", PUBLIC);
    let version = concat!("\"version\":\"", env!("CARGO_PKG_VERSION"), "\"");
    gateway.log_until_all(&["starting", version, "portcullis.yaml"]);
    gateway.signal("TERM");
    gateway.log_until_all(&["stopped", "\"exit_code\":0"]);
}
