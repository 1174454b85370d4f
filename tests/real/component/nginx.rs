//! nginx with `deploy/nginx/portcullis.conf`, or with `stream.conf`.

use std::net::SocketAddr;
use std::path::Path;

use super::{Server, Setup, Site};

/// Starts with the example as it is published.
pub(crate) async fn start(site: &Site) -> Server {
    serving(&example(site, &[])).await
}

/// Starts with one `server`, whose [`LISTEN`] is replaced by a free address.
pub(crate) async fn serving(site: &str) -> Server {
    let setup = Setup::new();
    assert!(site.contains(LISTEN), "{LISTEN:?} is not in {site}");
    let site = site.replace(LISTEN, &format!("listen {};", setup.address));
    let site = setup.write("site.conf", &site);
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
pub(crate) fn example(site: &Site, replacements: &[(&str, &str)]) -> String {
    let own = [
        ("server 127.0.0.1:4180;", &*format!("server {};", site.gateway)),
        ("server 127.0.0.1:4182;", &format!("server {};", site.auth)),
        ("server_name wiki.example.com;", "server_name wiki.localhost;"),
        ("http://wiki:8080", &format!("http://{}", site.application)),
        ("    ssl_certificate /etc/nginx/wiki.example.com.pem;\n", ""),
        ("    ssl_certificate_key /etc/nginx/wiki.example.com.key;\n", ""),
    ];
    super::example("nginx/portcullis.conf", &[replacements, &own].concat())
}

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
