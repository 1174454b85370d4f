//! The root file system of the image in a container, which is made of namespaces.
//! Invariant: the container has the user, the words and the health check of the Dockerfile, no rights, and a file system
//! that it cannot write to.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::dockerfile::{entry_point, health_check, last_stage, words_of};
use super::{root, text};
use crate::support::gateway::Gateway;

/// The root file system in a folder of its own.
pub(super) struct Image(TempDir);

impl Image {
    pub(super) fn of(binary: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let mut script = Command::new(root().join("deploy/image/rootfs"));
        let output = script.arg(binary).arg(folder.path().join("root")).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        Self(folder)
    }

    pub(super) fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    /// Adds a file that all users may read; a name that ends with a slash is a folder.
    pub(super) fn add(&self, name: &str, text: &str) {
        let path = self.root().join(name);
        let (folder, file) = if name.ends_with('/') {
            (&*path, None)
        } else {
            (path.parent().unwrap(), Some(&path))
        };
        fs::create_dir_all(folder).unwrap();
        if let Some(file) = file {
            fs::write(file, text).unwrap();
        }
    }

    /// Adds a certificate to the authorities of the image.
    pub(super) fn trust(&self, certificate: &str) {
        let path = self.root().join("etc/ssl/certs/ca-certificates.crt");
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(certificate.as_bytes()).unwrap();
    }

    /// Runs words as the first process of a container: the file system is read-only, and nothing else of this machine
    /// is in reach but the network.
    pub(super) fn command(&self, words: &[String], variables: &[(&str, &str)]) -> Command {
        const ENGINE: &str = r#"
            user=$0 root=$1
            shift
            mount --bind "$root" "$root"
            [ ! -d "$root/proc" ] || mount -t proc proc "$root/proc"
            [ ! -d "$root/dev" ] || mount --bind /dev "$root/dev"
            mount -o remount,bind,ro "$root"
            exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" "$@"
        "#;
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", ENGINE]);
        command.args(last_stage("USER")).arg(self.root()).args(words);
        with_variables(&mut command, variables);
        command
    }

    /// Runs it as an engine does, with these variables and no other settings.
    pub(super) fn run(&self, variables: &[(&str, &str)]) -> Container {
        let words = [entry_point(), words_of(&last_stage("CMD").concat())].concat();
        let command = self.command(&words, variables);
        let gateway = Gateway::start_command(command, TempDir::new().unwrap());
        let parent = gateway.process();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        let process = children.unwrap().trim().parse().unwrap();
        Container { gateway, process }
    }
}

/// A gateway in a container.
pub(super) struct Container {
    pub(super) gateway: Gateway,
    /// Its process, as this machine numbers it.
    process: u32,
}

impl Container {
    /// It has no rights: neither those of root nor to write.
    pub(super) fn is_confined(&self) {
        let of_process =
            |name| fs::read_to_string(format!("/proc/{}/{name}", self.process)).unwrap();
        let status = of_process("status");
        let user = "65534\t65534\t65534\t65534";
        for line in
            [&*format!("Uid:\t{user}"), &format!("Gid:\t{user}"), "CapEff:\t0000000000000000"]
        {
            assert!(status.lines().any(|found| found == line), "{line} is not in {status}");
        }
        let value = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        assert_eq!(value("Groups:"), "");
        assert!(value("NSpid:").ends_with("\t1"), "it is the first process");
        let mounts = of_process("mountinfo");
        let mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let of_root: Vec<_> = mounts.filter(|mount| mount[4] == "/").collect();
        assert!(of_root.len() == 1 && of_root[0][5].starts_with("ro,"), "{of_root:?}");
    }

    /// The health check of the Dockerfile, run in the container with the same variables.
    pub(super) fn is_healthy(&self, variables: &[(&str, &str)]) {
        let user = last_stage("USER").concat();
        let (uid, gid) = user.split_once(':').unwrap();
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.process.to_string(), "--mount", "--pid", "--root", "--wd"]);
        command.args(["--setuid", uid, "--setgid", gid]).args(health_check());
        with_variables(&mut command, variables);
        let ended = command.output().unwrap();
        assert!(ended.status.success(), "{}", text(&ended));
    }

    /// As an engine stops it.
    pub(super) fn stop(self) {
        let sent = Command::new("kill").args(["-TERM", &self.process.to_string()]).status();
        assert!(sent.unwrap().success());
        let ended = self.gateway.wait();
        assert!(ended.success(), "{ended}");
    }
}

fn with_variables(command: &mut Command, variables: &[(&str, &str)]) {
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(variables.iter().copied());
}
