//! Traefik with `deploy/traefik/portcullis.yml`, which its file provider reads.

use super::{Server, Setup, Site, VISITOR, example, installed};

pub(crate) async fn start(site: &Site) -> Server {
    with(site, &[], &[]).await
}

/// Traefik that takes its visitors for a load balancer.
pub(crate) async fn behind_a_balancer(site: &Site) -> Server {
    let trusted = format!("--entryPoints.web.forwardedHeaders.trustedIPs={VISITOR}/32");
    with(site, &[("trustForwardHeader: false", "trustForwardHeader: true")], &[trusted]).await
}

async fn with(site: &Site, replacements: &[(&str, &str)], more: &[String]) -> Server {
    let setup = Setup::new();
    let own = [
        ("wiki.example.com`", "wiki.localhost`"),
        ("entryPoints: [websecure]", "entryPoints: [web]"),
        ("      tls: {}\n", ""),
        ("http://127.0.0.1:4180", &*format!("http://{}", site.gateway)),
        ("http://127.0.0.1:4182", &format!("http://{}", site.auth)),
        ("wiki:8080", &site.application.to_string()),
    ];
    let file = example("traefik/portcullis.yml", &[replacements, &own].concat());
    let own = [
        format!("--entryPoints.web.address={}", setup.address),
        format!("--providers.file.filename={}", setup.write("portcullis.yml", &file)),
        "--global.checkNewVersion=false".to_owned(),
    ];
    setup.start(&installed("bin/traefik"), &[&own, more].concat()).await
}
