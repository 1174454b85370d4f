//! nginx with `deploy/nginx/portcullis.conf`, or with `stream.conf`.

use std::net::SocketAddr;
use std::path::Path;

use super::{Edits, Server, Setup, Site, replaced};

/// Starts with the example as it is published, but without TLS.
pub(crate) async fn start(site: &Site) -> Server {
    altered(site, &[]).await
}

/// The same after more replacements.
pub(crate) async fn altered(site: &Site, edits: Edits<'_>) -> Server {
    serving(&example(site, edits)).await
}

/// With TLS, under the name of the example.
pub(crate) async fn published(site: &Site) -> Server {
    let setup = Setup::with_tls();
    let (chain, key) = (setup.path("chain.pem"), setup.path("key.pem"));
    let listen = format!("listen {} ssl;", setup.address);
    let own = [
        (LISTEN, &*listen),
        ("/etc/nginx/wiki.example.com.pem", &chain),
        ("/etc/nginx/wiki.example.com.key", &key),
    ];
    run(setup, &addressed(&super::example(EXAMPLE, &own), site)).await
}

/// Starts with one `server`, whose [`LISTEN`] is replaced by a free address.
pub(crate) async fn serving(site: &str) -> Server {
    let setup = Setup::new();
    assert!(site.contains(LISTEN), "{LISTEN:?} is not in {site}");
    let site = site.replace(LISTEN, &format!("listen {};", setup.address));
    run(setup, &site).await
}

async fn run(setup: Setup, site: &str) -> Server {
    let site = setup.write("site.conf", site);
    let folder = setup.path("");
    let main = MAIN.replace("FOLDER/", &folder).replace("SITE", &site);
    let main = setup.write("nginx.conf", &main);
    setup.start(Path::new("nginx"), &["-p", &folder, "-e", "stderr", "-c", &main]).await
}

/// Forwards connections, and announces clients by the PROXY protocol.
pub(crate) async fn forwarding_tcp(gateway: SocketAddr) -> Server {
    let setup = Setup::new();
    let stream = super::example(
        "nginx/stream.conf",
        &[
            ("listen 443;", &format!("listen {};", setup.address)),
            ("10.0.0.2:443", &gateway.to_string()),
        ],
    );
    let folder = setup.path("");
    let own = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
pid FOLDER/pid;
error_log stderr notice;
events {}
";
    let main = setup.write("nginx.conf", &format!("{}{stream}", own.replace("FOLDER/", &folder)));
    setup.start(Path::new("nginx"), &["-p", &folder, "-e", "stderr", "-c", &main]).await
}

/// The example with the names of this site, after more replacements, each of which must apply.
pub(crate) fn example(site: &Site, edits: Edits<'_>) -> String {
    let own = [
        ("server_name wiki.example.com;", "server_name wiki.localhost;"),
        ("    ssl_certificate /etc/nginx/wiki.example.com.pem;\n", ""),
        ("    ssl_certificate_key /etc/nginx/wiki.example.com.key;\n", ""),
    ];
    addressed(&super::example(EXAMPLE, &[edits, &own].concat()), site)
}

fn addressed(example: &str, site: &Site) -> String {
    let own = [
        ("server 127.0.0.1:4180;", &*format!("server {};", site.gateway)),
        ("server 127.0.0.1:4182;", &format!("server {};", site.auth)),
        ("http://wiki:8080", &format!("http://{}", site.application)),
    ];
    replaced(example, &own)
}

const EXAMPLE: &str = "nginx/portcullis.conf";

/// The line that says where the example listens.
pub(crate) const LISTEN: &str = "listen 443 ssl;";

/// One process in the foreground that writes nowhere else.
const MAIN: &str = "
daemon off;
master_process off;
pid FOLDER/pid;
error_log stderr notice;
events {}
http {
    access_log off;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    include SITE;
}
";
