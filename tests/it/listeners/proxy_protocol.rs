//! `server.proxy_protocol`: load balancers that announce their clients.

use tokio::net::TcpStream;

use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;
use crate::support::wire::{Wire, request, status, until_closed};

const ANNOUNCED: &str = "PROXY TCP4 192.0.2.7 10.0.0.1 4660 443\r\n";

/// A gateway in front of an application; `server` are more keys of that section.
fn gateway(upstream: &Upstream, server: &str) -> Gateway {
    let routes = format!(
        "routes:\n  - {{ upstream: \"http://{0}\", allow: public }}\n  \
         - {{ path: /office, upstream: \"http://{0}\", \
         allow: [{{ public: true, client_addresses: [192.0.2.7] }}] }}\n",
        upstream.address
    );
    Gateway::start_with(&format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"http://wiki.localhost\", \
         proxy_protocol: true, {server} }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\n{routes}"
    ))
}

fn closing(target: &str, fields: &str) -> String {
    request(&format!("GET {target}"), &format!("{fields}Connection: close\r\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_client_reaches_rules_log_and_application() {
    let upstream = Upstream::start().await;
    let gateway = gateway(&upstream, "trusted_proxies: [127.0.0.1/32]");
    let forged = closing("/office", "X-Forwarded-For: 203.0.113.9\r\n");
    let answer = until_closed(&gateway, format!("{ANNOUNCED}{forged}")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    let headers = upstream.seen().pop().unwrap()["headers"].clone();
    assert_eq!(headers["x-forwarded-for"], "192.0.2.7", "{headers}");
    assert_eq!(headers["x-real-ip"], "192.0.2.7", "{headers}");
    gateway.log_until_all(&["\"path\":\"/office\"", "192.0.2.7"]);
    let unknown = until_closed(&gateway, format!("PROXY UNKNOWN\r\n{}", closing("/", ""))).await;
    assert_eq!(status(&unknown), 200, "{unknown}");
    let headers = upstream.seen().pop().unwrap()["headers"].clone();
    assert_eq!(headers["x-forwarded-for"], "unknown", "{headers}");
    assert!(headers["x-real-ip"].is_null(), "{headers}");
    let outside = format!("PROXY TCP4 192.0.2.8 10.0.0.1 1 2\r\n{}", closing("/office", ""));
    assert_ne!(status(&until_closed(&gateway, outside).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_with_a_missing_or_forbidden_header_is_closed_and_the_log_says_what_to_do() {
    let upstream = Upstream::start().await;
    let trusting = gateway(&upstream, "trusted_proxies: [127.0.0.1/32]");
    assert_eq!(until_closed(&trusting, closing("/", "")).await, "");
    trusting.log_until("a trusted proxy sent no PROXY header; let it send one");
    let other = gateway(&upstream, "trusted_proxies: [192.0.2.0/24]");
    assert_eq!(until_closed(&other, format!("{ANNOUNCED}{}", closing("/", ""))).await, "");
    other.log_until("if it is your load balancer, add it to server.trusted_proxies");
    assert_eq!(status(&until_closed(&other, closing("/", "")).await), 200);
    assert_eq!(upstream.request_count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_and_forward_auth_listeners_read_no_header() {
    let upstream = Upstream::start().await;
    let gateway = gateway(
        &upstream,
        "trusted_proxies: [127.0.0.1/32], forward_auth: { listen: \"127.0.0.1:0\", \
         clients: [{ from: [127.0.0.1/32], proxy: nginx }] }",
    );
    for (listening, path) in
        [("admin listening", "/healthz"), ("forward auth listening", "/oauth2/ping")]
    {
        let address = gateway.address_of(listening);
        for (header, expected) in [("", 200), (ANNOUNCED, 400)] {
            let mut wire = Wire::of(TcpStream::connect(address).await.unwrap());
            let host =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            wire.say(format!("{header}{host}")).await;
            assert_eq!(status(&wire.rest().await), expected, "{listening} {header:?}");
        }
    }
}
