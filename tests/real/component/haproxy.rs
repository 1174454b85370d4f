//! HAProxy with `deploy/haproxy/haproxy.cfg` and its script, or with `tcp.cfg`.

use std::net::SocketAddr;
use std::path::Path;

use super::{Server, Setup, Site, example};

pub(crate) async fn start(site: &Site) -> Server {
    let setup = Setup::new();
    let script = setup.write("portcullis.lua", &example("haproxy/portcullis.lua", &[]));
    let file = example(
        "haproxy/haproxy.cfg",
        &[
            ("/etc/haproxy/portcullis.lua", &script),
            (":443 ssl crt /etc/haproxy/wiki.example.com.pem", &setup.address.to_string()),
            ("127.0.0.1:4180", &site.gateway.to_string()),
            ("127.0.0.1:4182", &site.auth.to_string()),
            ("wiki:8080", &site.application.to_string()),
        ],
    );
    let file = setup.write("haproxy.cfg", &file);
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
