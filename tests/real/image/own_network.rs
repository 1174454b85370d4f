//! A network of a test's own, where all ports are free.

use std::env;
use std::path::Path;
use std::process::Command;

use super::container::Image;
use super::static_binary::static_binary;
use super::text;

/// Runs a test again as root in a network of its own, where all ports are free, and there its scenario.
pub(super) fn in_own_network(test: &str, scenario: impl AsyncFnOnce(&Image)) {
    const BINARY: &str = "BINARY_OF_THE_IMAGE";
    if let Some(binary) = env::var_os(BINARY) {
        let image = Image::of(Path::new(&binary));
        return tokio::runtime::Runtime::new().unwrap().block_on(scenario(&image));
    }
    let is_root = rustix::process::geteuid().is_root();
    let mut command = Command::new(if is_root { "unshare" } else { "sudo" });
    if !is_root {
        command.arg("unshare");
    }
    let binary = format!("{BINARY}={}", static_binary().display());
    // With the test, all processes end that it has started.
    command.args(["--net", "--mount-proc", "--pid", "--fork", "--kill-child", "env", &binary]);
    command.args(["sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""]);
    let output = command.arg(env::current_exe().unwrap()).args([test, "--exact"]).output();
    let output = output.unwrap_or_else(|error| panic!("cannot make a network, as root: {error}"));
    assert!(output.status.success() && text(&output).contains("1 passed"), "{}", text(&output));
}
