//! A gateway that accepts connections and never answers.
//! Invariant: each server denies the request, in a time that does not depend on the gateway.

use std::future::pending;
use std::time::Duration;

use tokio::time::timeout;

use crate::component::{Server, Site, caddy, envoy, envoy_grpc, haproxy, nginx, traefik};
use crate::support::upstream::Upstream;
use crate::support::wire::Peer;

/// All servers at once: most of the test is waiting.
#[tokio::test(flavor = "multi_thread")]
async fn gateway_that_never_answers_denies_everything_in_time() {
    tokio::join!(
        Box::pin(deny_in_time("nginx", 500, nginx::start)),
        Box::pin(deny_in_time("Envoy", 403, envoy::start)),
        Box::pin(deny_in_time("Envoy over gRPC", 403, envoy_grpc::start)),
        Box::pin(deny_in_time("Traefik", 500, traefik::start)),
        Box::pin(deny_in_time("Caddy", 504, caddy::current)),
        Box::pin(deny_in_time("Caddy of Debian", 504, caddy::debian)),
        Box::pin(deny_in_time("HAProxy", 502, haproxy::start)),
    );
}

async fn deny_in_time(name: &str, status: u16, start: impl AsyncFnOnce(&Site) -> Server) {
    let application = Upstream::start().await;
    // A server has started once it forwards a request to the gateway.
    let gateway = Peer::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let silent = Peer::start(async |wire| {
        let _open = wire;
        pending::<()>().await;
    });
    let auth = silent.await;
    let addresses = (gateway.address, auth.address, application.address);
    let site = Site { gateway: addresses.0, auth: addresses.1, application: addresses.2 };
    let server = start(&site).await;
    let mut browser = server.browser();
    let answer = timeout(LONGEST, browser.fetch("/page")).await;
    let answer = answer.unwrap_or_else(|_| panic!("{name} waits for ever:\n{}", server.log()));
    assert_eq!(answer.status, status, "{name}: {answer:?}");
    assert_eq!(application.request_count(), 0, "{name}");
}

/// Traefik waits for half a minute; no key of Traefik changes that.
const LONGEST: Duration = Duration::from_secs(45);
