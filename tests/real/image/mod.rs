//! The image: its Dockerfile, and its root file system in a container as an engine would run it.
//! Invariant: the script that the Dockerfile calls makes the file system, and the binary in it is the one that all other
//! tests run, linked statically.

mod container;
mod dockerfile;
mod name_server;
mod own_network;
mod static_binary;

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use portcullis::clock::Clock;
use serde_json::Value;
use tempfile::TempDir;

use self::container::Image;
use self::name_server::NameServer;
use self::own_network::in_own_network;
use self::static_binary::static_binary;
use crate::component::VISITOR;
use crate::component::tls::{Certificate, Relay};
use crate::support::browser::{Browser, Door};
use crate::support::faults::{IdentityProvider, Settings};
use crate::support::gateway::PUBLIC_URL;
use crate::support::provider;
use crate::support::upstream::Upstream;

#[test]
fn dockerfile_has_no_findings() {
    let hadolint = root().join("target/servers/bin/hadolint");
    let found = Command::new(&hadolint).arg("Dockerfile").current_dir(root()).output();
    let found = found.unwrap_or_else(|error| {
        panic!("cannot start {}, which tests/run installs: {error}", hadolint.display())
    });
    assert!(found.status.success(), "{}", text(&found));
}

/// A test or a benchmark that Cargo.toml names would be missing in the layer of the dependencies.
#[test]
fn manifest_in_the_layer_of_the_dependencies_is_complete() {
    let layer =
        dockerfile::instructions("RUN").into_iter().find(|run| run.starts_with("sed ")).unwrap();
    let (before_build, _) = layer.split_once(" && cargo build").unwrap();
    let folder = TempDir::new().unwrap();
    for name in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(root().join(name), folder.path().join(name)).unwrap();
    }
    let cargo = "cargo metadata --locked --offline --no-deps --format-version 1";
    let shell = format!("{before_build} && {cargo}");
    let output = Command::new("sh").args(["-ec", &shell]).current_dir(folder.path()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let package: Value = serde_json::from_slice(&output.stdout).unwrap();
    let targets = package["packages"][0]["targets"].as_array().unwrap();
    let kinds: BTreeSet<_> = targets.iter().map(|target| target["kind"][0].as_str()).collect();
    assert_eq!(kinds, [Some("bin"), Some("lib")].into());
}

#[test]
fn labels_are_those_of_the_manifest() {
    let labels = dockerfile::last_stage("LABEL").join(" ");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for (label, key) in [
        ("title", "name"),
        ("description", "description"),
        ("version", "version"),
        ("licenses", "license"),
    ] {
        let line = manifest.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        let value = line.split_once(" = ").unwrap().1;
        let wanted = format!("org.opencontainers.image.{label}={value}");
        assert!(labels.contains(&wanted), "{wanted}: {labels}");
    }
}

#[test]
fn root_file_system_has_what_the_dockerfile_names() {
    let image = Image::of(static_binary());
    let mut files = Vec::new();
    let mut open = vec![image.root()];
    while let Some(path) = open.pop() {
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777;
        let name = format!("/{}", path.strip_prefix(image.root()).unwrap().display());
        if path.is_dir() {
            assert_eq!(mode, 0o755, "{name}: all users may enter it");
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files.push(format!("{mode:o} {name}"));
        }
    }
    files.sort();
    assert_eq!(files, ["444 /etc/ssl/certs/ca-certificates.crt", "555 /portcullis"]);
    assert!(image.root().join("etc/portcullis").is_dir(), "where the configuration is mounted");

    assert_eq!(dockerfile::last_stage("FROM"), ["scratch"]);
    assert_eq!(dockerfile::last_stage("COPY"), ["--from=build /rootfs /"]);
    let calls = dockerfile::instructions("RUN").join("\n");
    assert!(
        calls.contains("deploy/image/rootfs \"target/$(cat /target)/release/portcullis\" /rootfs")
    );
    assert_eq!(dockerfile::last_stage("USER"), ["65534:65534"]);
    assert_eq!(dockerfile::entry_point(), ["/portcullis"]);
    assert_eq!(dockerfile::words_of(&dockerfile::last_stage("CMD").concat()), ["run"]);
    assert_eq!(dockerfile::health_check(), ["/portcullis", "health"]);
    // Engines have an option that publishes all exposed ports: the admin listener is none of them.
    assert_eq!(dockerfile::last_stage("EXPOSE"), ["4180"]);
}

#[test]
fn image_signs_a_user_in_with_the_names_and_authorities_of_its_container() {
    let name = "image::image_signs_a_user_in_with_the_names_and_authorities_of_its_container";
    in_own_network(name, sign_in);
}

async fn sign_in(image: &Image) {
    const PROVIDER: &str = "id.example.com";
    let certificate = Certificate::of(PROVIDER);
    let settings = Settings {
        host: PROVIDER.to_owned(),
        tls: Some(certificate.server.clone()),
        ..provider::settings()
    };
    let provider = IdentityProvider::start(settings, Clock::system()).await.unwrap();
    let relay = Relay::start(provider.address(), &certificate).await;
    let application = Upstream::start().await;
    let names = NameServer::start(PROVIDER).await;
    // What an engine adds.
    image.add("proc/", "");
    image.add("dev/", "");
    image.add("etc/hosts", "127.0.0.1 localhost\n127.0.0.1 wiki\n");
    image.add("etc/resolv.conf", "nameserver 127.0.0.1\nsearch example.net\noptions ndots:5\n");
    image.add("run/secrets/client_secret", "wiki-and-company\n");
    image.trust(&certificate.chain);
    let upstream = format!("http://wiki:{}", application.address.port());
    let variables = [
        ("PORTCULLIS_LISTEN", "0.0.0.0:4180"),
        ("PORTCULLIS_PUBLIC_URL", PUBLIC_URL),
        ("PORTCULLIS_ISSUER", provider.issuer()),
        ("PORTCULLIS_CLIENT_ID", "wiki"),
        ("PORTCULLIS_CLIENT_SECRET_FILE", "/run/secrets/client_secret"),
        ("PORTCULLIS_UPSTREAM", &upstream),
        ("PORTCULLIS_ALLOW_EMAIL_DOMAIN", "example.com"),
    ];
    let container = image.run(&variables);
    assert_eq!(container.gateway.address.port(), 4180, "the exposed port");
    container.is_confined();
    container.is_healthy(&variables);

    let gateway = SocketAddr::from((Ipv4Addr::LOCALHOST, 4180));
    let mut browser = Browser::before(Door::From(VISITOR, gateway));
    let mut request = browser.navigate("/oauth2/start?rd=/page").await.redirect().unwrap();
    assert_eq!((request.scheme(), request.host_str()), ("https", Some(PROVIDER)));
    // This browser speaks no TLS.
    request.set_scheme("http").unwrap();
    request.set_ip_host(relay.address.ip()).unwrap();
    request.set_port(Some(relay.address.port())).unwrap();
    let page = browser.open(request.as_str()).await;
    let page = browser.fill(&page, &[("username", "alice"), ("password", "alice")]).await;
    assert_eq!(page.json()["headers"]["x-forwarded-email"], "alice@example.com", "{page:?}");
    container.gateway.log_until_all(&["\"audit\"", "sign_in", "127.0.0.2"]);
    drop(names);
    container.stop();
}

#[test]
fn image_starts_with_a_file_where_an_engine_adds_nothing_else() {
    in_own_network("image::image_starts_with_a_file_where_an_engine_adds_nothing_else", start);
}

async fn start(image: &Image) {
    let application = Upstream::start().await;
    let configuration = format!(
        "server: {{ listen: \"0.0.0.0:4180\", public_url: \"{PUBLIC_URL}\" }}\n\
         routes: [{{ upstream: \"http://{}\", allow: public }}]\n",
        application.address
    );
    image.add("etc/portcullis/portcullis.yaml", &configuration);
    let ended = image.command(&dockerfile::health_check(), &[]).output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "nothing runs: {}", text(&ended));
    let container = image.run(&[]);
    container.is_healthy(&[]);
    let gateway = SocketAddr::from((Ipv4Addr::LOCALHOST, 4180));
    let page = Browser::at(gateway).open("/page").await;
    assert_eq!(page.json()["target"], "/page", "{page:?}");
    container.stop();
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
