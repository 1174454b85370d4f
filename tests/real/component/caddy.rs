//! Caddy with `deploy/caddy/Caddyfile`: Debian's, which is old, and a current one.

use std::path::Path;

use super::{Server, Setup, Site, VISITOR, example, installed};

/// Debian's 2.6, which sends a header that the answer lacks as the text of a placeholder.
pub(crate) async fn debian(site: &Site) -> Server {
    start(Path::new("/usr/bin/caddy"), "", site).await
}

/// A current one.
pub(crate) async fn current(site: &Site) -> Server {
    start(&installed("bin/caddy"), "", site).await
}

/// A current one that takes its visitors for a load balancer.
pub(crate) async fn behind_a_balancer(site: &Site) -> Server {
    let trusts = format!("servers {{\n\t\ttrusted_proxies static {VISITOR}/32\n\t}}");
    start(&installed("bin/caddy"), &trusts, site).await
}

async fn start(program: &Path, options: &str, site: &Site) -> Server {
    let setup = Setup::new();
    let (ip, port) = (setup.address.ip(), setup.address.port());
    let site = example(
        "caddy/Caddyfile",
        &[
            ("\nwiki.example.com {", &format!("\nhttp://wiki.localhost:{port} {{\n\tbind {ip}")),
            ("127.0.0.1:4180", &site.gateway.to_string()),
            ("127.0.0.1:4182", &site.auth.to_string()),
            ("wiki:8080", &site.application.to_string()),
        ],
    );
    let file = setup.write("Caddyfile", &format!("{{\n\tadmin off\n\t{options}\n}}\n{site}"));
    setup.start(program, &["run", "--adapter", "caddyfile", "--config", &file]).await
}
