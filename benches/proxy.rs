//! Cost of a request compared with nginx: processor time of the process per request, measured in turns for
//! nginx as a plain proxy and for the gateway, in one run. `cargo bench --bench proxy` needs Linux and nginx,
//! which is also the application behind both. Compare the ratios: absolute numbers depend on the machine and
//! its load. An auth subrequest is compared with a page of 1 KiB.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot measure ends"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "it writes configuration files and reads counters of the kernel"
)]

#[path = "../tests/it/support/mod.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod support;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::gateway::{Gateway, PUBLIC_URL};
use support::provider;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let provider = provider::start(Duration::from_secs(3600)).await;
    let nginx = Nginx::start().await;
    let to = format!("upstream: \"http://{}\"", nginx.application);
    let gateway = Gateway::start_with(&format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\", workers: 1,\n  \
         forward_auth: {{ clients: [{{ from: [\"127.0.0.1/32\"], proxy: nginx }}] }} }}\n\
         {}routes:\n  - {{ {to}, allow: authenticated }}\n  \
         - {{ path: /open, {to}, allow: public }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\n",
        provider::section(&provider)
    ));
    let cookie = provider::cookie_of(&gateway, "company", "alice").await;
    let (plain, process) = (nginx.proxy_process(), gateway.process());
    // `cargo bench --bench proxy -- chunked auth` measures only these.
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let chosen =
        |case: &Case| arguments.is_empty() || arguments.iter().any(|word| word == case.word);
    for Case { name, page, path, fields, status, .. } in cases(&cookie).into_iter().filter(chosen) {
        let base = Side {
            address: nginx.proxy,
            process: plain,
            path: page,
            fields: String::new(),
            status: 200,
        };
        let side = Side { address: gateway.address, process, path, fields, status };
        let mut ratios = Vec::new();
        for round in 0..ROUNDS {
            // In turns, with a changing order, because the speed of the machine changes over time.
            let (nginx, gateway) = if round % 2 == 0 {
                let first = base.measure().await;
                (first, side.measure().await)
            } else {
                let first = side.measure().await;
                (base.measure().await, first)
            };
            println!("{name}: nginx {nginx:.1} us, gateway {gateway:.1} us a request");
            ratios.push(gateway / nginx);
        }
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (ratios[0], ratios[ROUNDS - 1]);
        println!("{name}: {:.2} x nginx ({least:.2} to {most:.2})\n", ratios[ROUNDS / 2]);
    }
}

/// A request to the gateway, and the page that nginx alone serves in comparison.
struct Case {
    /// The argument that chooses it.
    word: &'static str,
    name: String,
    page: String,
    path: String,
    /// Header fields, each with its line end.
    fields: String,
    status: u16,
}

/// All cases. `cookie` is the field of a user.
fn cases(cookie: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for (size, name) in [("1k", "1 KiB"), ("100k", "100 KiB"), ("chunked", "1 KiB in chunks")] {
        for (visitor, path, cookie) in
            [("public", format!("/open/{size}"), ""), ("signed in", format!("/{size}"), cookie)]
        {
            let (name, page) = (format!("{name}, {visitor}"), path.clone());
            cases.push(Case {
                word: size,
                name,
                page,
                path,
                fields: cookie.to_owned(),
                status: 200,
            });
        }
    }
    for (visitor, uri, cookie, status) in [
        ("public", "/open/1k", "", 202),
        ("signed in", "/1k", cookie, 202),
        ("not signed in", "/1k", "", 401),
    ] {
        cases.push(Case {
            word: "auth",
            name: format!("auth subrequest, {visitor}"),
            page: "/1k".to_owned(),
            path: "/oauth2/auth".to_owned(),
            fields: format!(
                "{cookie}X-Original-URI: {uri}\r\nX-Original-Method: GET\r\n\
                 X-Forwarded-For: 127.0.0.9\r\n"
            ),
            status,
        });
    }
    cases
}

/// One of the two compared proxies.
struct Side {
    address: SocketAddr,
    process: u32,
    path: String,
    fields: String,
    status: u16,
}

impl Side {
    /// Microseconds of processor time a request, over a while of load by some kept connections.
    async fn measure(&self) -> f64 {
        self.load(WARM).await;
        let before = processor_time(self.process);
        let requests = self.load(WHILE).await;
        (processor_time(self.process) - before).as_secs_f64() * 1e6 / requests as f64
    }

    /// Sends requests as fast as they are answered. Returns their number.
    async fn load(&self, how_long: Duration) -> usize {
        let end = Instant::now() + how_long;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: wiki.localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n{}\r\n",
            self.path, self.fields
        );
        let mut clients = JoinSet::new();
        for _ in 0..CONNECTIONS {
            clients.spawn(requests_until(self.address, request.clone(), self.status, end));
        }
        clients.join_all().await.into_iter().sum()
    }
}

async fn requests_until(address: SocketAddr, request: String, status: u16, end: Instant) -> usize {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut buffer, mut requests) = (vec![0; 256 * 1024], 0);
    while Instant::now() < end {
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut read, mut end) = (0, None);
        while !end.as_ref().is_some_and(|end: &End| end.is_reached(&buffer[..read])) {
            let more = stream.read(&mut buffer[read..]).await.unwrap();
            assert!(more > 0, "closed after {requests} responses");
            read += more;
            end = end.or_else(|| End::of(&buffer[..read], status));
        }
        requests += 1;
    }
    requests
}

/// The end of a response.
enum End {
    /// After this many bytes.
    At(usize),
    /// With the last chunk.
    LastChunk,
}

impl End {
    /// The end of a response with this status that starts with these bytes, once its head is complete.
    fn of(response: &[u8], status: u16) -> Option<Self> {
        let text = String::from_utf8_lossy(response);
        let (head, _) = text.split_once("\r\n\r\n")?;
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        let field = |name| head.lines().find_map(|line| line.strip_prefix(name));
        if let Some(length) = field("content-length: ") {
            let body: usize = length.trim().parse().unwrap();
            return Some(Self::At(head.len() + 4 + body));
        }
        assert_eq!(field("transfer-encoding: "), Some("chunked"), "{head}");
        Some(Self::LastChunk)
    }

    fn is_reached(&self, response: &[u8]) -> bool {
        match self {
            Self::At(length) => response.len() >= *length,
            Self::LastChunk => response.ends_with(b"\r\n0\r\n\r\n"),
        }
    }
}

/// User and system time of a process (proc(5)).
fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = [11, 12].iter().map(|at| fields[*at].parse::<u64>().unwrap()).sum();
    // USER_HZ is always 100 on Linux.
    Duration::from_millis(ticks * 10)
}

/// Two nginx processes: an application, and a plain proxy in front of it.
struct Nginx {
    children: [Child; 2],
    application: SocketAddr,
    proxy: SocketAddr,
    /// Has their files.
    _folder: TempDir,
}

impl Nginx {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let (application, proxy) = (free(), free());
        for (name, size) in [("1k", 1024), ("100k", 100 * 1024), ("chunked", 1024)] {
            for place in [folder.path().to_owned(), folder.path().join("open")] {
                std::fs::create_dir_all(&place).unwrap();
                std::fs::write(place.join(name), "x".repeat(size)).unwrap();
            }
        }
        let site = format!(
            // With server-side includes nginx does not know the length in advance.
            "open_file_cache max=10; server {{ listen {application}; root {};\n\
             location ~ chunked {{ ssi on; ssi_types *; }} }}",
            folder.path().display()
        );
        let before = format!(
            "upstream app {{ server {application}; keepalive 256; keepalive_requests 1000000000; }}\n\
             server {{ listen {proxy}; proxy_buffers 16 16k; proxy_http_version 1.1;\n\
             location / {{ proxy_pass http://app; proxy_set_header Connection \"\"; }} }}"
        );
        let children = [("application", site), ("proxy", before)]
            .map(|(name, site)| spawn(&folder, name, &site));
        for address in [application, proxy] {
            while TcpStream::connect(address).await.is_err() {
                tokio::task::yield_now().await;
            }
        }
        Self { children, application, proxy, _folder: folder }
    }

    fn proxy_process(&self) -> u32 {
        self.children[1].id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Both fail only if the process has ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn spawn(folder: &TempDir, name: &str, site: &str) -> Child {
    let here = folder.path().join(format!("{name}.d"));
    std::fs::create_dir(&here).unwrap();
    let path = here.join("nginx.conf");
    let mut file = std::fs::File::create(&path).unwrap();
    write!(
        file,
        "daemon off; master_process off; pid pid; error_log stderr crit;\n\
         events {{ worker_connections 4096; }}\nhttp {{ access_log off; keepalive_requests 1000000000;\n\
         client_body_temp_path a; proxy_temp_path b; fastcgi_temp_path c; uwsgi_temp_path d;\n\
         scgi_temp_path e; {site} }}\n"
    )
    .unwrap();
    Command::new("nginx")
        .args(["-e", "stderr", "-p"])
        .arg(&here)
        .arg("-c")
        .arg(&path)
        .stdin(Stdio::null())
        .spawn()
        .expect("nginx must be installed")
}

/// A free address. nginx cannot report the port that the system assigned.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 5;
const WARM: Duration = Duration::from_millis(500);
const WHILE: Duration = Duration::from_secs(3);
