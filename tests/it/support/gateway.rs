//! The real binary, started with a configuration and ended with the test.
//! Invariant: it listens on a port that the system chose, and its log is read to the end.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader as AsyncBufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The origin that configurations name; [`super::browser::Browser`] knows where it leads.
pub(crate) const PUBLIC_URL: &str = "http://wiki.localhost";

/// Lines, and a bell that rings for each.
type Log = Arc<(Mutex<Vec<String>>, Condvar)>;

/// A gateway that serves.
pub(crate) struct Gateway {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    child: Child,
    log: Log,
    /// Where its listeners are; closed when its log ends.
    addresses: Mutex<Receiver<SocketAddr>>,
    /// Holds its files.
    folder: TempDir,
}

impl Gateway {
    /// Starts with `routes` and other sections behind a server section, without admin listener.
    pub(crate) fn start(rest: &str) -> Self {
        Self::start_with(&format!(
            "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\" }}\n\
             admin: {{ listen: \"off\" }}\n{rest}"
        ))
    }

    /// Starts with one public route to an application; `keys` are further keys of the route, such as `, request_body: 10`.
    pub(crate) fn in_front_of(upstream: SocketAddr, keys: &str) -> Self {
        let target = format!("upstream: \"http://{upstream}\"");
        Self::start(&format!("routes: [{{ {target}, allow: public{keys} }}]\n"))
    }

    /// Starts with a whole configuration; its first listener must be `127.0.0.1:0`.
    pub(crate) fn start_with(yaml: &str) -> Self {
        Self::start_by(Self::command(), yaml)
    }

    /// The binary, without arguments.
    pub(crate) fn command() -> Command {
        Command::new(env!("CARGO_BIN_EXE_portcullis"))
    }

    /// The same, where the process may open no more files than this.
    pub(crate) fn start_with_few_files(files: usize, yaml: &str) -> Self {
        let mut shell = Command::new("sh");
        let limited = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        shell.args(["-c", &limited, env!("CARGO_BIN_EXE_portcullis")]);
        Self::start_by(shell, yaml)
    }

    /// The same by a command, to which the arguments are added.
    pub(crate) fn start_by(mut command: Command, yaml: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("portcullis.yaml");
        std::fs::write(&path, yaml).unwrap();
        command.args(["run", "--config"]).arg(&path).stdin(Stdio::null());
        Self::start_command(command, folder)
    }

    /// Starts by a whole command; its first listener must be `127.0.0.1:0`, and `folder` is kept as long.
    pub(crate) fn start_command(mut command: Command, folder: TempDir) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = Log::default();
        let addresses = follow(child.stderr.take().unwrap(), Arc::clone(&log));
        let Ok(address) = addresses.recv_timeout(DEADLINE) else {
            drop(child.kill());
            panic!("{command:?} did not start:\n{}", log.0.lock().unwrap().join("\n"));
        };
        Self { address, child, log, addresses: Mutex::new(addresses), folder }
    }

    /// What it has logged, a line each, once a line has `text` in it: lines are written in batches.
    pub(crate) fn log_until(&self, text: &str) -> Vec<String> {
        self.log_until_all(&[text])
    }

    /// The same, once a line has all of `texts` in it.
    pub(crate) fn log_until_all(&self, texts: &[&str]) -> Vec<String> {
        let (lines, changed) = &*self.log;
        let has_all = |line: &String| texts.iter().all(|text| line.contains(text));
        let missing = |lines: &mut Vec<String>| !lines.iter().any(has_all);
        let waited = changed.wait_timeout_while(lines.lock().unwrap(), DEADLINE, missing).unwrap();
        assert!(!waited.1.timed_out(), "{texts:?} is not in the log:\n{}", waited.0.join("\n"));
        waited.0.clone()
    }

    /// Sends the same request again and again over a few connections, without waiting for each answer,
    /// and counts the answers by the status line that they must have.
    pub(crate) async fn pipeline(&self, request: &str, requests: usize, status: &str) {
        const CONNECTIONS: usize = 4;
        let mut running = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (address, times) = (self.address, requests / CONNECTIONS);
            let (request, status) = (request.to_owned(), status.to_owned());
            running.spawn(async move {
                let (reading, mut writing) =
                    TcpStream::connect(address).await.unwrap().into_split();
                let asking = async {
                    for _ in 0..times {
                        writing.write_all(request.as_bytes()).await.unwrap();
                    }
                };
                let mut lines = AsyncBufReader::new(reading).lines();
                let counting = async {
                    let mut answers = 0;
                    while answers < times {
                        let line = lines.next_line().await.unwrap();
                        let line = line.unwrap_or_else(|| panic!("{answers} answers"));
                        answers += usize::from(line == status);
                    }
                };
                tokio::join!(asking, counting);
            });
        }
        running.join_all().await;
    }

    /// The folder with its configuration, `portcullis.yaml`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces its configuration, as an editor does.
    pub(crate) fn rewrite(&self, yaml: &str) {
        let (file, new) = (self.folder().join("portcullis.yaml"), self.folder().join("new"));
        std::fs::write(&new, yaml).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    /// Replaces its configuration, and has it loaded by a signal.
    pub(crate) fn reload(&self, yaml: &str) {
        self.rewrite(yaml);
        self.signal("HUP");
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.process())).unwrap();
        4096 * statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap()
    }

    /// Tells it to end as an operator would, and waits for that.
    pub(crate) fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.process(), name);
    }

    /// Waits for its end, which comes with that of its log.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let end = loop {
            if let Err(end) = self.addresses.get_mut().unwrap().recv_timeout(LONGEST) {
                break end;
            }
        };
        let log = self.log.0.lock().unwrap().join("\n");
        assert_eq!(end, RecvTimeoutError::Disconnected, "it does not end:\n{log}");
        self.child.wait().unwrap()
    }

    /// Where the admin listener is, as an address to open.
    pub(crate) fn admin(&self, path: &str) -> String {
        format!("http://{}{path}", self.address_of("admin listening"))
    }

    /// The address of the listener that the log tells of with these words.
    pub(crate) fn address_of(&self, listening: &str) -> SocketAddr {
        let log = self.log_until(listening);
        log.iter().find_map(|line| address_in(line, listening)).unwrap()
    }

    /// The most memory that it has held so far, in bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Both fail only where the process has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends a process a signal.
pub(crate) fn signal(process: u32, name: &str) {
    let (name, process) = (format!("-{name}"), process.to_string());
    assert!(Command::new("kill").args([name, process]).status().unwrap().success());
}

/// Keeps every line, and tells the address of the one that says "listening".
fn follow(stderr: ChildStderr, log: Log) -> Receiver<SocketAddr> {
    let (found, listening): (Sender<SocketAddr>, _) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(address) = address_in(&line, "listening") {
                found.send(address).ok();
            }
            log.0.lock().unwrap().push(line);
            log.1.notify_all();
        }
    });
    listening
}

fn address_in(line: &str, message: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = if line["fields"].is_object() { &line["fields"] } else { &line };
    if fields["message"] != message {
        return None;
    }
    fields["address"].as_str()?.parse().ok()
}

const DEADLINE: Duration = Duration::from_secs(20);
/// More than all that a gateway may wait for at its end.
const LONGEST: Duration = Duration::from_secs(60);
