//! Traefik with `deploy/traefik/traefik.yml` and `dynamic.yml`, which its file provider reads.

use super::{Edits, Server, Setup, Site, VISITOR, example, installed};

pub(crate) async fn start(site: &Site) -> Server {
    altered(site, &[]).await
}

/// After more replacements in `dynamic.yml`.
pub(crate) async fn altered(site: &Site, edits: Edits<'_>) -> Server {
    run(Setup::new(), site, &[], &[edits, &PLAIN].concat()).await
}

/// Traefik that takes its visitors for a load balancer.
pub(crate) async fn behind_a_balancer(site: &Site) -> Server {
    let trusted = format!("forwardedHeaders: {{ trustedIPs: [{VISITOR}/32] }}");
    let listens = [("# forwardedHeaders: { trustedIPs: [10.0.0.4/32] }", &*trusted)];
    let trusts = [("trustForwardHeader: false", "trustForwardHeader: true")];
    run(Setup::new(), site, &listens, &[&trusts[..], &PLAIN].concat()).await
}

/// With TLS, under the name of the example.
pub(crate) async fn published(site: &Site) -> Server {
    let setup = Setup::with_tls();
    let (chain, key) = (setup.path("chain.pem"), setup.path("key.pem"));
    let own = [
        ("/etc/traefik/wiki.example.com.pem", &*chain),
        ("/etc/traefik/wiki.example.com.key", &key),
    ];
    run(setup, site, &[], &own).await
}

async fn run(setup: Setup, site: &Site, listens: Edits<'_>, edits: Edits<'_>) -> Server {
    let own = [
        ("http://127.0.0.1:4180", &*format!("http://{}", site.gateway)),
        ("http://127.0.0.1:4182", &format!("http://{}", site.auth)),
        ("wiki:8080", &site.application.to_string()),
    ];
    let file = example("traefik/dynamic.yml", &[edits, &own].concat());
    let file = setup.write("dynamic.yml", &file);
    let address = format!("\"{}\"", setup.address);
    let own = [("\":443\"", &*address), ("/etc/traefik/dynamic.yml", &file)];
    let mut main = example("traefik/traefik.yml", &[listens, &own].concat());
    // It would ask for a newer version.
    main.push_str("global: { checkNewVersion: false, sendAnonymousUsage: false }\n");
    let main = setup.write("traefik.yml", &main);
    setup.start(&installed("bin/traefik"), &[format!("--configFile={main}")]).await
}

/// Without TLS, and with a name that browsers take for a safe one then.
const PLAIN: [(&str, &str); 3] = [
    ("wiki.example.com`", "wiki.localhost`"),
    ("      tls: {}\n", ""),
    (
        "
tls:
  certificates:
    - certFile: /etc/traefik/wiki.example.com.pem
      keyFile: /etc/traefik/wiki.example.com.key
",
        "",
    ),
];
