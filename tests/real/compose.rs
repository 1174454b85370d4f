//! The files in `deploy/compose`: two programs that know their format accept them, and their services run as processes,
//! each in the network namespace that its container would have. There is no container engine: no image is built here, and
//! `cap_drop`, `read_only` and the like are only validated.
//! Invariant: nothing in the files changes but the provider and paths.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use portcullis::clock::Clock;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::component::tls::{Certificate, NAME, Relay};
use crate::component::{example, installed};
use crate::containers::{Engine, config, config_of, docker_compose};
use crate::published::commands_of;
use crate::support::browser::{Answer, Browser, Door};
use crate::support::faults::{IdentityProvider, Settings};
use crate::support::provider;
use crate::support::wait::until;

const FILES: [&str; 4] = ["demo.yaml", "sidecar.yaml", "traefik.yaml", "redis.yaml"];
pub(crate) const SECRET: &str = "wiki-and-company\n";
pub(crate) const ALICE: [(&str, &str); 2] = [("username", "alice"), ("password", "alice")];
const BOB: [(&str, &str); 2] = [("username", "bob"), ("password", "bob")];

#[test]
fn every_file_is_valid_and_unknown_keys_are_found() {
    let folder = TempDir::new().unwrap();
    let (mut documents, mut unknown) = (Vec::new(), Vec::new());
    // Not by `println`, which is shown only for a test that fails.
    let mut report = std::io::stdout();
    for file in FILES {
        config(file, &[]);
        let only =
            "build, image, cap_drop, read_only, security_opt, restart and the user of the image";
        writeln!(report, "validated only, by docker-compose and its schema: {file}: {only}")
            .unwrap();
        let document = parsed(&example(&format!("compose/{file}"), &[]));
        let service = document["services"].as_object().unwrap().keys().next().unwrap().clone();
        for path in
            ["", &format!("/services/{service}"), &format!("/services/{service}/healthcheck")]
        {
            let mut changed = document.clone();
            let Some(Value::Object(keys)) = changed.pointer_mut(path) else { continue };
            keys.insert("noSuchKey".to_owned(), json!("x"));
            unknown.push(changed);
        }
        documents.push(document);
    }
    // It is no project alone.
    documents.push(parsed(&example("compose/snapshot.yaml", &[])));
    for document in &unknown {
        let path = folder.path().join("changed.yaml");
        fs::write(&path, document.to_string()).unwrap();
        let output = docker_compose(&[path]);
        assert!(!output.status.success() && !output.stderr.is_empty(), "{document}");
    }
    assert_eq!(complaints(&documents), [[""; 0]; FILES.len() + 1]);
    for (complaints, document) in complaints(&unknown).iter().zip(&unknown) {
        assert!(complaints.iter().any(|line| line.contains("noSuchKey")), "{document}");
    }
}

/// A file with its merge keys (`<<`) merged, as every reader of compose files does first.
fn parsed(text: &str) -> Value {
    let mut document: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
    document.apply_merge().unwrap();
    serde_json::to_value(document).unwrap()
}

/// What the schema of the Compose Specification has against each document.
fn complaints(documents: &[Value]) -> Vec<Vec<String>> {
    // tests/run names a Node that it has installed.
    let node = std::env::var("NODE").unwrap_or_else(|_| "node".to_owned());
    let mut child = Command::new(node)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/compose.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(json!(documents).to_string().as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn grace_period_of_every_gateway_is_longer_than_its_drain() {
    let full = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/full.yaml"));
    let full: Value = serde_yaml::from_str(&full.unwrap()).unwrap();
    let timeouts = &full["server"]["timeouts"];
    let drain = seconds(&timeouts["drain"]) + seconds(&timeouts["drain_delay"]);
    for file in FILES {
        let config = config(file, &[]);
        let gateways = config["services"].as_object().unwrap().values();
        let gateways: Vec<_> = gateways.filter(|it| !it["environment"].is_null()).collect();
        assert_eq!(gateways.len(), if file == "redis.yaml" { 2 } else { 1 }, "{file}");
        for gateway in gateways {
            assert!(
                seconds(&gateway["stop_grace_period"]) > drain,
                "{file}: drain takes {drain} s"
            );
            let changed = gateway["environment"].to_string().contains("drain");
            assert!(!changed, "{file}: its own drain");
        }
    }
}

fn seconds(duration: &Value) -> u64 {
    duration.as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap()
}

#[test]
fn ports_behind_a_reverse_proxy_or_of_the_demo_are_published_for_this_machine_alone() {
    for (file, service) in [("demo.yaml", "gateway"), ("sidecar.yaml", "portcullis")] {
        for port in config(file, &[])["services"][service]["ports"].as_array().unwrap() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{file}: {port}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn demonstration_signs_alice_in_and_denies_bob_a_page_of_the_staff() {
    let config = config("demo.yaml", &[]);
    for service in config["services"].as_object().unwrap().values() {
        let context = Path::new(service["build"]["context"].as_str().unwrap()).join("Dockerfile");
        assert!(context.is_file(), "{}", context.display());
    }
    let mut engine = Engine::new(config, "");
    for service in ["gateway", "provider", "application"] {
        engine.run(service);
    }
    for service in ["gateway", "provider", "application"] {
        engine.healthy(service).await;
    }
    check_has_nothing_to_say(&engine, "gateway");
    let ports = engine.publish("gateway").await;
    let at = |port: u16| ports[&port];
    says(&engine, "demo.yaml", &[("localhost:4180", at(4180))]);

    let ports: Arc<BTreeMap<_, _>> = Arc::new(ports);
    let mut alice = Browser::before(Door::Published(Arc::clone(&ports)));
    let form = alice.open("http://localhost:4180/").await;
    assert!(form.url.as_str().starts_with("http://127.0.0.1:4182/"), "{form:?}");
    let page = alice.fill(&form, &ALICE).await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, "http://localhost:4180/"));
    assert!(page.body.contains("alice@example.com"), "{page:?}");
    assert_eq!(alice.fetch("http://localhost:4180/staff").await.status, 200);
    let mut bob = Browser::before(Door::Published(ports));
    let form = bob.open("http://localhost:4180/staff").await;
    assert_eq!(bob.fill(&form, &BOB).await.status, 403);
    let page = alice.open("http://localhost:4180/oauth2/sign_out").await;
    assert_eq!(page.url.as_str(), "http://localhost:4180/oauth2/signed_out", "{page:?}");
    assert_eq!(alice.fetch("http://localhost:4180/").await.status, 401);

    assert!(engine.log("provider").contains("warning: listens on 0.0.0.0:4182"));
    assert!(!engine.log("application").contains("warning"));
    end(engine, &["application", "provider", "gateway"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sidecar_protects_an_application_that_only_it_reaches() {
    let provider = provider("https://wiki.example.com").await;
    let own = [("https://id.example.com/realms/main", provider.issuer())];
    let mut engine = Engine::new(config("sidecar.yaml", &own), SECRET);
    engine.reach("portcullis", provider.address());
    for service in ["portcullis", "wiki"] {
        engine.run(service);
    }
    for service in ["portcullis", "wiki"] {
        engine.healthy(service).await;
    }
    check_has_nothing_to_say(&engine, "portcullis");
    let ports = engine.publish("portcullis").await;
    says(&engine, "sidecar.yaml", &[("127.0.0.1:4180", ports[&4180])]);

    // What the reverse proxy on the same machine sends.
    let mut alice = Browser::at(ports[&4180]);
    alice.extra.insert("x-forwarded-for", HeaderValue::from_static("198.51.100.7"));
    alice.extra.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    alice.extra.insert("x-forwarded-host", HeaderValue::from_static("wiki.example.com"));
    let form = alice.open("https://wiki.example.com/api?a=1").await;
    let page = alice.fill(&form, &ALICE).await;
    assert_eq!(page.url.as_str(), "https://wiki.example.com/api?a=1", "{page:?}");
    assert_eq!(header(&page, "x-forwarded-email"), "alice@example.com");
    assert_eq!(header(&page, "x-forwarded-for"), "198.51.100.7, 10.213.77.1");
    assert_eq!(header(&page, "x-forwarded-proto"), "https");
    until("the log has the sign-in of the client", async || {
        let log = engine.log("portcullis");
        log.lines().any(|line| line.contains("sign_in") && line.contains("198.51.100.7"))
    })
    .await;
    end(engine, &["wiki", "portcullis"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sidecar_with_a_snapshot_signs_no_user_out_by_a_restart() {
    let provider = provider("https://wiki.example.com").await;
    let state = TempDir::new().unwrap();
    let own = [
        ("https://id.example.com/realms/main", provider.issuer()),
        ("/var/lib/portcullis", state.path().to_str().unwrap()),
    ];
    let mut engine = Engine::new(config_of(&["sidecar.yaml", "snapshot.yaml"], &own), SECRET);
    fs::write(engine.path("session_secret"), "0123456789abcdef0123456789abcdef\n").unwrap();
    engine.reach("portcullis", provider.address());
    for service in ["portcullis", "wiki"] {
        engine.run(service);
        engine.healthy(service).await;
    }
    check_has_nothing_to_say(&engine, "portcullis");
    let mut alice = Browser::at(engine.publish("portcullis").await[&4180]);
    alice.extra.insert("x-forwarded-for", HeaderValue::from_static("198.51.100.7"));
    alice.extra.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    alice.extra.insert("x-forwarded-host", HeaderValue::from_static("wiki.example.com"));
    let form = alice.open("https://wiki.example.com/api").await;
    assert_eq!(alice.fill(&form, &ALICE).await.status, 200);
    assert!(engine.stop("portcullis").success());
    engine.run("portcullis");
    engine.healthy("portcullis").await;
    assert_eq!(alice.fetch("https://wiki.example.com/api").await.status, 200);
    end(engine, &["wiki", "portcullis"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn traefik_with_the_labels_signs_in_once_for_two_applications() {
    let provider = provider("https://auth.example.com").await;
    let scratch = TempDir::new().unwrap();
    let storage = scratch.path().join("acme.json");
    let own = [
        ("https://id.example.com/realms/main", provider.issuer()),
        ("client_id: applications", "client_id: wiki"),
        ("storage=/acme/acme.json", &format!("storage={}", storage.display())),
    ];
    let mut engine = Engine::new(config("traefik.yaml", &own), SECRET);
    engine.reach("portcullis", provider.address());
    for service in ["portcullis", "wiki", "blog"] {
        engine.run(service);
    }
    for service in ["portcullis", "wiki", "blog"] {
        engine.healthy(service).await;
    }
    check_has_nothing_to_say(&engine, "portcullis");

    let (address, certificate) = serve_traefik(&mut engine, "traefik.yaml").await;
    let relay = Relay::start(address, &certificate).await;
    one_session_for_two_applications(Browser::at(relay.address), relay.address).await;
    assert!(engine.log("portcullis").contains("10.213.78.1"), "the visitor, not Traefik");

    // Of the containers, only Traefik reaches Portcullis, and the applications.
    let asks = |from: &str, url: &str| {
        let answer = engine.portcullis(from, &["health", "--url", url]);
        String::from_utf8(answer.stdout).unwrap()
    };
    for url in
        ["http://portcullis:4182/ping", "http://portcullis:4180/ping", "http://blog:8080/api"]
    {
        assert!(!asks("traefik", url).contains("not ready"), "{url}");
        let answer = asks("wiki", url);
        assert!(answer.contains("unreachable") || answer.contains("no response"), "{answer}");
    }
    end(engine, &["wiki", "blog", "portcullis"]);
}

/// Starts Traefik, and checks what the README says about the file. Returns where it publishes HTTPS, and its certificate.
pub(crate) async fn serve_traefik(engine: &mut Engine, example: &str) -> (SocketAddr, Certificate) {
    // The certificate, which Let's Encrypt issues elsewhere.
    let certificate = Certificate::of(NAME);
    let (chain, key) = (engine.path("chain.pem"), engine.path("key.pem"));
    fs::write(&chain, &certificate.chain).unwrap();
    fs::write(&key, &certificate.key).unwrap();
    let file = engine.path("certificate.yml");
    fs::write(
        &file,
        format!("tls: {{ certificates: [{{ certFile: {chain}, keyFile: {key} }}] }}\n"),
    )
    .unwrap();
    let more = [
        format!("--providers.file.filename={file}"),
        "--global.checknewversion=false".to_owned(),
        "--global.sendanonymoususage=false".to_owned(),
    ];
    engine.serve_docker_api();
    engine.run_program("traefik", &installed("bin/traefik"), &more);
    let ports = engine.publish("traefik").await;
    let published = [("wiki.example.com:443", ports[&443]), ("wiki.example.com:80", ports[&80])];
    let ping = "curl -so /dev/null -w '%{http_code}' https://wiki.example.com/oauth2/ping";
    until("Traefik serves", async || curl(engine, ping, &published) == "200").await;
    says(engine, example, &published);
    (ports[&443], certificate)
}

async fn one_session_for_two_applications(mut alice: Browser, site: SocketAddr) {
    let form = alice.open("https://wiki.example.com/api?a=1&b=%2F").await;
    let page = alice.fill(&form, &ALICE).await;
    assert_eq!(page.url.as_str(), "https://wiki.example.com/api?a=1&b=%2F", "{page:?}");
    assert_eq!(header(&page, "x-forwarded-email"), "alice@example.com");
    assert_eq!(header(&page, "cookie"), "");
    // The same session at the other application, whatever the visitor says.
    alice.extra.insert("x-forwarded-user", HeaderValue::from_static("mallory"));
    alice.extra.insert("x-forwarded-groups", HeaderValue::from_static("admins"));
    let page = alice.open("https://blog.example.com/api").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(header(&page, "x-forwarded-user"), "demo-alice");
    assert_eq!(header(&page, "x-forwarded-groups"), "staff");
    for path in ["auth", "forward_auth"] {
        let url = format!("https://wiki.example.com/oauth2/{path}");
        assert_eq!(alice.fetch(&url).await.status, 403, "{url}");
    }
    let mut bob = Browser::at(site);
    let form = bob.open("https://blog.example.com/api").await;
    assert_eq!(bob.fill(&form, &BOB).await.status, 403);
    assert_eq!(bob.open("https://wiki.example.com/api").await.status, 200);
    let page = alice.open("https://wiki.example.com/oauth2/sign_out").await;
    assert_eq!(page.url.as_str(), "https://auth.example.com/oauth2/signed_out", "{page:?}");
    assert_eq!(alice.fetch("https://blog.example.com/api").await.status, 401);
}

/// A provider at which a gateway with this public URL is registered.
pub(crate) async fn provider(public_url: &str) -> IdentityProvider {
    let a_minute = Duration::from_secs(60);
    let mut settings = Settings { access_token_lifetime: a_minute, ..provider::settings() };
    for client in &mut settings.clients {
        client.redirect_uris = vec![format!("{public_url}/oauth2/callback")];
        client.post_logout_redirect_uris = vec![format!("{public_url}/oauth2/signed_out")];
    }
    IdentityProvider::start(settings, Clock::system()).await.unwrap()
}

/// `check` in the container finds neither errors nor warnings.
fn check_has_nothing_to_say(engine: &Engine, service: &str) {
    let checked = engine.portcullis(service, &["check"]);
    let found = String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap();
    assert!(checked.status.success() && !found.contains("warning"), "{found}");
}

/// The commands of the README's section about this file print what stands below them.
fn says(engine: &Engine, file: &str, published: &[(&str, SocketAddr)]) {
    let readme = example("compose/README.md", &[]);
    let mut sections = readme.split("\n## ");
    let section = sections.find(|section| section.lines().next().unwrap().contains(file)).unwrap();
    let commands = commands_of(section);
    assert!(commands.len() > 2, "{file}: {commands:?}");
    for (command, output) in commands {
        assert_eq!(curl(engine, &command, published), output, "{file}: {command}");
    }
}

/// What a command with `curl` prints that finds these names at these addresses.
fn curl(engine: &Engine, command: &str, published: &[(&str, SocketAddr)]) -> String {
    let connect = published.iter().map(|(name, at)| format!("connect-to = \"{name}:{at}\"\n"));
    let mut settings: String = connect.collect();
    let chain = engine.path("chain.pem");
    if Path::new(&chain).exists() {
        settings += &format!("cacert = \"{chain}\"\n");
    }
    fs::write(engine.path(".curlrc"), settings).unwrap();
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", command]).env("CURL_HOME", engine.path("")).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A header that the application of the demo received.
pub(crate) fn header(page: &Answer, name: &str) -> String {
    let all = page.json()["headers"].clone();
    let mut values = all.as_array().unwrap().iter().filter(|header| header["name"] == name);
    values.next().map_or(String::new(), |header| header["value"].as_str().unwrap().to_owned())
}

/// Each service ends well within its grace period.
pub(crate) fn end(mut engine: Engine, services: &[&str]) {
    for service in services {
        let status = engine.stop(service);
        assert!(status.success(), "{service}: {status}: {}", engine.log(service));
    }
}
