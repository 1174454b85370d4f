//! Real servers, started by a test and ended with it.
//! Invariant: each server has a separate address, runs the published example with nothing changed but names,
//! addresses and files, and answers before the test goes on.

pub(crate) mod caddy;
pub(crate) mod envoy;
pub(crate) mod haproxy;
pub(crate) mod nginx;
pub(crate) mod traefik;

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use crate::support::browser::{Browser, Door};
use crate::support::wait::Patience;
use crate::support::wire::Wire;

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
    address: SocketAddr,
    child: Child,
    /// Holds its files and its log.
    folder: TempDir,
}

/// A server that is to be started: its folder, and the address that it has to listen at.
pub(crate) struct Setup {
    address: SocketAddr,
    folder: TempDir,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self { address: free_address(), folder: TempDir::new().unwrap() }
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

    /// Starts a program, and waits until it forwards a request to the gateway.
    pub(crate) async fn start<A: AsRef<OsStr>>(self, program: &Path, arguments: &[A]) -> Server {
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(arguments)
            // Where Caddy would keep files.
            .envs(
                ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"].map(|name| (name, self.folder.path())),
            )
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot start {}, which tests/run installs: {error}", program.display())
            });
        let mut server = Server { address: self.address, child, folder: self.folder };
        let patience = Patience::until(format!("{} serves", program.display()));
        while !server.serves().await {
            if let Some(status) = server.child.try_wait().unwrap() {
                panic!("{} ended with {status}:\n{}", program.display(), server.log());
            }
            patience.pause().await;
        }
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

    /// Everything that it has written so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    async fn serves(&self) -> bool {
        let Ok(stream) = Door::connect_from(VISITOR, self.address).await else { return false };
        let mut wire = Wire::of(stream);
        wire.say("GET /oauth2/ping HTTP/1.1\r\nHost: wiki.localhost\r\nConnection: close\r\n\r\n")
            .await;
        wire.rest().await.starts_with("HTTP/1.1 200 ")
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

/// An example of `deploy/` after these replacements, each of which must apply.
pub(crate) fn example(path: &str, replacements: &[(&str, &str)]) -> String {
    let mut text = fs::read_to_string(root().join("deploy").join(path)).unwrap();
    for (from, to) in replacements {
        assert!(text.contains(from), "{from:?} is not in deploy/{path}");
        text = text.replace(from, to);
    }
    text
}

/// A program that `tests/run` takes from PyPI.
fn installed(path: &str) -> PathBuf {
    root().join("target/servers").join(path)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A loopback address that no other server has. Its IP address is made of the number of this process, because a
/// server does not say which port the system chose for it.
fn free_address() -> SocketAddr {
    static NEXT_PORT: AtomicU16 = AtomicU16::new(1024);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, 64 | (high & 63), middle, low);
    SocketAddrV4::new(ip, NEXT_PORT.fetch_add(1, Ordering::Relaxed)).into()
}

/// The address of all visitors. The servers reach the gateway from 127.0.0.1.
pub(crate) const VISITOR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
