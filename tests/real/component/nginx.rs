//! nginx, on a unix socket in a folder of its own.
//! Invariant: it runs the published example, with nothing changed but names, addresses and files.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::browser::{Browser, Door};

/// An nginx that serves.
pub(crate) struct Nginx {
    child: Child,
    /// Holds its files and its socket.
    folder: TempDir,
}

impl Nginx {
    /// Starts with `deploy/nginx/portcullis.conf` after these replacements, each of which must apply.
    /// `listen 443 ssl;` and the certificates give way to the socket.
    pub(crate) fn start(replacements: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let here = folder.path().display().to_string();
        let socket = format!("listen unix:{here}/socket;");
        let mut site = example();
        let own = [
            ("listen 443 ssl;", socket.as_str()),
            ("ssl_certificate /etc/nginx/wiki.example.com.pem;", ""),
            ("ssl_certificate_key /etc/nginx/wiki.example.com.key;", ""),
        ];
        for (from, to) in own.iter().chain(replacements) {
            assert!(site.contains(from), "{from:?} is not in the example");
            site = site.replace(from, to);
        }
        fs::write(folder.path().join("site.conf"), site).unwrap();
        fs::write(folder.path().join("nginx.conf"), MAIN.replace("FOLDER", &here)).unwrap();
        let mut child = Command::new("nginx")
            .args(["-p", &here, "-e", "stderr", "-c", &format!("{here}/nginx.conf")])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot start nginx, which tests/run installs: {error}")
            });
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        // It names its system once its sockets are open.
        while !seen.contains("OS: ") {
            assert!(log.read_line(&mut seen).unwrap() > 0, "nginx did not start:\n{seen}");
        }
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::stderr()).ok());
        Self { child, folder }
    }

    /// A browser that reaches everything through it.
    pub(crate) fn browser(&self) -> Browser {
        Browser::before(Door::Unix(self.socket()))
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Both fail only where the process has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn example() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(root.join("deploy/nginx/portcullis.conf")).unwrap()
}

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
    include FOLDER/site.conf;
}
";
