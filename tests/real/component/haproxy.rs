//! HAProxy with `deploy/haproxy/haproxy.cfg` and its script.

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
