//! Restarts with a socket of the service manager and a snapshot, while clients send requests: they wait, and none is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::listeners::systemd::{copy, start, tcp};
use crate::support::stack::Stack;
use crate::support::wait::until;
use crate::support::wire::{Wire, request, status};

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_is_refused_and_no_user_signed_out_over_restarts() {
    let (folder, (socket, address)) = (TempDir::new().unwrap(), tcp());
    let (other, _) = tcp();
    let file = folder.path().join("sessions");
    let keys = format!(
        "session: {{ secret: 0123456789abcdef0123456789abcdef, snapshot: {} }}",
        file.display()
    );
    let stack = Stack::builder().sections(&keys).start().await;
    let cookie = stack.cookie_of("alice").await;
    // From here on on a socket that outlives each process.
    let yaml = stack.configuration().replace("listen: \"127.0.0.1:0\"", "listen: \"systemd:web\"");
    let Stack { gateway, provider: _provider, upstream: _upstream, .. } = stack;
    assert!(gateway.stop().success());
    let run = || start([copy(&socket), copy(&other)], "web:other", &yaml);
    let mut gateway = run();

    let answered = Arc::new(AtomicU64::new(0));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let (answered, cookie) = (Arc::clone(&answered), cookie.clone());
        clients.push(tokio::spawn(async move {
            loop {
                let mut wire = Wire::of(TcpStream::connect(address).await.unwrap());
                wire.say(request("GET /", &format!("{cookie}Connection: close\r\n"))).await;
                let answer = timeout(LONGEST_WAIT, wire.rest()).await.expect("an answer");
                assert!(!answer.is_empty(), "the connection was lost");
                assert_eq!(status(&answer), 200, "{answer}");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for _ in 0..4 {
        let before = answered.load(Ordering::Relaxed);
        until("clients have answers", async || answered.load(Ordering::Relaxed) > before + 40)
            .await;
        assert!(gateway.stop().success());
        gateway = run();
    }
    let before = answered.load(Ordering::Relaxed);
    until("clients have answers", async || answered.load(Ordering::Relaxed) > before + 40).await;
    for client in clients {
        assert!(!client.is_finished(), "{:?}", client.await);
        client.abort();
    }
}

/// More than a restart takes.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
