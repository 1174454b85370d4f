//! Socket activation and notifications: what the service manager hands over, and what it receives.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpStream, UnixStream};

use crate::support::gateway::Gateway;
use crate::support::wire::{Wire, request, status};

/// A configuration with a public route that answers by itself: the gateway's own ping.
fn configuration(listen: &str, more: &str) -> String {
    format!(
        "server: {{ listen: {listen}, public_url: \"http://wiki.localhost\" }}\n{more}\n\
         routes: [{{ host: other.localhost, upstream: \"http://127.0.0.1:9\", allow: public }}]\n"
    )
}

/// The gateway, as a command to which two sockets are passed under these names.
fn activated(sockets: [OwnedFd; 2], names: &str, yaml: &str) -> (Command, TempDir) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("portcullis.yaml");
    std::fs::write(&file, yaml).unwrap();
    let [first, second] = sockets;
    let mut command = Command::new("sh");
    command
        .args(["-c", "export LISTEN_PID=$$; exec \"$0\" \"$@\" 3<&0 4<&1 </dev/null >/dev/null"])
        .args([env!("CARGO_BIN_EXE_portcullis"), "run", "--config"])
        .arg(&file)
        .envs([("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", names)])
        .stdin(Stdio::from(first))
        .stdout(Stdio::from(second));
    (command, folder)
}

pub(crate) fn start(sockets: [OwnedFd; 2], names: &str, yaml: &str) -> Gateway {
    let (command, folder) = activated(sockets, names, yaml);
    Gateway::start_command(command, folder)
}

pub(crate) fn tcp() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

pub(crate) fn copy(listener: &TcpListener) -> OwnedFd {
    listener.try_clone().unwrap().into()
}

fn ping() -> String {
    request("GET /ping", "Connection: close\r\n")
}

async fn status_at(address: SocketAddr) -> u16 {
    let mut wire = Wire::of(TcpStream::connect(address).await.unwrap());
    wire.say(ping()).await;
    status(&wire.rest().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_wait_in_the_passed_socket_until_the_gateway_runs() {
    let ((one, at_one), (other, at_other)) = (tcp(), tcp());
    for _ in 0..2 {
        // Sent while no gateway runs: before the first start, and between two of them.
        let mut waiting = Wire::of(TcpStream::connect(at_one).await.unwrap());
        waiting.say(ping()).await;
        let yaml = configuration("systemd", "admin: { listen: \"off\" }");
        let gateway =
            start([copy(&one), copy(&other)], "portcullis.socket:portcullis.socket", &yaml);
        assert_eq!(status(&waiting.rest().await), 200);
        assert_eq!(status_at(at_other).await, 200);
        assert!(gateway.stop().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passed_sockets_are_found_by_name() {
    let ((web, at_web), (admin, at_admin)) = (tcp(), tcp());
    for listen in ["systemd", "systemd:web"] {
        let yaml = configuration(listen, "admin: { listen: \"systemd:admin\" }");
        let gateway = start([copy(&admin), copy(&web)], "admin:web", &yaml);
        assert_eq!(gateway.address, at_web);
        assert_eq!(gateway.address_of("admin listening"), at_admin);
        assert_eq!(status_at(at_web).await, 200);
        let mut wire = Wire::of(TcpStream::connect(at_admin).await.unwrap());
        wire.say("GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        assert_eq!(status(&wire.rest().await), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unix_socket_of_the_service_manager_is_served_and_not_removed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("s");
    let ((web, at_web), unix) = (tcp(), UnixListener::bind(&path).unwrap());
    let yaml = configuration("systemd", "admin: { listen: \"off\" }");
    let gateway = start([web.into(), unix.into()], "a:b", &yaml);
    assert_eq!(gateway.address, at_web);
    let stream = UnixStream::connect(&path).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    tokio::io::AsyncWriteExt::write_all(&mut writing, ping().as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut reading, &mut answer).await.unwrap();
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(gateway.stop().success());
    assert!(path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn passed_socket_is_not_lost_by_a_reload_that_fails_or_closes_its_listener() {
    let ((web, at_web), (more, at_more)) = (tcp(), tcp());
    let (_held, taken) = tcp();
    let yaml = |listen: &str| configuration(&format!("[{listen}]"), "admin: { listen: \"off\" }");
    let gateway = start([copy(&web), copy(&more)], "web:more", &yaml("\"systemd:web\""));
    let (alone, both) = ("\"systemd:web\"", "\"systemd:web\", \"systemd:more\"");
    gateway.reload(&yaml(&format!("{both}, \"{taken}\"")));
    gateway.log_until(&format!("cannot listen on {taken}"));
    for (listen, generation) in [(both, 2), (alone, 3), (both, 4)] {
        gateway.reload(&yaml(listen));
        gateway.log_until_all(&["configuration reloaded", &format!("\"generation\":{generation}")]);
        assert_eq!(status_at(at_web).await, 200);
    }
    assert_eq!(status_at(at_more).await, 200);
}

#[test]
fn socket_that_was_not_passed_is_an_error_that_says_what_to_do() {
    let unusable = UnixDatagram::unbound().unwrap();
    for (listen, second, expected) in [
        ("systemd:https", None, "systemd passed no such socket"),
        ("systemd", Some(unusable), "cannot listen on systemd"),
    ] {
        let second = second.map_or_else(|| copy(&tcp().0), OwnedFd::from);
        let yaml = configuration(listen, "admin: { listen: \"off\" }");
        let (mut command, _folder) = activated([copy(&tcp().0), second], "web:web", &yaml);
        let output = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(69), "{log}");
        assert!(log.contains(expected), "{log}");
    }
    // Sockets for another process, and none at all.
    for variables in [vec![], vec![("LISTEN_FDS", "1"), ("LISTEN_PID", "1")]] {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("portcullis.yaml");
        std::fs::write(&file, configuration("systemd", "admin: { listen: \"off\" }")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["run", "--config"]).arg(&file).envs(variables);
        let output = command.output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(69), "{log}");
        assert!(log.contains("start the service by its socket unit"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passed_socket_without_a_listener_is_named_in_the_log() {
    let ((web, _), (other, _)) = (tcp(), tcp());
    let yaml = configuration("systemd:web", "admin: { listen: \"off\" }");
    let gateway = start([web.into(), other.into()], "web:forgotten", &yaml);
    gateway.log_until_all(&["forgotten", "add systemd:NAME to server.listen"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn service_manager_receives_ready_and_stopping() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notify");
    let abstract_name = format!("portcullis-test-{}", std::process::id());
    let by_name = {
        use std::os::linux::net::SocketAddrExt as _;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&abstract_name).unwrap();
        UnixDatagram::bind_addr(&address).unwrap()
    };
    let sockets = [
        (path.display().to_string(), UnixDatagram::bind(&path).unwrap()),
        (format!("@{abstract_name}"), by_name),
    ];
    for (address, socket) in sockets {
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let received = || {
            let mut bytes = [0; 64];
            let length = socket.recv(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("portcullis.yaml");
        let yaml = configuration("\"127.0.0.1:0\"", "admin: { listen: \"off\" }");
        std::fs::write(&file, yaml).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["run", "--config"]).arg(&file).env("NOTIFY_SOCKET", &address);
        let gateway = Gateway::start_command(command, folder);
        assert_eq!(received(), "READY=1");
        assert_eq!(status_at(gateway.address).await, 200);
        gateway.signal("TERM");
        assert_eq!(received(), "STOPPING=1");
        assert!(gateway.wait().success());
    }
}
