//! Shutdown by signals, and exit codes of a start that fails.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

use crate::support::faults::{DemoEndpoint, Fault, NetworkFault};
use crate::support::gateway::{Gateway, PUBLIC_URL};
use crate::support::operator::ask;
use crate::support::stack::Stack;
use crate::support::wait::until;
use crate::support::wire::{Peer, Wire, field, status};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n";

/// A gateway in front of an application that reports each request, and answers when the test allows it.
struct Waiting {
    gateway: Gateway,
    requests: mpsc::UnboundedReceiver<()>,
    go: Arc<Notify>,
    _peer: Peer,
}

async fn waiting() -> Waiting {
    let (tell, requests) = mpsc::unbounded_channel();
    let go = Arc::new(Notify::new());
    let may = Arc::clone(&go);
    let peer = Peer::start(move |mut wire| {
        let (tell, may) = (tell.clone(), Arc::clone(&may));
        async move {
            wire.head().await;
            tell.send(()).unwrap();
            may.notified().await;
            wire.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
        }
    });
    let peer = peer.await;
    let gateway = Gateway::in_front_of(peer.address, "");
    Waiting { gateway, requests, go, _peer: peer }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_in_flight_at_shutdown_is_finished_and_no_new_one_is_accepted() {
    for signal in ["TERM", "INT"] {
        let mut stack = waiting().await;
        let mut idle = Wire::to(&stack.gateway).await;
        idle.say("GET /oauth2/ping HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(status(&idle.head().await), 200);
        assert_eq!(idle.bytes(2).await, b"OK");
        let mut open = Wire::to(&stack.gateway).await;
        open.say(REQUEST).await;
        stack.requests.recv().await.unwrap();
        stack.gateway.signal(signal);
        assert_eq!(idle.rest().await, "", "who waits for nothing is let go");
        let closed = async || TcpStream::connect(stack.gateway.address).await.is_err();
        until("the listener is closed", closed).await;
        stack.go.notify_one();
        let head = open.head().await;
        assert_eq!((status(&head), field(&head, "connection")), (200, "close"), "{head}");
        assert_eq!(open.rest().await, "done");
        drop((idle, open));
        assert_eq!(stack.gateway.wait().code(), Some(0), "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn event_stream_ends_when_the_drain_starts_and_a_download_goes_on() {
    let go = Arc::new(Notify::new());
    let may = Arc::clone(&go);
    let peer = Peer::start(move |mut wire| {
        let may = Arc::clone(&may);
        async move {
            if wire.head().await.starts_with("GET /events") {
                wire.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
                    .await;
                wire.rest().await;
            } else {
                wire.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst").await;
                may.notified().await;
                wire.say("-last").await;
            }
        }
    });
    let peer = peer.await;
    let gateway = Gateway::in_front_of(peer.address, "");
    let (mut events, mut download) = (Wire::to(&gateway).await, Wire::to(&gateway).await);
    events.say("GET /events HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n").await;
    events.until("data: 1\n\n").await;
    download.say(REQUEST).await;
    download.until("first").await;
    let began = Instant::now();
    gateway.signal("TERM");
    let rest = events.rest().await;
    assert!(!rest.contains("0\r\n\r\n"), "it looks complete: {rest:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "it waited for {:?}", began.elapsed());
    go.notify_one();
    assert_eq!(download.rest().await, "-last");
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "it waited for {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn second_signal_cuts_requests_in_flight() {
    let mut stack = waiting().await;
    let mut idle = Wire::to(&stack.gateway).await;
    idle.say("GET /oauth2/ping HTTP/1.1\r\nHost: a\r\n\r\n").await;
    idle.head().await;
    let mut open = Wire::to(&stack.gateway).await;
    open.say(REQUEST).await;
    stack.requests.recv().await.unwrap();
    stack.gateway.signal("TERM");
    // The idle connection's end shows that the first signal was received.
    idle.rest().await;
    stack.gateway.signal("TERM");
    assert_eq!(open.rest().await, "", "cut");
    assert!(stack.gateway.wait().code().is_some(), "it ends by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn second_signal_does_not_wait_for_the_provider() {
    let stack = Stack::start().await;
    let mut browser = stack.browser_of("alice").await;
    stack.provider.set_faults(&[Fault::Network(DemoEndpoint::Revocation, NetworkFault::Hang)]);
    let began = Instant::now();
    browser.navigate("/oauth2/sign_out").await;
    stack.gateway.signal("TERM");
    drop(stack.gateway.log_until("\"stopping\""));
    stack.gateway.signal("TERM");
    stack.gateway.wait();
    // The timeout of the provider is ten seconds.
    assert!(began.elapsed() < Duration::from_secs(10), "it waited for {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn second_signal_does_not_wait_for_admin_clients() {
    let gateway = Gateway::start_with(&format!(
        "server: {{ listen: \"127.0.0.1:0\", public_url: \"{PUBLIC_URL}\" }}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\nroutes: [{{ allow: public }}]\n"
    ));
    let address = gateway.admin("").replace("http://", "");
    let mut half = TcpStream::connect(&address).await.unwrap();
    half.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
    // Accepted after it, and answered.
    assert_eq!(ask(&gateway, "/healthz").await.status, 200);
    gateway.signal("TERM");
    drop(gateway.log_until("\"stopping\""));
    let signalled = Instant::now();
    gateway.signal("TERM");
    gateway.wait();
    assert!(
        signalled.elapsed() < Duration::from_secs(5),
        "it waited for {:?}",
        signalled.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_and_ends_no_request() {
    let mut stack = waiting().await;
    let mut open = Wire::to(&stack.gateway).await;
    open.say(REQUEST).await;
    stack.requests.recv().await.unwrap();
    stack.gateway.signal("HUP");
    drop(stack.gateway.log_until("configuration reloaded"));
    stack.go.notify_one();
    assert_eq!(status(&open.head().await), 200);
}

/// Runs the program to its end.
fn run(arguments: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("PORTCULLIS_CONFIG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn run_with(yaml: &str) -> Output {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("portcullis.yaml");
    std::fs::write(&path, yaml).unwrap();
    run(&["run", "--config", path.to_str().unwrap()])
}

#[test]
fn port_in_use_is_named_and_exits_with_69() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let output = run_with(&format!(
        "server: {{ listen: \"{}\", public_url: \"{PUBLIC_URL}\" }}\nadmin: {{ listen: \"off\" }}\n\
         routes: [{{ upstream: \"http://127.0.0.1:9\", allow: public }}]\n",
        taken.local_addr().unwrap()
    ));
    assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
    assert!(
        stderr(&output).contains(&taken.local_addr().unwrap().to_string()),
        "{}",
        stderr(&output)
    );
}

#[test]
fn invalid_configuration_is_reported_completely_and_exits_with_78() {
    let output = run_with(
        "server: { listen: \"nowhere\", public_url: \"ftp://x\", lisen: 1 }\n\
         session: { lifetime: 1 fortnight }\n\
         routes: [{ upstream: \"127.0.0.1:9\", allow: [] }, { allow: members }]\n",
    );
    let stderr_text = stderr(&output);
    assert_eq!(output.status.code(), Some(78), "{stderr_text}");
    for key in [
        "server.listen",
        "server.public_url",
        "server.lisen",
        "session.lifetime",
        "routes[0].upstream",
        "routes[0].allow",
        "routes[1].allow",
    ] {
        assert!(stderr_text.contains(key), "{key} is missing in {stderr_text}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn missing_configuration_file_exits_with_78() {
    for arguments in
        [&["run"][..], &["run", "--config", "nothing.yaml"], &["check", "--config", "nothing.yaml"]]
    {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(78), "{arguments:?}: {}", stderr(&output));
        assert!(!output.stderr.is_empty() || !output.stdout.is_empty());
    }
}

#[test]
fn usage_error_exits_with_64_and_help_with_0() {
    for arguments in [
        &[][..],
        &["serve"],
        &["run", "--confg", "x"],
        &["run", "--config"],
        &["demo", "--port", "x"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("--help"), "{arguments:?}: {}", stderr(&output));
    }
    for arguments in [&["--help"][..], &["run", "--help"], &["--version"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty());
    }
}

#[test]
fn closed_standard_output_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("schema")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0));
}
