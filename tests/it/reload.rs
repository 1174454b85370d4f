//! A configuration that is loaded again while the gateway serves: what changes, what stays, and what is rejected.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::operator::{ask, ready, until, value};
use crate::support::stack::Stack;
use crate::support::upstream::Upstream;
use crate::support::wire::{Peer, SWITCHED, UPGRADE, Wire, request, status};

/// A configuration with this route.
fn configuration(server: &str, route: &str) -> String {
    format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\"{server} }}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\nroutes: [{{ {route} }}]\n"
    )
}

/// The status that `/` answers with.
async fn status_of_root(gateway: &Gateway) -> u16 {
    let mut wire = Wire::to(gateway).await;
    wire.say(request("GET /", "")).await;
    status(&wire.head().await)
}

const SUCCESSES: &str = "config_reloads_total{outcome=\"success\"}";
const FAILURES: &str = "config_reloads_total{outcome=\"failure\"}";

#[tokio::test(flavor = "multi_thread")]
async fn changed_file_takes_effect_by_itself_and_a_wrong_one_changes_nothing() {
    let upstream = Upstream::start().await;
    let target = format!("upstream: \"http://{}\"", upstream.address);
    let gateway = Gateway::start_with(&configuration("", &format!("{target}, allow: public")));
    assert_eq!(status_of_root(&gateway).await, 200);

    gateway.rewrite(&configuration("", &format!("{target}, allow: publik")));
    until(&gateway, FAILURES, |count| count == 1.0).await;
    assert_eq!(status_of_root(&gateway).await, 200, "the one before stays in effect");
    let ready_text = ask(&gateway, "/readyz").await;
    assert_eq!(ready_text.status, 200);
    let expected = "last reload failed: ";
    assert!(ready_text.body.contains(expected), "{}", ready_text.body);
    assert!(ready_text.body.contains("portcullis.yaml:3: error: routes[0].allow: "));

    let by_address = "allow: [{ public: true, client_addresses: [192.0.2.0/24] }]";
    gateway.rewrite(&configuration("", &format!("{target}, {by_address}")));
    until(&gateway, SUCCESSES, |count| count == 1.0).await;
    assert_eq!(status_of_root(&gateway).await, 403);
    ready(&gateway, "ready\n").await;
    assert_eq!(value(&gateway, "config_generation").await, Some(2.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn file_that_a_failed_reload_named_is_waited_for() {
    let upstream = Upstream::start().await;
    let target = format!("upstream: \"http://{}\"", upstream.address);
    let gateway = Gateway::start_with(&configuration("", &format!("{target}, allow: public")));
    let folder = gateway.folder().to_owned();
    let rule = "allow: [{ public: true, client_addresses: [\"${file:network}\"] }]";
    gateway.reload(&configuration("", &format!("{target}, {rule}")));
    until(&gateway, FAILURES, |count| count == 1.0).await;
    std::fs::write(folder.join("network"), "192.0.2.0/24\n").unwrap();
    until(&gateway, SUCCESSES, |count| count == 1.0).await;
    assert_eq!(status_of_root(&gateway).await, 403);
    // Kubernetes replaces what a link points to.
    std::fs::write(folder.join("other"), "127.0.0.0/8\n").unwrap();
    std::fs::remove_file(folder.join("network")).unwrap();
    std::os::unix::fs::symlink("other", folder.join("network")).unwrap();
    until(&gateway, SUCCESSES, |count| count == 2.0).await;
    assert_eq!(status_of_root(&gateway).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_open_and_close_as_the_file_says() {
    let upstream = Upstream::start().await;
    let route = format!("upstream: \"http://{}\", allow: public", upstream.address);
    let gateway = Gateway::start_with(&configuration("", &route));
    let mut kept = Wire::to(&gateway).await;
    let two = configuration(", redirect_http: \"127.0.0.1:0\"", &route);
    gateway.reload(&two);
    until(&gateway, SUCCESSES, |count| count == 1.0).await;
    let redirect = gateway.address_of("redirect to https listening");
    let mut redirected = Wire::of(TcpStream::connect(redirect).await.unwrap());
    redirected.say(request("GET /x", "")).await;
    assert_eq!(status(&redirected.head().await), 308);

    gateway.reload(&configuration("", &route));
    until(&gateway, SUCCESSES, |count| count == 2.0).await;
    assert!(TcpStream::connect(redirect).await.is_err(), "it is closed");
    timeout(SOON, redirected.rest()).await.expect("its idle connection leaves");
    // The public listener was open all the time.
    kept.say(request("GET /", "")).await;
    assert_eq!(status(&kept.head().await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reloaded_is_named_and_nothing_else_changes() {
    let upstream = Upstream::start().await;
    let target = format!("upstream: \"http://{}\"", upstream.address);
    let gateway =
        Gateway::start_with(&configuration(", workers: 1", &format!("{target}, allow: public")));
    let rule = "allow: [{ public: true, client_addresses: [192.0.2.0/24] }]";
    gateway.reload(&configuration(", workers: 2", &format!("{target}, {rule}")));
    gateway.log_until("server.workers: cannot be reloaded: restart to change it from 1 to 2");
    assert_eq!(status_of_root(&gateway).await, 200);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let other = format!(", workers: 1, redirect_http: \"{taken}\"");
    let _held = std::net::TcpListener::bind(taken);
    gateway.reload(&configuration(&other, &format!("{target}, {rule}")));
    gateway.log_until(&taken.to_string());
    until(&gateway, FAILURES, |count| count == 2.0).await;
    assert_eq!(status_of_root(&gateway).await, 200);
    let secret = "0123456789abcdef0123456789abcdef0123456789a";
    let redis = "{ redis: { url: \"redis://127.0.0.1:1\" } }";
    let session = format!("session: {{ secret: {secret}, store: {redis} }}\n");
    let other = configuration(", workers: 1", &format!("{target}, {rule}"));
    gateway.reload(&format!("{session}{other}"));
    gateway.log_until("session.store: cannot be reloaded");
    assert_eq!(status_of_root(&gateway).await, 200);
    assert!(!ask(&gateway, "/metrics").await.body.contains("session_store"));
}

#[tokio::test(flavor = "multi_thread")]
async fn command_reloads_with_the_token_and_prints_what_is_wrong() {
    let upstream = Upstream::start().await;
    let token = "0123456789abcdef0123456789abcdef";
    let yaml = |allow: &str| {
        format!(
            "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\" }}\n\
             admin: {{ listen: \"127.0.0.1:0\", token: {token} }}\n\
             routes: [{{ upstream: \"http://{}\", allow: {allow} }}]\n",
            upstream.address
        )
    };
    let gateway = Gateway::start_with(&yaml("public"));
    let run = |gateway: &Gateway, with_token: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["reload", "--url", &gateway.admin("/reload")]);
        if with_token {
            command.arg("--config").arg(gateway.folder().join("portcullis.yaml"));
        }
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = run(&gateway, false);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("401"), "{text}");
    assert_eq!(run(&gateway, true), (Some(0), "reloaded: configuration 2\n".to_owned()));
    gateway.rewrite(&yaml("publik"));
    let (code, text) = run(&gateway, true);
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("portcullis.yaml:3: error: routes[0].allow: "), "{text}");
    assert_eq!(status_of_root(&gateway).await, 200);
}

/// An application whose answers and WebSockets go on.
async fn endless() -> Peer {
    Peer::start(|mut wire| async move {
        let head = wire.head().await;
        let begin = match head.split(' ').nth(1) {
            Some("/socket") => SWITCHED,
            Some("/stream") => {
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
            }
            _ => return wire.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await,
        };
        wire.say(begin).await;
        wire.rest().await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_are_decided_on_by_the_new_rules() {
    let builder = || Stack::builder().admin();
    let stack =
        builder().routes(["UPSTREAM, allow: authenticated"]).start_with(endless().await).await;
    let mut streams = Vec::new();
    for user in ["alice", "bob"] {
        let cookie = stack.cookie_of(user).await;
        for (path, fields) in [("/stream", ""), ("/socket", UPGRADE)] {
            let mut wire = Wire::to(&stack.gateway).await;
            wire.say(request(&format!("GET {path}"), &format!("{cookie}{fields}"))).await;
            let head = wire.head().await;
            assert!([200, 101].contains(&status(&head)), "{head}");
            streams.push((user, wire));
        }
    }
    let changed =
        stack.configuration().replace("allow: authenticated", "allow: [{ groups: [staff] }]");
    stack.gateway.reload(&changed);
    until(&stack.gateway, SUCCESSES, |count| count == 1.0).await;
    for (user, wire) in &mut streams {
        if *user == "bob" {
            timeout(SOON, wire.rest()).await.expect("the new rules deny it");
        }
    }
    for (user, wire) in &mut streams {
        if *user == "alice" {
            assert!(
                timeout(Duration::from_millis(300), wire.rest()).await.is_err(),
                "it stays open"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_sign_ins_under_way_live_on_unless_their_provider_is_another() {
    let stack = Stack::builder().admin().start().await;
    let mut alice = stack.browser_of("alice").await;
    let mut bob = stack.browser();
    let page = bob.open("/").await;
    let changed = stack.configuration().replace("admin:", "session: { idle_timeout: 2h }\nadmin:");
    stack.gateway.reload(&changed);
    until(&stack.gateway, SUCCESSES, |count| count == 1.0).await;
    assert_eq!(alice.fetch("/").await.status, 200);
    let answer = bob.fill(&page, &[("username", "bob"), ("password", "bob")]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let other = changed.replace("client_id: wiki", "client_id: other");
    assert_ne!(other, changed);
    stack.gateway.reload(&other);
    until(&stack.gateway, SUCCESSES, |count| count == 2.0).await;
    assert_eq!(value(&stack.gateway, "sessions").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn mode_of_an_open_socket_cannot_be_reloaded() {
    let upstream = Upstream::start().await;
    let route = format!("upstream: \"http://{}\", allow: public", upstream.address);
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("s");
    let with = |options: &str| {
        let listen = format!("listen: [\"127.0.0.1:0\", \"unix:{}{options}\"]", socket.display());
        configuration("", &route)
            .replace("listen: \"127.0.0.1:0\", public", &format!("{listen}, public"))
    };
    let gateway = Gateway::start_with(&with(""));
    gateway.reload(&with("?mode=0666"));
    gateway.log_until("with another mode or group, which cannot be reloaded");
    gateway.reload(&with(""));
    until(&gateway, SUCCESSES, |count| count == 1.0).await;
    assert!(tokio::net::UnixStream::connect(&socket).await.is_ok());
}

/// The time in which an open stream has to end.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn signal_while_the_configuration_is_read_reloads_after_the_start() {
    // Both are ended by a signal without a handler. The gateway waits for the secret meanwhile.
    const SCRIPT: &str = r#"
        mkfifo "$1"
        {
            exec 3> "$1"
            kill -USR1 $$
            kill -HUP $$
            echo 0123456789abcdef0123456789abcdef > "$1.new"
            cat "$1.new" >&3
            mv "$1.new" "$1"
        } &
        shift
        exec "$@"
    "#;
    let folder = TempDir::new().unwrap();
    let secret = folder.path().join("secret");
    let yaml = format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\" }}\n\
         admin: {{ listen: \"off\" }}\nsession: {{ secret: \"${{file:{}}}\" }}\n\
         routes: [{{ upstream: \"http://127.0.0.1:9\", allow: public }}]\n",
        secret.display()
    );
    let mut command = Command::new("sh");
    command.args(["-euc", SCRIPT, "sh"]).arg(secret).arg(Gateway::command().get_program());
    let gateway = Gateway::start_by(command, &yaml);
    gateway.log_until("configuration reloaded");
    assert_eq!(gateway.stop().code(), Some(0));
}
