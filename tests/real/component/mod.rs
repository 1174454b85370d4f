//! Real servers, started by a test and ended with it.
//! Invariant: each server has a separate address, runs the published example with nothing changed but names,
//! addresses and files, and answers before the test goes on.

pub(crate) mod caddy;
pub(crate) mod envoy;
pub(crate) mod envoy_grpc;
pub(crate) mod f5_nginx_ingress;
pub(crate) mod haproxy;
pub(crate) mod link;
pub(crate) mod nginx;
pub(crate) mod redis;
pub(crate) mod tls;
pub(crate) mod traefik;

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;
use tls::{Certificate, Relay};

use crate::support::browser::{Browser, Door};
use crate::support::wait::Patience;
use crate::support::wire::{Wire, status};

/// What a server stands in front of.
pub(crate) struct Site {
    /// Sign-in and sign-out.
    pub(crate) gateway: SocketAddr,
    /// The auth endpoints.
    pub(crate) auth: SocketAddr,
    pub(crate) application: SocketAddr,
}

/// A server that serves.
pub(crate) struct Server {
    /// What the browsers of the tests connect to.
    address: SocketAddr,
    child: Child,
    /// Starts it once more.
    command: Command,
    /// Holds its files and its log.
    folder: TempDir,
    host: &'static str,
    /// Where it listens, and what encrypts for the browsers, if it speaks TLS.
    tls: Option<(SocketAddr, Relay)>,
}

/// A server that is to be started: its folder, and the address that it has to listen at.
pub(crate) struct Setup {
    address: SocketAddr,
    folder: TempDir,
    certificate: Option<Certificate>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self { address: free_address(), folder: TempDir::new().unwrap(), certificate: None }
    }

    /// With the files `chain.pem`, `key.pem` and `both.pem`.
    pub(crate) fn with_tls() -> Self {
        let (setup, certificate) = (Self::new(), Certificate::of(tls::NAME));
        setup.write("chain.pem", &certificate.chain);
        setup.write("key.pem", &certificate.key);
        setup.write("both.pem", &format!("{}{}", certificate.chain, certificate.key));
        Self { certificate: Some(certificate), ..setup }
    }

    /// The path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes a file, and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.folder.path().join(name), text).unwrap();
        self.path(name)
    }

    /// Starts a program, and waits until it answers for the gateway.
    pub(crate) async fn start<A: AsRef<OsStr>>(self, program: &Path, arguments: &[A]) -> Server {
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let mut command = Command::new(program);
        command
            .args(arguments)
            // Where Caddy would keep files.
            .envs(
                ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"].map(|name| (name, self.folder.path())),
            )
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot start {}, which tests/run installs: {error}", program.display())
        });
        let mut server = Server {
            address: self.address,
            child,
            command,
            folder: self.folder,
            host: "wiki.localhost",
            tls: None,
        };
        if let Some(certificate) = self.certificate {
            let relay = Relay::start(self.address, &certificate).await;
            server.address = relay.address;
            server.host = tls::NAME;
            server.tls = Some((self.address, relay));
        }
        server.starts().await;
        server
    }
}

impl Server {
    /// A browser that reaches everything through it.
    pub(crate) fn browser(&self) -> Browser {
        Browser::before(Door::From(VISITOR, self.address))
    }

    /// A visitor's connection.
    pub(crate) async fn wire(&self) -> Wire {
        Wire::of(Door::connect_from(VISITOR, self.address).await.unwrap())
    }

    /// What a command with `curl` prints that names the example's host.
    pub(crate) fn curl(&self, command: &str) -> String {
        let (address, _) = self.tls.as_ref().unwrap();
        let folder = self.folder.path();
        let settings = format!(
            "connect-to = \"{}:443:{address}\"\ncacert = \"{}\"\n",
            tls::NAME,
            folder.join("chain.pem").display()
        );
        fs::write(folder.join(".curlrc"), settings).unwrap();
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", command]).env("CURL_HOME", folder).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Everything that it has written so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Ends it by a signal.
    pub(crate) fn end(&mut self, signal: &str) {
        crate::support::gateway::signal(self.process(), signal);
        self.child.wait().unwrap();
    }

    /// Starts it again after its end, at the same address.
    pub(crate) async fn start_again(&mut self) {
        self.child = self.command.spawn().unwrap();
        self.starts().await;
    }

    /// Waits until it answers for the gateway.
    async fn starts(&mut self) {
        let program = self.command.get_program().display().to_string();
        let patience = Patience::until(format!("{program} serves"));
        while !self.serves().await {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{program} ended with {status}:\n{}", self.log());
            }
            patience.pause().await;
        }
    }

    async fn serves(&self) -> bool {
        let Ok(stream) = Door::connect_from(VISITOR, self.address).await else { return false };
        let mut wire = Wire::of(stream);
        let host = self.host;
        wire.say(format!("GET /oauth2/ping HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
            .await;
        // 401 and 403 where the example is without the lines for this path.
        matches!(status(&wire.rest().await), 200 | 401 | 403)
    }
}

impl Drop for Server {
    #[expect(clippy::print_stdout, reason = "a test that fails shows it")]
    fn drop(&mut self) {
        // Both fail only where the process has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            println!("{}", self.log());
        }
    }
}

/// Replacements in an example.
pub(crate) type Edits<'a> = &'a [(&'a str, &'a str)];

/// An example of `deploy/` after these replacements, each of which must apply.
pub(crate) fn example(path: &str, edits: Edits<'_>) -> String {
    replaced(&fs::read_to_string(root().join("deploy").join(path)).unwrap(), edits)
}

/// A text after replacements, each of which must apply. None of them sees what another one has put in.
pub(crate) fn replaced(text: &str, edits: Edits<'_>) -> String {
    for (from, _) in edits {
        assert!(text.contains(from), "{from:?} is not in:\n{text}");
    }
    let (mut done, mut rest) = (String::new(), text);
    loop {
        let found = edits.iter().filter_map(|(from, to)| Some((rest.split_once(from)?, to)));
        // Of two that begin at the same place, the longer one.
        let Some(((before, after), to)) =
            found.min_by_key(|((before, after), _)| (before.len(), after.len()))
        else {
            return done + rest;
        };
        done.push_str(before);
        done.push_str(to);
        rest = after;
    }
}

/// A program that `tests/run` takes from PyPI.
pub(crate) fn installed(path: &str) -> PathBuf {
    root().join("target/servers").join(path)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A loopback address that no other server has. Its IP address is made of the number of this process, because a
/// server does not say which port the system chose for it.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT_PORT: AtomicU16 = AtomicU16::new(1024);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, 64 | (high & 63), middle, low);
    SocketAddrV4::new(ip, NEXT_PORT.fetch_add(1, Ordering::Relaxed)).into()
}

/// The address of all visitors. The servers reach the gateway from 127.0.0.1.
pub(crate) const VISITOR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
