//! Envoy with `deploy/envoy-grpc/envoy.yaml`.

use super::envoy::{TLS, run};
use super::{Edits, Server, Setup, Site};

/// Starts with the example as it is published, but without TLS.
pub(crate) async fn start(site: &Site) -> Server {
    altered(site, &[]).await
}

/// The same with header fields as texts, of which those with one name are one.
pub(crate) async fn with_text_fields(site: &Site) -> Server {
    altered(site, &[("encode_raw_headers: true", "encode_raw_headers: false")]).await
}

/// The same, where Envoy forwards a request if it gets an error instead of a decision.
pub(crate) async fn failing_open(site: &Site) -> Server {
    altered(site, &[("failure_mode_allow: false", "failure_mode_allow: true")]).await
}

/// With TLS, under the name of the example.
pub(crate) async fn published(site: &Site) -> Server {
    let setup = Setup::with_tls();
    let (chain, key) = (setup.path("chain.pem"), setup.path("key.pem"));
    let own =
        [("/etc/envoy/wiki.example.com.pem", &*chain), ("/etc/envoy/wiki.example.com.key", &key)];
    run(setup, FILE, site, &own).await
}

async fn altered(site: &Site, edits: Edits<'_>) -> Server {
    let own = [
        (TLS, ""),
        ("          filters:", "        - filters:"),
        ("domains: [wiki.example.com]", "domains: [wiki.localhost]"),
    ];
    run(Setup::new(), FILE, site, &[edits, &own].concat()).await
}

const FILE: &str = "envoy-grpc/envoy.yaml";
