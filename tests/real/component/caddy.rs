//! Caddy with `deploy/caddy/Caddyfile`: Debian's, which is old, and a current one.

use std::path::Path;

use super::{Edits, Server, Setup, Site, VISITOR, example, installed};

/// Debian's 2.6, which sends a header that the answer lacks as the text of a placeholder.
pub(crate) async fn debian(site: &Site) -> Server {
    start(Path::new(DEBIAN), "", site, &[]).await
}

/// A current one.
pub(crate) async fn current(site: &Site) -> Server {
    altered(site, &[]).await
}

/// A current one, after more replacements.
pub(crate) async fn altered(site: &Site, edits: Edits<'_>) -> Server {
    start(&installed("bin/caddy"), "", site, edits).await
}

/// A current one that takes its visitors for a load balancer.
pub(crate) async fn behind_a_balancer(site: &Site) -> Server {
    let trusts = format!("servers {{\n\t\ttrusted_proxies static {VISITOR}/32\n\t}}");
    start(&installed("bin/caddy"), &trusts, site, &[]).await
}

/// A current one with TLS, under the name of the example.
pub(crate) async fn published(site: &Site) -> Server {
    with_tls(&installed("bin/caddy"), site).await
}

/// The same of Debian.
pub(crate) async fn published_debian(site: &Site) -> Server {
    with_tls(Path::new(DEBIAN), site).await
}

async fn start(program: &Path, options: &str, site: &Site, edits: Edits<'_>) -> Server {
    let setup = Setup::new();
    let (ip, port) = (setup.address.ip(), setup.address.port());
    let named = format!("\nhttp://wiki.localhost:{port} {{\n\tbind {ip}");
    run(program, options, setup, site, &[edits, &[(SITE, &named)]].concat()).await
}

/// With a certificate of the test, in place of one that Caddy asks for.
async fn with_tls(program: &Path, site: &Site) -> Server {
    let setup = Setup::with_tls();
    let (ip, port) = (setup.address.ip(), setup.address.port());
    let options = format!("auto_https disable_redirects\n\thttps_port {port}");
    let certificate = format!("tls {} {}", setup.path("chain.pem"), setup.path("key.pem"));
    let named = format!("{SITE}\n\tbind {ip}\n\t{certificate}");
    run(program, &options, setup, site, &[(SITE, &named)]).await
}

async fn run(program: &Path, options: &str, setup: Setup, site: &Site, edits: Edits<'_>) -> Server {
    let own = [
        ("127.0.0.1:4180", &*site.gateway.to_string()),
        ("127.0.0.1:4182", &site.auth.to_string()),
        ("wiki:8080", &site.application.to_string()),
    ];
    let site = example("caddy/Caddyfile", &[edits, &own].concat());
    let file = setup.write("Caddyfile", &format!("{{\n\tadmin off\n\t{options}\n}}\n{site}"));
    setup.start(program, &["run", "--adapter", "caddyfile", "--config", &file]).await
}

const SITE: &str = "\nwiki.example.com {";
const DEBIAN: &str = "/usr/bin/caddy";
