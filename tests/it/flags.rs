//! A gateway without a configuration file: flags, or their environment variables.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::browser::Browser;
use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::provider;
use crate::support::upstream::Upstream;

/// Command with these flags, or with their variables.
fn command(flags: &[(&str, &str)], as_variables: bool) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("run");
    for (flag, value) in flags {
        if as_variables {
            let name = flag.trim_start_matches('-').replace('-', "_").to_uppercase();
            command.env(format!("PORTCULLIS_{name}"), value);
            // As a compose file does with `${NAME:-}`.
            command.env("PORTCULLIS_ALLOW_AUTHENTICATED", "").env("PORTCULLIS_ALLOW_EMAIL", "");
        } else {
            command.args([flag, value]);
        }
    }
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_runs_with_flags_or_variables_instead_of_a_file() {
    let provider = provider::start(Duration::from_secs(60)).await;
    let upstream = Upstream::start().await;
    let target = format!("http://{}", upstream.address);
    for as_variables in [false, true] {
        let folder = TempDir::new().unwrap();
        let secret = folder.path().join("client_secret");
        std::fs::write(&secret, "wiki-and-company\n").unwrap();
        let session_secret = folder.path().join("session_secret");
        std::fs::write(&session_secret, "abcdefghijabcdefghijabcdefghijabcdefghijabcd\n").unwrap();
        let flags = [
            ("--session-secret-file", session_secret.to_str().unwrap()),
            ("--trusted-proxy", "127.0.0.1,unix"),
            ("--scope", "openid,email,profile"),
            ("--public-url", PUBLIC_URL),
            ("--listen", "127.0.0.1:0"),
            ("--admin-listen", "off"),
            ("--issuer", provider.issuer()),
            ("--client-id", "wiki"),
            ("--client-secret-file", secret.to_str().unwrap()),
            ("--upstream", &target),
            ("--allow-group", "staff"),
        ];
        let gateway = Gateway::start_command(command(&flags, as_variables), folder);
        let mut alice = Browser::new(&gateway);
        let answer = provider::sign_in(&mut alice, "/page", "alice").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["headers"]["x-forwarded-user"], "demo-alice");
        let mut bob = Browser::new(&gateway);
        let answer = provider::sign_in(&mut bob, "/page", "bob").await;
        assert_eq!(answer.status, 403, "bob is not in the group");
        assert!(gateway.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_finds_the_configuration_in_a_variable() {
    let provider = provider::start(Duration::from_secs(60)).await;
    let upstream = Upstream::start().await;
    let folder = TempDir::new().unwrap();
    let text = format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\" }}\n\
         admin: {{ listen: \"unix:admin.sock\" }}\n\
         providers:\n  company:\n    issuer: {}\n    client_id: wiki\n    \
         client_secret: ${{PORTCULLIS_CLIENT_SECRET}}\n\
         routes: [{{ upstream: \"http://{}\", allow: authenticated }}]\n",
        provider.issuer(),
        upstream.address
    );
    let here = folder.path().to_owned();
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(arguments).current_dir(&here).env("PORTCULLIS_CONFIG_TEXT", &text);
        command.env("PORTCULLIS_CLIENT_SECRET", "wiki-and-company");
        // As a compose file does with `${NAME:-}`.
        command.env("PORTCULLIS_CONFIG", "").env("PORTCULLIS_UPSTREAM", "");
        command
    };
    let gateway = Gateway::start_command(command(&["run"]), folder);
    let mut alice = Browser::new(&gateway);
    let answer = provider::sign_in(&mut alice, "/page", "alice").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let conflict = "PORTCULLIS_CONFIG_TEXT cannot be used together with --issuer";
    let conflict_with_file = "--config cannot be used together with PORTCULLIS_CONFIG_TEXT";
    for (arguments, code, says) in [
        (&["health"][..], 0, ""),
        (&["check"], 0, ""),
        (&["explain", "--url", PUBLIC_URL], 1, ""),
        (&["check", "--config", "a.yaml"], 64, conflict_with_file),
        (&["run", "--issuer", "https://id.example.com"], 64, conflict),
        (&["health", "--config", "a.yaml"], 1, conflict_with_file),
    ] {
        let ended = command(arguments).output().unwrap();
        let message = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {message}");
        assert!(message.contains(says) && message.is_empty() == says.is_empty(), "{message}");
    }
    assert!(gateway.stop().success());
}

#[test]
fn variable_that_is_not_utf8_is_rejected_with_its_line() {
    let text = OsStr::from_bytes(b"server:\n  public_url: \xff\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let ended = command.arg("check").env("PORTCULLIS_CONFIG_TEXT", text).output().unwrap();
    assert_eq!(ended.status.code(), Some(78), "{ended:?}");
    let message = String::from_utf8(ended.stdout).unwrap();
    let begin = "PORTCULLIS_CONFIG_TEXT:2: error: the variable is not UTF-8 text\n";
    assert!(message.starts_with(begin), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn listen_variable_overrides_a_file_and_health_finds_the_admin_socket_of_the_file() {
    let folder = TempDir::new().unwrap();
    let (file, socket) = (folder.path().join("a.yaml"), folder.path().join("admin.sock"));
    let text = format!(
        "server: {{ listen: \"127.0.0.1:1\", public_url: \"{PUBLIC_URL}\" }}\n\
         admin: {{ listen: \"unix:{}\" }}\n\
         routes: [{{ upstream: \"http://127.0.0.1:9\", allow: public }}]\n",
        socket.display()
    );
    std::fs::write(&file, text).unwrap();
    let mut command = command(&[("--listen", "127.0.0.1:0")], true);
    command.arg("--config").arg(&file);
    let gateway = Gateway::start_command(command, folder);
    let health = |flag: &str, value: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["health", flag, value]).output().unwrap()
    };
    for (flag, value) in
        [("--config", file.display().to_string()), ("--url", format!("unix:{}", socket.display()))]
    {
        let asked = health(flag, &value);
        assert_eq!(asked.status.code(), Some(0), "{asked:?}");
    }
    let asked = health("--url", &format!("unix:{}.none", socket.display()));
    assert_eq!(asked.status.code(), Some(1), "{asked:?}");
    assert!(gateway.stop().success());
}

#[test]
fn health_that_cannot_be_asked_for_exits_with_1() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a.yaml");
    for (text, says) in [
        ("admin: { listen: off }", "the admin listener is off"),
        ("admin: { listen: 4181 }", "admin.listen"),
        ("admin: [", "a.yaml"),
    ] {
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let ended = command.args(["health", "--config"]).arg(&file).output().unwrap();
        let message = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{message}");
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn flags_together_with_a_file_are_a_usage_error() {
    for as_variables in [false, true] {
        let mut command = command(&[("--upstream", "http://127.0.0.1:9")], as_variables);
        let ended = command.args(["--config", "config/minimal.yaml"]).output().unwrap();
        assert_eq!(ended.status.code(), Some(64), "{ended:?}");
        let message = String::from_utf8(ended.stderr).unwrap();
        assert!(message.contains("cannot be used together with"), "{message}");
        let by = if as_variables { " PORTCULLIS_UPSTREAM:" } else { " --upstream:" };
        assert!(message.contains(by), "{message}");
    }
}
