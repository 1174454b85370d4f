//! `session.snapshot` on a disk that gets full and on one that becomes read-only, in a mount namespace of the gateway.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::gateway::Gateway;
use crate::support::snapshot_folder::{SnapshotFolder, is_signed_in};
use crate::support::wait::Patience;

/// The disk of a running gateway.
struct Disk {
    /// The folder, which exists as long as it is open.
    root: File,
    process: u32,
    /// Where the gateway sees it.
    path: PathBuf,
}

/// How a disk fails.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Full,
    ReadOnly,
}

impl Disk {
    /// The command that starts a gateway with a small disk in place of this folder, with the same files.
    fn command(folder: &SnapshotFolder, mount: &Path) -> Command {
        const SCRIPT: &str = r#"
            mount -t tmpfs -o size=1m tmpfs "$2"
            cp -p "$1"/* "$2"
            mount --bind "$2" "$1"
            shift 2
            exec "$@"
        "#;
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-euc", SCRIPT, "sh"]);
        command.arg(folder.path()).arg(mount).arg(Gateway::command().get_program());
        command
    }

    /// The command that starts a gateway with what is on the disk, but without the disk.
    fn command_after(&self, folder: &SnapshotFolder) -> Command {
        let script = r#"cp -p "$1"/sessions* "$2"; shift 2; exec "$@""#;
        let mut command = Command::new("sh");
        command.args(["-euc", script, "sh"]);
        command.arg(format!("/proc/{}/fd/{}", std::process::id(), self.root.as_raw_fd()));
        command.arg(folder.path()).arg(Gateway::command().get_program());
        command
    }

    fn of(gateway: &Gateway, folder: &SnapshotFolder) -> Self {
        let (process, path) = (gateway.process(), folder.path().to_owned());
        let root = format!("/proc/{process}/root{}", path.display());
        Self { root: File::open(root).unwrap(), process, path }
    }

    fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.root.as_raw_fd()))
    }

    fn fail(&self, failure: Failure) {
        match failure {
            Failure::Full => {
                let mut ballast = File::create(self.file("ballast")).unwrap();
                for block in [4096, 1] {
                    let full = (0..).find_map(|_| ballast.write_all(&vec![0; block]).err());
                    assert_eq!(full.unwrap().kind(), ErrorKind::StorageFull);
                }
            }
            // A second mount over the first: files that are open stay writable.
            Failure::ReadOnly => {
                self.run(r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0""#);
            }
        }
    }

    fn recover(&self, failure: Failure) {
        match failure {
            Failure::Full => fs::remove_file(self.file("ballast")).unwrap(),
            Failure::ReadOnly => self.run(r#"umount "$0""#),
        }
    }

    /// Runs a script in the namespaces of the gateway.
    fn run(&self, script: &str) {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--mount", "--preserve-credentials", "--target"]);
        command.arg(self.process.to_string()).args(["sh", "-euc", script]).arg(&self.path);
        assert!(command.status().unwrap().success());
    }
}

/// The gateway goes on while the disk fails, and stores all sessions when it works again.
async fn check(failure: Failure) {
    let (folder, mount) = (SnapshotFolder::new(), tempfile::tempdir().unwrap());
    let stack = folder.builder("").start().await;
    let mut alice = stack.browser_of("alice").await;
    let command = Disk::command(&folder, mount.path());
    let (stack, _) = stack.restarted_by("TERM", command);
    let disk = Disk::of(&stack.gateway, &folder);
    let before = fs::read(disk.file("sessions")).unwrap();
    disk.fail(failure);
    let mut bob = stack.browser_of("bob").await;
    let patience = Patience::longer(INTERVAL, format!("a snapshot fails: {failure:?}"));
    let mut operator = stack.browser();
    loop {
        for browser in [&mut alice, &mut bob] {
            assert!(is_signed_in(browser, &stack.gateway).await);
            assert_eq!(browser.fetch("/").await.status, 200);
        }
        let metrics = operator.fetch(&stack.gateway.admin("/metrics")).await.body;
        if metrics.contains("session_snapshots_total{outcome=\"failure\"} 1") {
            break;
        }
        patience.pause().await;
    }
    let ready = operator.fetch(&stack.gateway.admin("/readyz")).await;
    assert_eq!(
        (ready.status.as_u16(), &*ready.body),
        (200, "ready\nsession.snapshot cannot be written\n")
    );
    let error = match failure {
        Failure::Full => "No space left on device",
        Failure::ReadOnly => "Read-only file system",
    };
    stack.gateway.log_until_all(&["session.snapshot was not written", error]);
    assert_eq!(fs::read(disk.file("sessions")).unwrap(), before);
    assert!(!fs::exists(disk.file("sessions.tmp")).unwrap());
    disk.recover(failure);
    // It is not taken for lost: the last snapshot of the process succeeds.
    let (stack, ended) = stack.restarted_by("TERM", disk.command_after(&folder));
    assert_eq!(ended.code(), Some(0));
    for browser in [&mut alice, &mut bob] {
        assert!(is_signed_in(browser, &stack.gateway).await, "{failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn disk_that_is_full_or_read_only_for_a_while_stops_nothing_and_loses_no_session() {
    // At the same time, because each waits for an interval of a minute.
    tokio::join!(check(Failure::Full), check(Failure::ReadOnly));
}

/// The time between two snapshots.
const INTERVAL: Duration = Duration::from_secs(60);
