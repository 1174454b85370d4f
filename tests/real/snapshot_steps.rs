//! `session.snapshot` where the gateway is killed before each step on its files, or where that step fails. strace does
//! both to the real process, and finds the steps: a new one is tested by itself. As another user than root it needs
//! `kernel.yama.ptrace_scope=0`, which Debian has.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use tempfile::NamedTempFile;

use crate::support::browser::Browser;
use crate::support::faults::Account;
use crate::support::gateway::Gateway;
use crate::support::snapshot_folder::{SnapshotFolder, is_signed_in, sign_out};
use crate::support::stack::Stack;
use crate::support::wire::{Wire, request};

/// A system call on a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    call: String,
    path: String,
    /// Which of these calls on this file.
    number: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// SIGKILL before the step.
    Killed,
    /// The step has no effect but an error.
    Fails,
}

impl Step {
    /// The argument of strace.
    fn with(&self, fate: Fate) -> String {
        let fate = match (fate, &*self.call) {
            (Fate::Killed, _) => "signal=KILL",
            (Fate::Fails, "openat" | "write" | "pwrite64") => "error=ENOSPC",
            (Fate::Fails, _) => "error=EIO",
        };
        format!("inject={}:{fate}:when={}", self.call, self.number)
    }

    fn is_on(&self, suffix: &str) -> bool {
        self.path.ends_with(suffix)
    }
}

/// strace at a gateway.
struct Tracer {
    child: Child,
    trace: NamedTempFile,
    /// strace would end if it had no reader.
    _stderr: BufReader<ChildStderr>,
}

impl Tracer {
    fn attach(gateway: &Gateway, paths: &[&str], arguments: &[&str]) -> Self {
        let (trace, process) = (NamedTempFile::new().unwrap(), gateway.process().to_string());
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-p", &process, "-o"]).arg(trace.path());
        command.args(paths.iter().flat_map(|path| ["-P", *path])).args(arguments);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap_or_else(|error| {
            panic!("cannot start strace, which tests/run installs: {error}")
        });
        let (mut stderr, mut line) = (BufReader::new(child.stderr.take().unwrap()), String::new());
        while !line.contains(" attached") {
            line.clear();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "strace cannot attach");
        }
        Self { child, trace, _stderr: stderr }
    }

    /// What it has seen until the end of the process.
    fn lines(mut self) -> Vec<String> {
        self.child.wait().unwrap();
        fs::read_to_string(self.trace.path()).unwrap().lines().map(str::to_owned).collect()
    }
}

/// What is on the disk after a crash: three sessions, one of which has ended since.
struct Seed {
    folder: SnapshotFolder,
    files: Vec<(String, Vec<u8>)>,
    alice: Browser,
    bob: Browser,
    ended: Browser,
}

impl Seed {
    async fn sow() -> (Self, Stack) {
        // Together so large that a snapshot takes two writes, with Alice and without her.
        let groups: Vec<_> = (0..1500).map(|number| format!("group-{number:040}")).collect();
        let groups: Vec<_> = groups.iter().map(|group| &**group).collect();
        let accounts = [("alice", &[][..]), ("bob", &*groups), ("carol", &*groups)];
        let accounts = accounts.map(|(name, groups)| Account::new(name, name, groups));
        let folder = SnapshotFolder::new();
        let builder = folder.builder(", max_bytes: 1MiB").accounts(accounts.to_vec());
        let stack = builder.start().await;
        let ended = stack.browser_of("alice").await;
        let [alice, bob] = [stack.browser_of("alice").await, stack.browser_of("bob").await];
        let (stack, _) = stack.restarted("TERM");
        let mut leaving = ended.clone();
        assert!(is_signed_in(&mut leaving, &stack.gateway).await);
        sign_out(&mut leaving).await;
        let (stack, _) = stack.restarted("KILL");
        let read = |name: String| {
            let content = fs::read(folder.path().join(&name)).unwrap();
            (name, content)
        };
        let files = names(folder.path()).into_iter().map(read).collect();
        (Self { folder, files, alice, bob, ended }, stack)
    }

    /// The gateway again, with these files, and Carol's session, which they do not have.
    async fn start(&self, stack: Stack) -> (Stack, Browser) {
        for name in names(self.folder.path()) {
            fs::remove_file(self.folder.path().join(name)).unwrap();
        }
        for (name, content) in &self.files {
            fs::write(self.folder.path().join(name), content).unwrap();
        }
        let (stack, _) = stack.restarted("KILL");
        let carol = stack.browser_of("carol").await;
        (stack, carol)
    }

    fn path(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.folder.snapshot().display())
    }

    /// The steps of the last snapshot of a process.
    async fn steps(&self, stack: Stack) -> (Vec<Step>, Stack) {
        let (stack, _) = self.start(stack).await;
        let folder = self.folder.path().display().to_string();
        let paths = [&*self.path(".tmp"), &self.path(".ended"), &self.path(""), &folder];
        let tracer = Tracer::attach(&stack.gateway, &paths, &[]);
        let (stack, ended) = stack.restarted("TERM");
        assert_eq!(ended.code(), Some(0));
        let mut steps: Vec<Step> = Vec::new();
        for line in tracer.lines() {
            let Some((before, rest)) = line.split_once('(') else { continue };
            let call = before.rsplit(' ').next().unwrap();
            let is_call = call.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !is_call || ["close", "fcntl", "pread64", "statx"].contains(&call) {
                continue;
            }
            let (call, path) =
                (call.to_owned(), *paths.iter().find(|it| rest.contains(**it)).unwrap());
            let before = steps.iter().filter(|step| step.call == call && step.path == path);
            let number = before.count() + 1;
            steps.push(Step { call, path: path.to_owned(), number });
        }
        (steps, stack)
    }

    /// Whether Alice, Bob and Carol are signed in, and that the files are whole.
    async fn left(&self, gateway: &Gateway, carol: &Browser) -> [bool; 3] {
        gateway.log_until("loaded session.snapshot");
        assert_eq!(names(self.folder.path()), ["sessions", "sessions.ended", "sessions.lock"]);
        assert!(!is_signed_in(&mut self.ended.clone(), gateway).await);
        let mut browsers = [&self.alice, &self.bob, carol].map(Browser::clone);
        let mut left = [false; 3];
        for (browser, is_left) in browsers.iter_mut().zip(&mut left) {
            *is_left = is_signed_in(browser, gateway).await;
        }
        left
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[track_caller]
fn check_fate(fate: Fate, ended: ExitStatus, tracer: Tracer, step: &Step) {
    let lines = tracer.lines();
    match fate {
        Fate::Killed => assert_eq!(ended.signal(), Some(9), "{step:?}"),
        Fate::Fails => {
            assert_eq!(ended.code(), Some(0), "{step:?}");
            assert!(lines.iter().any(|line| line.contains("(INJECTED)")), "{step:?}: {lines:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_whose_step_fails_or_is_the_last_leaves_the_old_or_the_new_sessions() {
    let (seed, stack) = Seed::sow().await;
    let (steps, mut stack) = seed.steps(stack).await;
    let calls: Vec<_> = steps.iter().map(|step| &*step.call).collect();
    for call in ["openat", "write", "fsync", "fdatasync", "pwrite64"] {
        assert!(calls.contains(&call), "{calls:?}");
    }
    assert!(steps.iter().any(|step| step.call == "write" && step.number > 1), "{calls:?}");
    let renaming = calls.iter().position(|call| call.starts_with("rename")).unwrap();
    for (place, step) in steps.iter().enumerate() {
        for fate in [Fate::Killed, Fate::Fails] {
            let carol;
            (stack, carol) = seed.start(stack).await;
            // Her end would be taken for a step on this file.
            let stays = step.is_on(".ended");
            if !stays {
                let mut alice = seed.alice.clone();
                alice.moved_to(&stack.gateway);
                sign_out(&mut alice).await;
            }
            let tracer = Tracer::attach(&stack.gateway, &[&step.path], &["-e", &step.with(fate)]);
            let ended;
            (stack, ended) = stack.restarted("TERM");
            check_fate(fate, ended, tracer, step);
            let left = seed.left(&stack.gateway, &carol).await;
            assert_eq!(left, [stays, true, place > renaming], "{fate:?} at {step:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_out_whose_step_fails_or_is_the_last_is_no_half_one() {
    let (seed, mut stack) = Seed::sow().await;
    for (call, fate, expected) in [
        // Nothing was written, and nothing answered.
        ("pwrite64", Fate::Killed, [true, true, false]),
        ("fdatasync", Fate::Killed, [false, true, false]),
        // The process continues, and ends with a new snapshot.
        ("pwrite64", Fate::Fails, [false, true, true]),
        ("fdatasync", Fate::Fails, [false, true, true]),
    ] {
        let carol;
        (stack, carol) = seed.start(stack).await;
        let step = Step { call: call.to_owned(), path: seed.path(".ended"), number: 1 };
        let tracer = Tracer::attach(&stack.gateway, &[&step.path], &["-e", &step.with(fate)]);
        let mut alice = seed.alice.clone();
        alice.moved_to(&stack.gateway);
        let signal = match fate {
            Fate::Killed => {
                // It may not be answered.
                let cookies = alice.cookies().into_iter();
                let pairs: Vec<_> =
                    cookies.map(|(name, value)| format!("{name}={value}")).collect();
                let fields =
                    format!("Cookie: {}\r\nSec-Fetch-Site: same-origin\r\n", pairs.join("; "));
                let mut wire = Wire::to(&stack.gateway).await;
                wire.say(request("POST /oauth2/sign_out", &fields)).await;
                // No signal: strace sends one.
                "0"
            }
            Fate::Fails => {
                sign_out(&mut alice).await;
                "TERM"
            }
        };
        let ended;
        (stack, ended) = stack.restarted(signal);
        check_fate(fate, ended, tracer, &step);
        let left = seed.left(&stack.gateway, &carol).await;
        assert_eq!(left, expected, "{fate:?} at {step:?}");
    }
}
