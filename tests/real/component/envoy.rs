//! Envoy with `deploy/envoy/envoy.yaml`.

use std::net::SocketAddr;

use super::{Edits, Server, Setup, Site, example, installed};

pub(crate) async fn start(site: &Site) -> Server {
    altered(site, &[]).await
}

/// After more replacements.
pub(crate) async fn altered(site: &Site, edits: Edits<'_>) -> Server {
    let own = [
        (TLS, ""),
        ("          filters:", "        - filters:"),
        ("domains: [wiki.example.com]", "domains: [wiki.localhost]"),
    ];
    run(Setup::new(), FILE, site, &[edits, &own].concat()).await
}

/// With TLS, under the name of the example.
pub(crate) async fn published(site: &Site) -> Server {
    let setup = Setup::with_tls();
    let (chain, key) = (setup.path("chain.pem"), setup.path("key.pem"));
    let own =
        [("/etc/envoy/wiki.example.com.pem", &*chain), ("/etc/envoy/wiki.example.com.key", &key)];
    run(setup, FILE, site, &own).await
}

/// With an example of `deploy/` after these replacements, and those of all addresses.
pub(super) async fn run(setup: Setup, file: &str, site: &Site, edits: Edits<'_>) -> Server {
    let own = [
        ("address: 0.0.0.0, port_value: 443", &*written(setup.address)),
        ("address: 127.0.0.1, port_value: 4180", &written(site.gateway)),
        ("address: 127.0.0.1, port_value: 4182", &written(site.auth)),
        ("address: wiki, port_value: 8080", &written(site.application)),
    ];
    let file = setup.write("envoy.yaml", &example(file, &[edits, &own].concat()));
    // Without the memory that it shares with other Envoys of this machine.
    let arguments = ["--disable-hot-restart", "--concurrency", "1", "-l", "warning", "-c", &file];
    setup.start(&installed("envoy/_bin/envoy"), &arguments).await
}

fn written(address: SocketAddr) -> String {
    format!("address: {}, port_value: {}", address.ip(), address.port())
}

const FILE: &str = "envoy/envoy.yaml";

/// What an example does without in the tests that need no TLS.
pub(super) const TLS: &str = r#"        - transport_socket:
            name: envoy.transport_sockets.tls
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
              common_tls_context:
                alpn_protocols: [h2, http/1.1]
                tls_certificates:
                  - certificate_chain: { filename: /etc/envoy/wiki.example.com.pem }
                    private_key: { filename: /etc/envoy/wiki.example.com.key }
"#;
