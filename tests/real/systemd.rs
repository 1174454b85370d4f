//! systemd: the published units, and sockets that it passes.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::component::{example, free_address};
use crate::support::gateway::Gateway;
use crate::support::wait::Patience;
use crate::support::wire::{Wire, request, status};

const UNITS: [&str; 3] = ["portcullis.service", "portcullis.socket", "portcullis-redirect.socket"];

/// The published units, with the path of the tested binary.
fn units() -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in UNITS {
        let binary = ("/usr/local/bin/portcullis", env!("CARGO_BIN_EXE_portcullis"));
        let replacements = if name.ends_with(".service") { &[binary][..] } else { &[] };
        let unit = example(&format!("systemd/{name}"), replacements);
        fs::write(folder.path().join(name), unit).unwrap();
    }
    folder
}

fn analyze(folder: &Path, arguments: &[&str], unit: &str) -> String {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .arg(folder.join(unit))
        .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.display()))
        .output()
        .unwrap_or_else(|error| {
            panic!("cannot start systemd-analyze, which tests/run installs: {error}")
        });
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{unit}: {text}");
    text
}

#[test]
fn units_are_valid_without_any_remark() {
    let folder = units();
    for unit in UNITS {
        assert_eq!(analyze(folder.path(), &["verify", "--man=no"], unit), "", "{unit}");
    }
}

#[test]
fn exposure_of_the_service_is_as_its_readme_says() {
    let folder = units();
    let report = analyze(folder.path(), &["security", "--offline=yes", "--no-pager"], UNITS[0]);
    let score = report.split("Overall exposure level for portcullis.service: ").nth(1);
    let score = score.and_then(|rest| rest.split(' ').next()).unwrap_or_else(|| panic!("{report}"));
    let readme = example("systemd/README.md", &[]);
    assert!(readme.contains(&format!("rates the exposure with {score} on a scale")), "{report}");
}

/// `tests/it/documents.rs` checks the configuration itself.
#[test]
fn configuration_in_the_readme_fits_the_units() {
    let readme = example("systemd/README.md", &[]);
    let block = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    for (key, unit) in [("listen: systemd:", UNITS[1]), ("redirect_http: systemd:", UNITS[2])] {
        let name = block.split(key).nth(1).unwrap().lines().next().unwrap();
        let unit = example(&format!("systemd/{unit}"), &[]);
        assert!(unit.contains(&format!("FileDescriptorName={name}\n")), "{name}");
    }
    let service = example("systemd/portcullis.service", &[]);
    let files = block.split("/run/credentials/portcullis.service/").skip(1);
    let files: Vec<_> = files.map(|rest| rest.split(['\n', '}']).next().unwrap()).collect();
    assert_eq!(files, ["tls.crt", "tls.key", "client_secret", "session_secret"]);
    assert!(block.contains("snapshot: /var/lib/portcullis/"), "{block}");
    assert!(service.contains("\nStateDirectory=portcullis\n"), "{service}");
    for name in files {
        assert!(service.contains(&format!("LoadCredential={name}:/etc/portcullis/{name}\n")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn first_connection_starts_the_gateway_and_is_answered() {
    let address = free_address();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("portcullis.yaml");
    let yaml = "server: { listen: \"systemd:web\", public_url: \"http://wiki.localhost\" }\n\
                admin: { listen: \"off\" }\n\
                routes: [{ host: other.localhost, upstream: \"http://127.0.0.1:9\", allow: public }]\n";
    fs::write(&file, yaml).unwrap();
    let mut command = Command::new("systemd-socket-activate");
    command.arg("-l").arg(address.to_string()).arg("--fdname=web");
    command.arg(env!("CARGO_BIN_EXE_portcullis")).args(["run", "--config"]).arg(&file);
    // The gateway does not run until a client connects.
    let first = tokio::spawn(async move {
        let patience = Patience::until("systemd listens");
        let stream = loop {
            match TcpStream::connect(address).await {
                Ok(stream) => break stream,
                Err(_) => patience.pause().await,
            }
        };
        let mut wire = Wire::of(stream);
        wire.say(request("GET /ping", "Connection: close\r\n")).await;
        wire.rest().await
    });
    let gateway = tokio::task::block_in_place(|| Gateway::start_command(command, folder));
    assert_eq!(gateway.address, address);
    assert_eq!(status(&first.await.unwrap()), 200);
}
