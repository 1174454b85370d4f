//! An upstream that sends exactly the bytes of a script.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::upstream::tests::PATIENCE;

/// A listener whose every connection runs the same script.
pub(super) struct ScriptedUpstream {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    reports: mpsc::UnboundedReceiver<String>,
}

/// One accepted connection.
pub(super) struct ScriptedConnection<S = TcpStream> {
    pub(super) stream: S,
    pub(super) reports: mpsc::UnboundedSender<String>,
}

impl ScriptedUpstream {
    /// Runs `script` with each connection and its number.
    pub(super) async fn start<F>(
        script: impl Fn(usize, ScriptedConnection) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (sender, reports) = mpsc::unbounded_channel();
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(
                    number,
                    ScriptedConnection { stream, reports: sender.clone() },
                ));
            }
        });
        Self { address, connections, reports }
    }

    /// Answers every request on every connection.
    pub(super) async fn answering(answer: &'static [u8]) -> Self {
        Self::start(move |_, mut connection| async move {
            while let Some(head) = connection.head().await {
                connection.report(&head);
                connection.send(answer).await;
            }
        })
        .await
    }

    /// Answers one request and closes.
    pub(super) async fn answering_once(answer: &'static [u8]) -> Self {
        Self::start(move |_, mut connection| async move {
            connection.head().await;
            connection.send(answer).await;
        })
        .await
    }

    /// The number of connections so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The next report of a script.
    pub(super) async fn next_report(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.reports.recv())
            .await
            .expect("in time")
            .expect("a script")
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ScriptedConnection<S> {
    /// A request's head, or `None` at the end.
    pub(super) async fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.ok()?);
        }
        Some(String::from_utf8(head).unwrap())
    }

    /// This many bytes.
    pub(super) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    /// All bytes to the end, or to a reset.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).await.ok();
        bytes
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.ok();
        self.stream.flush().await.ok();
    }

    /// Reports a text to the test.
    pub(super) fn report(&self, text: &str) {
        self.reports.send(text.to_owned()).ok();
    }
}
