//! Load balancers that forward TCP and announce their clients: HAProxy and nginx.

use crate::component::{Server, VISITOR, haproxy, nginx};
use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;
use crate::support::wire::{request, status};

async fn gateway() -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start_with(&format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"http://wiki.localhost\", proxy_protocol: true, \
         trusted_proxies: [127.0.0.1/32] }}\nadmin: {{ listen: \"off\" }}\n\
         routes: [{{ upstream: \"http://{}\", allow: [{{ public: true, client_addresses: [{VISITOR}] }}] }}]\n",
        upstream.address
    ));
    (upstream, gateway)
}

async fn check(upstream: &Upstream, server: &Server) {
    let mut wire = server.wire().await;
    let forged = "X-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n";
    wire.say(request("GET /page", forged)).await;
    let answer = wire.rest().await;
    assert_eq!(status(&answer), 200, "{answer}");
    let headers = upstream.seen().pop().unwrap()["headers"].clone();
    assert_eq!(headers["x-forwarded-for"], VISITOR.to_string(), "{headers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_haproxy_announces_is_the_peer() {
    for version in ["send-proxy-v2", "send-proxy"] {
        let (upstream, gateway) = gateway().await;
        let server = haproxy::forwarding_tcp(gateway.address, version).await;
        check(&upstream, &server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_nginx_announces_is_the_peer() {
    let (upstream, gateway) = gateway().await;
    let server = nginx::forwarding_tcp(gateway.address).await;
    check(&upstream, &server).await;
}
