//! The real binary, started with a configuration and ended with the test.
//! Invariant: it listens on a port that the system chose, and its log is read to the end.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

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
    /// Holds the configuration.
    _folder: TempDir,
}

impl Gateway {
    /// Starts with `routes` (and whatever else) behind a server section, and without admin listener.
    pub(crate) fn start(rest: &str) -> Self {
        Self::start_with(&format!(
            "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\" }}\n\
             admin: {{ listen: \"off\" }}\n{rest}"
        ))
    }

    /// Starts with a whole configuration; its first listener must be `127.0.0.1:0`.
    pub(crate) fn start_with(yaml: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("portcullis.yaml");
        std::fs::write(&path, yaml).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["run", "--config"])
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Log::default();
        let listening = follow(child.stderr.take().unwrap(), Arc::clone(&log));
        let Ok(address) = listening.recv_timeout(DEADLINE) else {
            drop(child.kill());
            panic!("the gateway did not start:\n{}\n{yaml}", log.0.lock().unwrap().join("\n"));
        };
        Self { address, child, log, _folder: folder }
    }

    /// What it has logged, a line each, once a line has `text` in it: lines are written in batches.
    pub(crate) fn log_until(&self, text: &str) -> Vec<String> {
        let (lines, changed) = &*self.log;
        let missing = |lines: &mut Vec<String>| !lines.iter().any(|line| line.contains(text));
        let waited = changed.wait_timeout_while(lines.lock().unwrap(), DEADLINE, missing).unwrap();
        assert!(!waited.1.timed_out(), "{text:?} is not in the log:\n{}", waited.0.join("\n"));
        waited.0.clone()
    }

    /// Tells it to end as an operator would, and waits for that.
    pub(crate) fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Where the admin listener is, as an address to open.
    pub(crate) fn admin(&self, path: &str) -> String {
        let log = self.log_until("admin listening");
        let address = log.iter().find_map(|line| address_in(line, "admin listening"));
        format!("http://{}{path}", address.unwrap())
    }

    /// The most memory that it has held so far, in bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
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
