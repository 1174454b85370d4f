//! Log lines that cannot be written: they are counted, audit lines are kept longest, and no request waits.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::support::wait;

/// A gateway whose log is not read. It listens on unix sockets, because port numbers would only be in the log.
struct Unread {
    child: Child,
    folder: TempDir,
}

impl Unread {
    async fn start(mut command: Command, stderr: Stdio) -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let yaml = format!(
            "server: {{ listen: \"unix:{}\", public_url: \"http://wiki.localhost\" }}\n\
             admin: {{ listen: \"unix:{}\" }}\n\
             routes:\n  - path: /closed\n    upstream: http://127.0.0.1:1\n    \
             allow: [{{ public: true, client_addresses: [192.0.2.0/24] }}]\n",
            path("public"),
            path("admin"),
        );
        std::fs::write(path("portcullis.yaml"), yaml).unwrap();
        command.args(["run", "--config", &path("portcullis.yaml")]).stdin(Stdio::null());
        let child = command.stderr(stderr).spawn().unwrap();
        let unread = Self { child, folder };
        wait::until("it serves", async || UnixStream::connect(unread.at("public")).await.is_ok())
            .await;
        unread
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Requests a path this many times over one connection; returns all answers.
    async fn ask(&self, listener: &str, path: &str, times: usize) -> String {
        let (mut reading, mut writing) =
            UnixStream::connect(self.at(listener)).await.unwrap().into_split();
        let asking = async {
            for time in 1..=times {
                let end = if time == times { "Connection: close\r\n" } else { "" };
                let head = format!("GET {path} HTTP/1.1\r\nHost: wiki.localhost\r\n{end}\r\n");
                writing.write_all(head.as_bytes()).await.unwrap();
            }
        };
        let mut answers = String::new();
        let (_, read) = tokio::join!(asking, reading.read_to_string(&mut answers));
        read.unwrap();
        answers
    }

    /// Lines of a kind that were lost.
    async fn lost(&self, kind: &str) -> f64 {
        let text = self.ask("admin", "/metrics", 1).await;
        let series = format!("portcullis_log_lines_lost_total{{kind=\"{kind}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
    }

    async fn until_lost(&self, kind: &str) {
        wait::until(kind, async || self.lost(kind).await >= 1.0).await;
    }

    /// Sends one request that is denied, which makes an audit line.
    async fn be_denied(&self) {
        let answer = self.ask("public", "/closed", 1).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn gateway() -> Command {
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_standard_error_counts_lines_of_every_kind() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 2>&-", env!("CARGO_BIN_EXE_portcullis")]);
    let unread = Unread::start(shell, Stdio::null()).await;
    unread.be_denied().await;
    for kind in ["access", "log", "audit"] {
        unread.until_lost(kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipe_whose_reader_left_counts_lines_of_every_kind() {
    let mut unread = Unread::start(gateway(), Stdio::piped()).await;
    drop(unread.child.stderr.take());
    unread.be_denied().await;
    for kind in ["access", "audit"] {
        unread.until_lost(kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_counts_access_lines_and_keeps_audit_lines() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let unread = Unread::start(gateway(), full.into()).await;
    unread.be_denied().await;
    for kind in ["access", "log"] {
        unread.until_lost(kind).await;
    }
    assert_eq!(unread.lost("audit").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_pipe_counts_access_lines_keeps_audit_lines_and_delays_no_request() {
    let unread = Unread::start(gateway(), Stdio::piped()).await;
    let path = format!("/{}", "x".repeat(300));
    unread.be_denied().await;
    while unread.lost("access").await < 1.0 {
        let answers = unread.ask("public", &path, 2000).await;
        assert_eq!(answers.matches("HTTP/1.1 404 ").count(), 2000);
        unread.be_denied().await;
    }
    assert_eq!(unread.lost("audit").await, 0.0);
}
