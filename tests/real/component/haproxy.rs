//! HAProxy with `deploy/haproxy/haproxy.cfg` and its script, or with `tcp.cfg`.

use std::net::SocketAddr;
use std::path::Path;

use super::{Edits, Server, Setup, Site, example};

pub(crate) async fn start(site: &Site) -> Server {
    altered(site, &[]).await
}

/// After more replacements, in the configuration or else in the script.
pub(crate) async fn altered(site: &Site, edits: Edits<'_>) -> Server {
    let setup = Setup::new();
    let bind = setup.address.to_string();
    let is_script = |edit: &(&str, &str)| example(SCRIPT, &[]).contains(edit.0);
    let (script, mut file): (Vec<_>, Vec<_>) = edits.iter().copied().partition(is_script);
    file.push((":443 ssl crt /etc/haproxy/wiki.example.com.pem", &bind));
    run(setup, site, &script, &file).await
}

/// With TLS, under the name of the example.
pub(crate) async fn published(site: &Site) -> Server {
    let setup = Setup::with_tls();
    let (bind, file) = (format!("bind {} ", setup.address), setup.path("both.pem"));
    let own = [("bind :443 ", &*bind), ("/etc/haproxy/wiki.example.com.pem", &file)];
    run(setup, site, &[], &own).await
}

async fn run(setup: Setup, site: &Site, script: Edits<'_>, edits: Edits<'_>) -> Server {
    let script = setup.write("portcullis.lua", &example(SCRIPT, script));
    let own = [
        ("/etc/haproxy/portcullis.lua", &*script),
        ("127.0.0.1:4180", &site.gateway.to_string()),
        ("127.0.0.1:4182", &site.auth.to_string()),
        ("wiki:8080", &site.application.to_string()),
    ];
    let file = setup.write("haproxy.cfg", &example("haproxy/haproxy.cfg", &[edits, &own].concat()));
    // In the foreground, as one process.
    setup.start(Path::new("haproxy"), &["-db", "-f", &file]).await
}

/// Forwards connections, and announces clients by this version of the PROXY protocol.
pub(crate) async fn forwarding_tcp(gateway: SocketAddr, version: &str) -> Server {
    let setup = Setup::new();
    let file = example(
        "haproxy/tcp.cfg",
        &[
            ("bind :443", &format!("bind {}", setup.address)),
            ("10.0.0.2:443", &gateway.to_string()),
            ("send-proxy-v2", version),
        ],
    );
    let file = setup.write("tcp.cfg", &file);
    setup.start(Path::new("haproxy"), &["-db", "-f", &file]).await
}

const SCRIPT: &str = "haproxy/portcullis.lua";
