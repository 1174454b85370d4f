//! `server.redirect_http`: every plain request is redirected to https, on hosts that are ours.

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;
use crate::support::wire::{Wire, field, request, status};

const HERE: &str = "https://wiki.localhost:8443";

/// A gateway whose routes are at these hosts; `server` are more keys of that section.
fn gateway(upstream: &Upstream, hosts: &[&str], server: &str) -> Gateway {
    let route = |host: &&str| {
        format!(
            "  - {{ host: \"{host}\", upstream: \"http://{}\", allow: public }}\n",
            upstream.address
        )
    };
    Gateway::start_with(&format!(
        "server:\n  listen: 127.0.0.1:0\n  public_url: {HERE}\n  redirect_http: 127.0.0.1:0\n{server}\
         admin: {{ listen: \"off\" }}\nroutes:\n{}",
        hosts.iter().map(route).collect::<String>()
    ))
}

async fn exchange(gateway: &Gateway, bytes: &str) -> String {
    let address = gateway.address_of("redirect to https listening");
    let mut wire = Wire::of(TcpStream::connect(address).await.unwrap());
    wire.say(bytes).await;
    wire.done().await;
    wire.rest().await
}

async fn check(gateway: &Gateway, bytes: &str, location: &str) {
    let answer = exchange(gateway, bytes).await;
    assert_eq!(status(&answer), 308, "{bytes}: {answer}");
    assert_eq!(field(&answer, "location"), location, "{bytes}");
    assert_eq!(field(&answer, "set-cookie"), "", "{answer}");
    assert_eq!(field(&answer, "cache-control"), "no-store", "{answer}");
}

fn get(target: &str, host: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn request_is_redirected_to_the_same_url_over_https() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, &["wiki.localhost", "other.localhost"], "");
    for target in [
        "/",
        "/a%20b/c;d=e?f=g&h=%2F",
        "/oauth2/start?rd=/",
        "/oauth2/ping",
        "/ping",
        "/.well-known/acme-challenge/x",
        "//evil.example/x",
        "/%0d%0aX-Injected:1",
        "/a/../b",
    ] {
        check(&gateway, &get(target, "wiki.localhost"), &format!("{HERE}{target}")).await;
    }
    // The spelling that a certificate is for.
    for host in ["Other.localhost:80", "other.localhost."] {
        check(&gateway, &get("/x", host), "https://other.localhost:8443/x").await;
    }
    let absolute = get("http://wiki.localhost/x?y", "wiki.localhost");
    check(&gateway, &absolute, &format!("{HERE}/x?y")).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"] {
        let sent = request(&format!("{method} /x"), "Content-Length: 3\r\nConnection: close\r\n");
        check(&gateway, &format!("{sent}a=b"), &format!("{HERE}/x")).await;
    }
    check(&gateway, "GET /ping HTTP/1.0\r\n\r\n", &format!("{HERE}/ping")).await;
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirect_leads_to_no_foreign_host() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, &["wiki.localhost", "*.apps.localhost"], "");
    for host in
        ["evil.example", "wiki.localhost.evil.example", "127.0.0.1", "[::1]:80", "apps.localhost"]
    {
        check(&gateway, &get("/x", host), &format!("{HERE}/x")).await;
    }
    check(&gateway, &get("/x", "a.apps.localhost"), "https://a.apps.localhost:8443/x").await;
    let forwarded =
        "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n";
    check(&gateway, &request("GET /x", forwarded), &format!("{HERE}/x")).await;
    for (bytes, expected) in [
        (get("http://evil.example/x", "wiki.localhost"), 400),
        (get("http://wiki.localhost@evil.example/x", "wiki.localhost"), 400),
        (get("/x", "wiki.localhost@evil.example"), 400),
        (get("/x", "wiki.localhost\r\nHost: evil.example"), 400),
        (get("*", "wiki.localhost"), 400),
        (request("TRACE /x", "Connection: close\r\n"), 405),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), 400),
    ] {
        let answer = exchange(&gateway, &bytes).await;
        assert_eq!(status(&answer), expected, "{bytes}: {answer}");
        assert_eq!(field(&answer, "location"), "", "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn route_for_every_host_keeps_every_host() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, &["*"], "");
    check(&gateway, &get("/x", "any.example"), "https://any.example:8443/x").await;
    check(&gateway, "GET /ping HTTP/1.0\r\n\r\n", &format!("{HERE}/ping")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn load_balancer_announces_clients_to_the_redirect_too() {
    let upstream = Upstream::start().await;
    let keys = "  proxy_protocol: true\n  trusted_proxies: [127.0.0.1]\n";
    let gateway = gateway(&upstream, &["wiki.localhost"], keys);
    let announced = format!("PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n{}", get("/x", "wiki.localhost"));
    check(&gateway, &announced, &format!("{HERE}/x")).await;
    gateway.log_until_all(&["\"path\":\"/x\"", "192.0.2.7"]);
    assert_eq!(exchange(&gateway, &get("/x", "wiki.localhost")).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn host_of_a_trusted_proxy_counts_if_a_route_has_it() {
    let upstream = Upstream::start().await;
    let hosts = ["wiki.localhost", "other.localhost"];
    let gateway = gateway(&upstream, &hosts, "  trusted_proxies: [127.0.0.1]\n");
    for (host, location) in [
        ("other.localhost", "https://other.localhost:8443/x"),
        ("evil.example", "https://wiki.localhost:8443/x"),
    ] {
        let fields = format!("X-Forwarded-Host: {host}\r\nConnection: close\r\n");
        check(&gateway, &request("GET /x", &fields), location).await;
    }
}

/// A load balancer that terminates TLS and sends everything to this port.
#[tokio::test(flavor = "multi_thread")]
async fn request_that_is_https_already_gets_421_and_not_an_endless_redirect() {
    let upstream = Upstream::start().await;
    let hosts = ["wiki.localhost", "other.localhost"];
    let gateway_of = |trusted| gateway(&upstream, &hosts, trusted);
    let gateway = gateway_of("  trusted_proxies: [127.0.0.1]\n");
    let said = |host: &str, proto: &str| {
        format!(
            "GET /x HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: {proto}\r\nAccept: text/html\r\n\
             Connection: close\r\n\r\n"
        )
    };
    for host in ["wiki.localhost:8443", "wiki.localhost", "Other.localhost.:8443"] {
        let answer = exchange(&gateway, &said(host, "https")).await;
        assert_eq!(status(&answer), 421, "{host}: {answer}");
        assert_eq!(field(&answer, "location"), "", "{host}: {answer}");
        assert!(answer.contains("This site redirects to itself"), "{answer}");
    }
    gateway.log_until_all(&["WARN", "Let the proxy forward https requests to server.listen"]);
    // Each of these arrives at another URL than the one it came from.
    for (host, proto, location) in [
        ("wiki.localhost", "http", "https://wiki.localhost:8443/x"),
        ("wiki.localhost:443", "https", "https://wiki.localhost:8443/x"),
        ("old.localhost", "https", "https://wiki.localhost:8443/x"),
        ("wiki.localhost", "http, https", "https://wiki.localhost:8443/x"),
    ] {
        check(&gateway, &said(host, proto), location).await;
    }
    let untrusted = gateway_of("");
    check(&untrusted, &said("wiki.localhost", "https"), "https://wiki.localhost:8443/x").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirect_is_plain_http_while_the_other_listeners_use_tls() {
    let upstream = Upstream::start().await;
    let made = rcgen::generate_simple_self_signed(["wiki.localhost".to_owned()]).unwrap();
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(path("tls.key"), made.signing_key.serialize_pem()).unwrap();
    let pair = format!("{{ certificate: {}, key: {} }}", path("tls.crt"), path("tls.key"));
    let tls = format!("  tls: {{ certificates: [{pair}] }}\n");
    let gateway = gateway(&upstream, &["wiki.localhost"], &tls);
    check(&gateway, &get("/x", "wiki.localhost"), &format!("{HERE}/x")).await;
    let mut wire = Wire::to(&gateway).await;
    wire.say(get("/x", "wiki.localhost")).await;
    assert!(!wire.rest().await.starts_with("HTTP/"));
}
